/** One restart: agents come, a tracker goes and comes back with nothing, and what happens then is counted. */

import { percentile, rounded } from '../../harness/numbers.ts';
import { EventQueue } from '../sim/events.ts';
import { CallEvent } from '../sim/network/network.ts';
import { Fleet, type Pull } from './fleet.ts';
import type { RestartOptions } from './options.ts';
import type { ModelTracker } from './tracker.ts';

const arriveMs = 30_000;
/** All have renewed a few times by then, each at a time of its own. */
const goneAtMs = 60_000;
const watchedMs = 60_000;
const pullsBeforeMs = 10_000;
const lookMs = 100;
/** What a swarm can do with: a few of those that hold a blob. */
const backShare = 0.99;

export type RestartResult = {
  /** After it came back: requests in the busiest second, and blobs announced in it. */
  readonly requestsPerSMax: number;
  readonly entriesPerSMax: number;
  /** Requests and blobs announced until 99 percent are back. */
  readonly requests: number;
  readonly entries: number;
  /** Seconds until half, and 99 percent, of all leases were back. */
  readonly backS50: number;
  readonly backS99: number;
  /** The longest that a request waited for its turn, milliseconds; and requests that were given up. */
  readonly queuedMsMax: number;
  readonly lost: number;
  /** Pulls begun before it went, while it was gone, and in the ten seconds after it came back. */
  readonly before: PullTimes;
  readonly meanwhile: PullTimes;
  readonly after: PullTimes;
};
type PullTimes = {
  readonly pulls: number;
  /** Of those that were answered by a tracker. */
  readonly answerMs99: number;
  /** Until a neighbour that is no origin was named. */
  readonly neighbourMs50: number;
  readonly neighbourMs99: number;
  /** Share of those that had the origins asked, as no tracker answered in time. */
  readonly alone: number;
};

export function restartRun(options: RestartOptions): RestartResult {
  const events = new EventQueue();
  const fleet = new Fleet(events, options);
  const [tracker] = fleet.trackers as [ModelTracker, ...ModelTracker[]];
  for (const one of fleet.trackers) one.start();
  fleet.begin(arriveMs);
  const backMs = goneAtMs + options.downMs;
  const every = (ms: number, fromMs: number, call: () => void): void => {
    for (let atMs = fromMs; atMs < backMs + watchedMs; atMs += ms) events.schedule(new CallEvent(call), atMs);
  };
  if (options.pulls > 0) every(1000 / options.pulls, goneAtMs - pullsBeforeMs, () => fleet.pull());
  events.run(goneAtMs);
  if (options.hangs) tracker.hang();
  else tracker.kill();
  events.run(backMs);
  const lostBefore = tracker.lost;
  tracker.requests.length = 0;
  if (options.hangs) tracker.wake();
  else tracker.start();
  const back = { half: Infinity, most: Infinity };
  every(lookMs, backMs + lookMs, () => {
    const { there, all } = fleet.leases;
    const sinceMs = events.nowMs - backMs;
    if (there >= all / 2) back.half = Math.min(back.half, sinceMs);
    if (there >= all * backShare) back.most = Math.min(back.most, sinceMs);
  });
  events.run(backMs + watchedMs);
  return resultOf(fleet, { backMs, back, lost: tracker.lost - lostBefore });
}

function resultOf(
  { trackers, pulls }: Fleet,
  at: { readonly backMs: number; readonly back: { half: number; most: number }; readonly lost: number },
): RestartResult {
  const { backMs, back } = at;
  const { requests } = trackers[0] as ModelTracker;
  const perS = (of: (one: (typeof requests)[number]) => number): number => {
    const seconds = new Map<number, number>();
    for (const one of requests) {
      const second = Math.floor((one.atMs - backMs) / 1000);
      seconds.set(second, (seconds.get(second) ?? 0) + of(one));
    }
    return Math.max(0, ...seconds.values());
  };
  const until = requests.filter(({ atMs }) => atMs <= backMs + back.most);
  const times = (fromMs: number, toMs: number): PullTimes =>
    timesOf(pulls.filter(({ atMs }) => atMs >= fromMs && atMs < toMs));
  return {
    requestsPerSMax: perS(() => 1),
    entriesPerSMax: perS(({ entries }) => entries),
    requests: until.length,
    entries: until.reduce((sum, { entries }) => sum + entries, 0),
    backS50: rounded(back.half / 1000),
    backS99: rounded(back.most / 1000),
    queuedMsMax: rounded(requests.reduce((most, { queuedMs }) => Math.max(most, queuedMs), 0)),
    lost: at.lost,
    before: times(0, goneAtMs - 1_000),
    meanwhile: times(goneAtMs, backMs),
    after: times(backMs, backMs + 10_000),
  };
}

function timesOf(pulls: readonly Pull[]): PullTimes {
  const found = pulls.map(({ neighbourMs }) => neighbourMs);
  return {
    pulls: pulls.length,
    answerMs99: rounded(percentile(pulls.map(({ answerMs }) => answerMs).filter(Number.isFinite), 0.99)),
    neighbourMs50: rounded(percentile(found, 0.5)),
    neighbourMs99: rounded(percentile(found, 0.99)),
    alone: rounded(pulls.filter(({ alone }) => alone).length / Math.max(1, pulls.length)),
  };
}
