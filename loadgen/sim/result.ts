/** The figures of a run: what `--json` prints. Seconds, bytes, percent. */

import type { FleetTotals } from './fleet.ts';
import type { SimOptions } from './options.ts';
import type { Progress } from './progress.ts';
import type { Readers } from './readers.ts';
import type { Scenario } from './scenario.ts';

export type SimResult = {
  readonly policy: string;
  readonly network: 'exact' | 'fast';
  readonly hosts: number;
  readonly downloads: number;
  readonly bytesPerHost: number;
  readonly pieces: number;
  readonly boundS: number;
  readonly p50S: number;
  readonly p90S: number;
  readonly p99S: number;
  readonly p999S: number;
  readonly maxS: number;
  /** Hosts that were neither slow nor crashed. */
  readonly healthyP99S: number;
  readonly firstPieceP50S: number;
  readonly prefix50P50S: number;
  /** Of readers out of the blue: what a range was waited for, all of them and each reader's first; those never served. */
  readonly rangeP50S: number;
  readonly rangeP99S: number;
  readonly firstRangeP50S: number;
  readonly firstRangeP99S: number;
  readonly rangesUnserved: number;
  /** Of blobs that grow: how long their backend takes, and hosts over that or the bound, whichever is longer. */
  readonly backendS: number;
  readonly overMaxP50: number;
  readonly overMaxP99: number;
  readonly overMaxMax: number;
  readonly announces: number;
  readonly announcesMax: number;
  readonly incomplete: number;
  /** Of those, on hosts that never crashed. */
  readonly incompleteUp: number;
  readonly efficiency: number;
  readonly duplicateBytesPercent: number;
  readonly originBytes: number;
  readonly originCopies: number;
  /** By zone: copies of what its hosts pull that came from other zones. */
  readonly crossZoneCopies: readonly number[];
  readonly messages: number;
  readonly events: number;
  readonly virtualS: number;
  readonly wallS: number;
  /** Of this process while it ran. */
  readonly cpuS: number;
  readonly rssMiB: number;
  readonly seed: number;
  readonly traceHash: string;
  /** Completion times, ascending, seconds: for the plot. */
  readonly timesS: readonly number[];
};

export type Outcome = {
  readonly options: SimOptions;
  readonly scenario: Scenario;
  readonly progress: Progress;
  readonly readers: Readers;
  readonly totals: FleetTotals;
  readonly crossZoneBytes: readonly number[];
  readonly boundS: number;
  readonly network: 'exact' | 'fast';
  readonly events: number;
  readonly virtualS: number;
  readonly wallS: number;
  readonly cpuS: number;
};

export function resultOf(outcome: Outcome): SimResult {
  const { options, scenario, progress, readers, totals } = outcome;
  const waits = seconds(readers.waitsMs);
  const firsts = seconds(readers.firstMs);
  const crashed = new Set(scenario.crashes.map((crash) => crash.agent));
  const done = progress.watches.filter((watch) => !Number.isNaN(watch.doneMs));
  const times = seconds(done.map((watch) => watch.doneMs));
  const healthy = done.filter((watch) => !scenario.slow[watch.download.agent] && !crashed.has(watch.download.agent));
  const undone = progress.watches.filter((watch) => Number.isNaN(watch.doneMs));
  const wanted = progress.watches.reduce((sum, watch) => sum + watch.bytes, 0);
  const distinct = scenario.blobs.reduce((sum, blob) => sum + blob.length, 0);
  const p99S = percentile(times, 0.99);
  const backendS = options.grow === 0 ? 0 : distinct / options.grow;
  const overMax = times.map((time) => time / Math.max(backendS, outcome.boundS));
  return {
    policy: options.policy,
    network: outcome.network,
    hosts: options.hosts,
    downloads: progress.watches.length,
    bytesPerHost: Math.round(wanted / options.hosts),
    pieces: scenario.blobs.reduce((sum, blob) => sum + blob.pieces, 0),
    boundS: rounded(outcome.boundS),
    p50S: percentile(times, 0.5),
    p90S: percentile(times, 0.9),
    p99S,
    p999S: percentile(times, 0.999),
    maxS: percentile(times, 1),
    healthyP99S: percentile(seconds(healthy.map((watch) => watch.doneMs)), 0.99),
    firstPieceP50S: percentile(seconds(progress.watches.map((watch) => watch.firstMs)), 0.5),
    prefix50P50S: percentile(seconds(progress.watches.map((watch) => watch.halfMs)), 0.5),
    rangeP50S: percentile(waits, 0.5),
    rangeP99S: percentile(waits, 0.99),
    firstRangeP50S: percentile(firsts, 0.5),
    firstRangeP99S: percentile(firsts, 0.99),
    rangesUnserved: readers.unserved,
    backendS: rounded(backendS),
    overMaxP50: percentile(overMax, 0.5),
    overMaxP99: percentile(overMax, 0.99),
    overMaxMax: percentile(overMax, 1),
    announces: totals.announces,
    announcesMax: totals.announcesMax,
    incomplete: undone.length,
    incompleteUp: undone.filter((watch) => !crashed.has(watch.download.agent)).length,
    efficiency: rounded(outcome.boundS / p99S),
    duplicateBytesPercent: rounded((100 * totals.duplicateBytes) / Math.max(1, wanted)),
    originBytes: totals.originBytes,
    originCopies: rounded(totals.originBytes / distinct),
    crossZoneCopies: outcome.crossZoneBytes.map((bytes) => rounded(bytes / distinct)),
    messages: totals.messages,
    events: outcome.events,
    virtualS: rounded(outcome.virtualS),
    wallS: rounded(outcome.wallS),
    cpuS: rounded(outcome.cpuS),
    rssMiB: Math.round(process.memoryUsage.rss() / 2 ** 20),
    seed: options.seed,
    traceHash: progress.traceHash,
    timesS: times,
  };
}

function seconds(ms: readonly number[]): number[] {
  return ms
    .filter((value) => !Number.isNaN(value))
    .map((value) => value / 1000)
    .sort((a, b) => a - b);
}

/** The smallest value that at least `share` of all are not above; NaN of none. */
export function percentile(sorted: readonly number[], share: number): number {
  const at = Math.max(0, Math.ceil(share * sorted.length) - 1);
  return rounded(sorted[at] ?? Number.NaN);
}

function rounded(value: number): number {
  return Math.round(value * 10_000) / 10_000;
}
