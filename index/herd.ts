/**
 * Reads of one tag, or of one manifest's record: what many callers ask for at once costs the engine a few reads, where
 * that is another process or a bucket.
 *
 * Rule: no answer is older than its question (platform/tags/herd.ts), a record by digest neither: it may have been put
 *   or deleted, and acknowledged, since another read of it began.
 */

import type { ManifestRecord, TagRecord } from '../core/contracts/index-api.ts';
import type { Clock } from '../platform/net/clock.ts';
import { Herd } from '../platform/tags/herd.ts';
import type { TagStore } from '../platform/tags/store.ts';
import type { Metrics } from '../platform/telemetry/metrics.ts';

export type SingleReads = Pick<TagStore, 'tag' | 'manifest'>;

export type HerdParts = {
  readonly clock: Clock;
  readonly metrics: Metrics;
  /** False: the engine is in this process, and a read of it costs less than sharing it. */
  readonly shared: boolean;
};

export function readTogether(store: SingleReads, { clock, metrics, shared }: HerdParts): SingleReads {
  const help = 'Reads of one tag or manifest record: asked for by callers, and put to the engine.';
  const count = metrics.tallies('index_reads_total', help, 'by', ['callers', 'engine']);
  const tags = new Herd<TagRecord | undefined>(clock);
  const manifests = new Herd<ManifestRecord | undefined>(clock);
  const read = <T>(herd: Herd<T>, key: string, ask: () => Promise<T>): Promise<T> => {
    const counted = (): Promise<T> => {
      count.engine.add(1);
      return ask();
    };
    count.callers.add(1);
    return shared ? herd.read(key, counted) : counted();
  };
  return {
    tag: (repo, tag) => read(tags, `${repo} ${tag}`, () => store.tag(repo, tag)),
    manifest: (repo, digest) => read(manifests, `${repo} ${digest}`, () => store.manifest(repo, digest)),
  };
}
