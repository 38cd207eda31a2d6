/** Cold reads of an origin that has backends: loaded only then. */

import type { Digest } from '../../core/digest.ts';
import type { Backends } from '../../platform/backends/backends.ts';
import type { IndexClient } from '../../platform/clients/index-client.ts';
import type { OriginClient } from '../../platform/clients/origin.ts';
import type { Members } from '../../platform/members/members.ts';
import { realClock } from '../../platform/net/clock.ts';
import type { PeerNode } from '../../platform/peer/node.ts';
import type { BlobEntry, BlobStore } from '../../platform/store/store.ts';
import type { Logger } from '../../platform/telemetry/log.ts';
import type { Metrics } from '../../platform/telemetry/metrics.ts';
import type { OriginBlobs } from '../blobs.ts';
import { ColdReads } from './cold.ts';
import { BackendCopies } from './copies.ts';
import { Redirects } from './redirects.ts';
import { ColdWatch } from './watch.ts';

export type ColdParts = {
  readonly backends: Backends;
  readonly origins: Members<OriginClient>;
  readonly self: string;
  /** Origins that are to hold a blob. */
  readonly replicas: (digest: Digest) => number;
  readonly node: PeerNode;
  readonly store: BlobStore;
  readonly blobs: OriginBlobs;
  /** undefined: none is configured. */
  readonly index: Pick<IndexClient, 'holders'> | undefined;
  /** It is here now, as if it had been pushed. */
  readonly onFetched: (entry: BlobEntry) => void;
  readonly log: Logger;
  readonly metrics: Metrics;
};

/** What may go from here since a backend has it, and what is fetched from there though nobody asks. */
export type OpenedCold = { readonly copies: BackendCopies; readonly restore: ColdReads['restore'] };

/** Closed with the stack. */
export function openCold(parts: ColdParts, stack: AsyncDisposableStack): OpenedCold {
  const { backends, origins, self, replicas, node, store, blobs, index, onFetched, log, metrics } = parts;
  const holders = index && ((...asked: Parameters<IndexClient['holders']>) => index.holders(...asked));
  const copies = new BackendCopies({ backends, store, holders });
  const cold = stack.use(
    new ColdReads({
      backends,
      owners: origins,
      self,
      peer: node.self,
      store,
      infoOf: (entry) => blobs.info(entry),
      onGrowing: (entry) => node.seedGrowing(entry),
      pull: (digest) => node.pull(digest),
      onFetched: (entry, from) => {
        blobs.came(entry);
        copies.fetched(entry.digest, from);
        onFetched(entry);
      },
      onElsewhere: (blob, from) => {
        if (origins.owns(blob.digest, self, replicas(blob.digest))) blobs.join(blob, from);
      },
      watch: new ColdWatch(log, metrics),
      clock: realClock,
    }),
  );
  const redirects = new Redirects({ backends, clock: realClock, log, metrics });
  blobs.lookElsewhere({
    redirect: (blob, size, signal) => redirects.of(blob, size, signal),
    info: (question, growing) => cold.info(question, growing),
    fetch: (blob, ctx) => cold.fetch(blob, ctx),
    fetches: (digest) => cold.download(digest) !== undefined,
    relied: (digest) => {
      copies.relied(digest);
      store.claim(digest);
    },
    pushed: (digest) => cold.forget(digest),
  });
  store.watch({ evicted: (digest) => copies.relied(digest) });
  metrics.observed('cold_reads_running', 'Blobs that are being fetched from backends now', () => cold.running);
  metrics.observed('cold_reads_waiting', 'Blobs that wait to be fetched from backends', () => cold.waiting);
  return { copies, restore: (blob, slowly) => cold.restore(blob, slowly) };
}
