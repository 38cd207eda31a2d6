/** Runs one scenario under one policy to its end and says how it went. */

import { prng } from '../../core/prng.ts';
import { EventQueue, type Events } from './events.ts';
import type { Fleet, FleetContext } from './fleet.ts';
import { KrakenFleet } from './kraken.ts';
import { boundS } from './network/bound.ts';
import { ExactNetwork } from './network/exact.ts';
import { FastNetwork, fastTickMs } from './network/fast.ts';
import { CallEvent, type Network, type NetworkConfig } from './network/network.ts';
import { RoundQueue } from './network/rounds.ts';
import { exactHostsMax, type SimOptions } from './options.ts';
import { Progress } from './progress.ts';
import { Readers } from './readers.ts';
import { resultOf, type SimResult } from './result.ts';
import { crashedForMs, type Scenario, scenarioOf } from './scenario.ts';
import { ShoalFleet } from './shoal.ts';

/** How far a run is: virtual milliseconds, the share of all pieces that have arrived, downloads that are complete, events. */
export type RunProgress = {
  readonly nowMs: number;
  readonly share: number;
  readonly done: number;
  readonly downloads: number;
  readonly events: number;
};

export type RunHooks = {
  /** Now and then. */
  readonly progress?: ((at: RunProgress) => void) | undefined;
  /** A line of the trace. */
  readonly trace?: ((line: Record<string, unknown>) => void) | undefined;
};

/** After the last arrival: a run without any new piece for this long is over, incomplete. */
const stalledMs = 120_000;
/** Virtual time between looks at how the run goes. */
const chunkMs = 50;

/** So that a few events fall into each of the queue's buckets: a host has about four a millisecond. */
function bucketMs(hosts: number): number {
  return Math.max(1 / 1024, Math.min(1 / 16, 2 / hosts));
}

export function runSim(options: SimOptions, hooks: RunHooks = {}): SimResult {
  const startedMs = performance.now();
  const startedCpu = process.cpuUsage();
  const random = prng(options.seed);
  const scenario = scenarioOf(options, random);
  const exact = options.network === 'exact' || (options.network === 'auto' && options.hosts <= exactHostsMax);
  const events = exact ? new EventQueue(bucketMs(options.hosts)) : new RoundQueue(roundMsOf(scenario));
  const network = networkOf(options, scenario, events);
  const progress = new Progress(scenario);
  const readers = new Readers({ options, blobs: scenario.blobs, progress, prng: prng(options.seed ^ 0x2545f491) });
  let lastPieceMs = 0;
  const context: FleetContext = {
    options,
    events,
    network,
    prng: prng(options.seed ^ 0x5f3759df),
    blobs: scenario.blobs,
    onPiece: (agent, blob, piece) => {
      lastPieceMs = events.nowMs;
      const before = progress.left;
      const prefix = progress.piece(agent, blob, piece, events.nowMs);
      if (progress.left < before) {
        hooks.trace?.({ kind: 'done', agent, atMs: events.nowMs });
        if (progress.left === 0) events.halt();
      }
      readers.arrived(fleet, { agent, blob, piece, prefix }, events.nowMs);
    },
  };
  const fleet: Fleet = options.policy === 'kraken' ? new KrakenFleet(context) : new ShoalFleet(context);
  plan(options, scenario, fleet, { events, progress, readers, hooks });
  for (let untilMs = chunkMs; ; untilMs += chunkMs) {
    const goesOn = events.run(Math.min(untilMs, options.limitMs));
    hooks.progress?.({ ...progress.soFar, nowMs: events.nowMs, events: events.count });
    const stalled = untilMs - Math.max(lastPieceMs, options.arriveMs) > stalledMs;
    if (!goesOn || stalled || untilMs >= options.limitMs) break;
  }
  return resultOf({
    options,
    scenario,
    progress,
    readers,
    totals: fleet.totals(),
    crossZoneBytes: network.crossZoneBytes,
    boundS: boundOf(options, scenario),
    network: network instanceof ExactNetwork ? 'exact' : 'fast',
    events: events.count,
    virtualS: events.nowMs / 1000,
    wallS: (performance.now() - startedMs) / 1000,
    cpuS: cpuS(process.cpuUsage(startedCpu)),
  });
}

function cpuS({ user, system }: NodeJS.CpuUsage): number {
  return (user + system) / 1e6;
}

/** The cheaper network's tick, so that a round moves bytes once. */
function roundMsOf({ agents, origins, trackers }: Scenario): number {
  return fastTickMs([...agents, ...origins, ...trackers].map((caps) => Math.max(caps.upBytesPerS, caps.downBytesPerS)));
}

function networkOf(options: SimOptions, scenario: Scenario, events: Events): Network {
  const config: NetworkConfig = {
    latencyMs: options.latencyMs,
    jitterMs: options.jitterMs,
    zoneLatencyMs: options.zones > 1 ? options.latencyMs * 4 : 0,
    zoneBytesPerS: scenario.zoneBytesPerS,
    zones: options.zones,
  };
  const network =
    events instanceof EventQueue
      ? new ExactNetwork(events, config, prng(options.seed ^ 0x1234567))
      : new FastNetwork(events, config, prng(options.seed ^ 0x1234567));
  for (const caps of [...scenario.agents, ...scenario.origins, ...scenario.trackers]) network.addHost(caps);
  return network;
}

type Running = {
  readonly events: Events;
  readonly progress: Progress;
  readonly readers: Readers;
  readonly hooks: RunHooks;
};

function plan(
  options: SimOptions,
  scenario: Scenario,
  fleet: Fleet,
  { events, progress, readers, hooks }: Running,
): void {
  const down = new Set<number>();
  const waiting = new Map<number, (() => void)[]>();
  for (const { agent, blobs, atMs } of scenario.downloads) {
    const ask = (): void => {
      fleet.request(agent, blobs);
      readers.begin(fleet, agent, { blobs, nowMs: events.nowMs });
    };
    events.schedule(
      new CallEvent(() => {
        if (!down.has(agent)) ask();
        else waiting.set(agent, [...(waiting.get(agent) ?? []), ask]);
      }),
      atMs,
    );
  }
  for (const { agent, atMs } of scenario.crashes) {
    events.schedule(
      new CallEvent(() => {
        progress.mix(agent, -1, events.nowMs);
        hooks.trace?.({ kind: 'crash', agent, atMs: events.nowMs });
        down.add(agent);
        fleet.crash(agent);
      }),
      atMs,
    );
    events.schedule(
      new CallEvent(() => {
        hooks.trace?.({ kind: 'back', agent, atMs: events.nowMs });
        down.delete(agent);
        fleet.revive(agent);
        for (const ask of waiting.get(agent) ?? []) ask();
      }),
      atMs + crashedForMs,
    );
  }
  if (Number.isFinite(options.trackersDieMs))
    events.schedule(new CallEvent(() => fleet.trackersDie()), options.trackersDieMs);
}

function boundOf(options: SimOptions, scenario: Scenario): number {
  const wanted = scenario.downloads.reduce(
    (sum, d) => sum + d.blobs.reduce((s, no) => s + (scenario.blobs[no]?.length ?? 0), 0),
    0,
  );
  const first = scenario.downloads[0]?.blobs ?? [];
  const bytes =
    options.downloads === 0
      ? first.reduce((sum, no) => sum + (scenario.blobs[no]?.length ?? 0), 0)
      : wanted / options.hosts;
  const pieces =
    options.downloads === 0
      ? first.reduce((sum, no) => sum + (scenario.blobs[no]?.pieces ?? 0), 0)
      : Math.ceil(bytes / (scenario.blobs[0]?.pieceLength ?? 1));
  return boundS({
    bytes,
    pieces,
    ups: scenario.agents.map((caps) => caps.upBytesPerS),
    downs: scenario.agents.map((caps) => caps.downBytesPerS),
    originUps: scenario.origins.map((caps) => caps.upBytesPerS),
    zones: Number.isFinite(scenario.zoneBytesPerS) ? zonesOf(options, scenario) : undefined,
  });
}

function zonesOf({ zones }: SimOptions, { origins, zoneBytesPerS }: Scenario) {
  return Array.from({ length: zones }, (_, zone) => {
    const own = origins.filter((caps) => caps.zone === zone);
    return { link: zoneBytesPerS, originUps: own.map((caps) => caps.upBytesPerS) };
  });
}
