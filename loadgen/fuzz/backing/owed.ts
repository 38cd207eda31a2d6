/** What an origin owes the backend, written back by the product's own lanes. */

import type { Digest } from '../../../core/digest.ts';
import { prng } from '../../../core/prng.ts';
import { writeBackCounts } from '../../../origin/write-back/metrics.ts';
import type { OpenBlob } from '../../../origin/write-back/upload.ts';
import { WriteBack } from '../../../origin/write-back/write-back.ts';
import type { Backends } from '../../../platform/backends/backends.ts';
import type { OriginClient } from '../../../platform/clients/origin.ts';
import type { Members } from '../../../platform/members/members.ts';
import { realClock } from '../../../platform/net/clock.ts';
import type { Queue } from '../../../platform/queue/queue.ts';
import { Metrics } from '../../../platform/telemetry/metrics.ts';
import { log } from '../peers/peer.ts';

export type OwedParts = {
  readonly queue: Queue;
  readonly backends: Backends;
  readonly origins: Members<OriginClient>;
  readonly self: string;
  readonly find: (digest: Digest) => Promise<OpenBlob | undefined>;
  readonly clock: () => number;
  readonly seed: number;
};

/** As origin/write-back/open.ts does; it has begun. */
export function beginWriteBack({ find, clock, seed, ...parts }: OwedParts): WriteBack {
  const writeBack = new WriteBack({
    ...parts,
    find: ({ digest }) => find(digest),
    counts: writeBackCounts(new Metrics()),
    clock: realClock,
    wallMs: clock,
    random: prng(seed),
    log,
  });
  writeBack.begin();
  return writeBack;
}
