/** What a run of `bench gc` comes to. */

import { BenchError } from '../../harness/error.ts';
import { percentile, rounded, sum } from '../../harness/numbers.ts';
import type { Figures } from '../../harness/report.ts';

/** A collection: the index's steps, and then the origin's walk. */
export type Collected = {
  readonly seconds: number;
  /** Of these, the index's steps. */
  readonly indexSeconds: number;
  /** Blobs that the origin asked about. */
  readonly looked: number;
  /** That it removed; and that nothing referred to. */
  readonly removed: number;
  readonly garbage: number;
};
/** Milliseconds of each push. */
export type GcTurn = Collected & { readonly before: readonly number[]; readonly during: readonly number[] };

/** Of pushes, so many say something of one in a hundred. */
const samplesMin = 100;

/** Pushes of all rounds count together: of one a p99 is a few samples. Throws BenchError where other than the garbage went. */
export function gcFigures(rounds: readonly GcTurn[]): Figures {
  const all = (of: (round: GcTurn) => number): number => sum(rounds.map(of));
  const [removed, garbage, seconds] = [all((one) => one.removed), all((one) => one.garbage), all((one) => one.seconds)];
  if (removed !== garbage) throw new BenchError(`${removed} blobs were removed, and nothing referred to ${garbage}`);
  const [before, during] = [rounds.flatMap((one) => one.before), rounds.flatMap((one) => one.during)];
  const p99 = { before: percentile(before, 0.99), during: percentile(during, 0.99) };
  return {
    gcBlobs: Math.max(...rounds.map(({ looked }) => looked)),
    gcGarbage: garbage,
    gcSeconds: rounded(seconds),
    gcIndexSeconds: rounded(all((one) => one.indexSeconds)),
    gcBlobsPerS: rounded(all((one) => one.looked) / seconds),
    gcRemovedPerS: rounded(removed / seconds),
    gcPushes: during.length,
    gcPushesBefore: before.length,
    gcPushP99Ms: rounded(p99.during),
    gcPushP99BeforeMs: rounded(p99.before),
    gcPushP99Ratio:
      Math.min(before.length, during.length) < samplesMin
        ? `skipped: ${before.length} and ${during.length} pushes are too few`
        : rounded(p99.during / p99.before),
    gcPushMeanRatio: rounded(sum(during) / during.length / (sum(before) / before.length)),
  };
}
