/**
 * Reads of one tag, or of one manifest's record: what many callers ask for at once costs the engine a few reads, where
 * that is another process or a bucket; and one, where it is in this process and nobody else writes to it.
 *
 * Rule: no answer is older than its question (platform/tags/herd.ts), a record by digest neither: it may have been put
 *   or deleted, and acknowledged, since another read of it began. What an engine in this process said is what it would
 *   say again for as long as there was no write, of whatever.
 */

import type { ManifestRecord, TagRecord } from '../core/contracts/index-api.ts';
import type { Clock } from '../platform/net/clock.ts';
import { Herd } from '../platform/tags/herd.ts';
import type { TagStore } from '../platform/tags/store.ts';
import type { Metrics } from '../platform/telemetry/metrics.ts';

/** Answers that are kept until the next write, about 1 KB each; beyond that all are forgotten. */
const keptMax = 10_000;

export type SingleReads = Pick<TagStore, 'tag' | 'manifest'>;

export type HerdParts = {
  readonly clock: Clock;
  readonly metrics: Metrics;
  /** False: the engine is in this process, and a read of it costs less than sharing it. */
  readonly shared: boolean;
  /** How often it was written to; undefined: what it answers may change without a write here. */
  readonly commits?: (() => number) | undefined;
};

type Read<T> = (key: string, ask: () => Promise<T>) => Promise<T>;

export function readTogether(store: SingleReads, { clock, metrics, shared, commits }: HerdParts): SingleReads {
  const help = 'Reads of one tag or manifest record: asked for by callers, and put to the engine.';
  const count = metrics.tallies('index_reads_total', help, 'by', ['callers', 'engine']);
  const way = <T>(): Read<T> => (shared ? together(clock) : commits === undefined ? each : untilWritten(commits));
  const counted = <T>(read: Read<T>, key: string, ask: () => Promise<T>): Promise<T> => {
    count.callers.add(1);
    return read(key, () => {
      count.engine.add(1);
      return ask();
    });
  };
  const [tags, manifests] = [way<TagRecord | undefined>(), way<ManifestRecord | undefined>()];
  return {
    tag: (repo, tag) => counted(tags, `${repo} ${tag}`, () => store.tag(repo, tag)),
    manifest: (repo, digest) => counted(manifests, `${repo} ${digest}`, () => store.manifest(repo, digest)),
  };
}

function together<T>(clock: Clock): Read<T> {
  const herd = new Herd<T>(clock);
  return (key, ask) => herd.read(key, ask);
}

function each<T>(_key: string, ask: () => Promise<T>): Promise<T> {
  return ask();
}

function untilWritten<T>(commits: () => number): Read<T> {
  const kept = new Map<string, Promise<T>>();
  let at = commits();
  return (key, ask) => {
    const now = commits();
    if (now !== at || kept.size >= keptMax) kept.clear();
    at = now;
    const known = kept.get(key);
    if (known !== undefined) return known;
    const answer = ask();
    kept.set(key, answer);
    // A failure is told to who asked for it.
    answer.catch(() => kept.get(key) === answer && kept.delete(key));
    return answer;
  };
}
