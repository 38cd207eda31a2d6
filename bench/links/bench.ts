/**
 * `npm run bench -- links`: one origin and twelve agents on shaped links, one blob to all at once, with and without
 * a reader on every agent, under bbr and reno.
 *
 * Twice: on processes that have pulled as much before, as daemons have, whose links are closed and whose blob nobody
 * has (`links…`); and on processes that were just started (`linksCold…`). The figures at the top are the worse of the
 * two congestion controls; each one's own have its name behind them.
 */

import { availableParallelism } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Blob, uploadRandom } from '../../harness/blob.ts';
import { blobUrl, firstByte, forget } from '../../harness/cluster.ts';
import { Skipped } from '../../harness/error.ts';
import { memoryDirectory, onWarmMemory } from '../../harness/memory.ts';
import { median, rounded, sum } from '../../harness/numbers.ts';
import { machineBusySeconds } from '../../harness/proc.ts';
import { readBody } from '../../harness/read.ts';
import type { Figures } from '../../harness/report.ts';
import { ringSeconds, streamSeconds } from './bound.ts';
import { completeAt, Fleet, type FleetHosts } from './fleet.ts';
import { type Congestion, type Host, makeNetwork, needNamespaces } from './network.ts';

export type LinksOptions = {
  readonly agents: number;
  readonly bytes: number;
  readonly bytesPerS: number;
  readonly queueMs: number;
  readonly congestions: readonly Congestion[];
  readonly rounds: number;
  /** Between herds of the same processes. Agents close a link that nothing uses after 15 s. */
  readonly pauseMs: number;
  /** Of one agent: to profile it. */
  readonly nodeFlags: readonly string[];
};

const ringShare = 4;

export type Run = {
  /** Of each agent, seconds from the start. */
  readonly doneS: readonly number[];
  readonly maxS: number;
  readonly p50S: number;
  readonly originCopies: number;
  readonly duplicatePercent: number;
  readonly prefix50S: number;
  readonly firstByteS: number;
  readonly cpuBusyPercent: number;
  readonly cpuSPerGB: number;
};

export async function benchLinks(options: LinksOptions): Promise<Figures> {
  try {
    needNamespaces();
  } catch (error) {
    if (error instanceof Skipped) return { linksMaxOverBound: `skipped: ${error.message}` };
    throw error;
  }
  const all: Record<string, number>[] = [];
  for (const congestion of options.congestions) all.push(await underCongestion(options, congestion));
  const worst = Object.fromEntries(
    Object.keys(all[0] ?? {}).map((name) => [name, Math.max(...all.map((figures) => figures[name] ?? Number.NaN))]),
  );
  const each = options.congestions.flatMap((congestion, i) =>
    Object.entries(all[i] ?? {}).map(([name, value]) => [`${name}.${congestion}`, value] as const),
  );
  return {
    ...worst,
    agents: options.agents,
    mib: options.bytes / 2 ** 20,
    ...(options.congestions.length > 1 ? Object.fromEntries(each) : {}),
  };
}

async function underCongestion(options: LinksOptions, congestion: Congestion): Promise<Record<string, number>> {
  await using stack = new AsyncDisposableStack();
  const { bytes, agents } = options;
  const herds = 2 * options.rounds + 1;
  const dir = memoryDirectory(stack, bytes * (2 * agents + herds) * 1.1);
  const shape = { bytesPerS: options.bytesPerS, queueMs: options.queueMs, congestion };
  const [origin, ...rest] = makeNetwork(stack, agents + 1, 1, shape) as [Host, ...Host[]];
  const hosts: FleetHosts = { origin, agents: rest.slice(0, agents), tracker: rest[agents] as Host };
  const boundS = await streamSeconds(origin, rest[0] as Host, bytes);
  const ringS = await ringSeconds([origin, ...hosts.agents], bytes / ringShare);
  const cold = await onFresh(hosts, dir, options);
  const warm = await onRunning(hosts, dir, options);
  return {
    ...figuresOf(warm, boundS, 'links'),
    ...figuresOf(cold, boundS, 'linksCold'),
    boundS: rounded(boundS),
    linksRingOverStream: rounded((ringS * ringShare) / boundS),
  };
}

type Runs = { readonly plain: Run[]; readonly read: Run[] };

async function onFresh(hosts: FleetHosts, dir: string, options: LinksOptions): Promise<Runs> {
  const runs: Runs = { plain: [], read: [] };
  for (let round = 0; round < options.rounds; round++) {
    runs.plain.push(await runOnce(hosts, dir, options, false));
    runs.read.push(await runOnce(hosts, dir, options, true));
  }
  return runs;
}

async function onRunning(hosts: FleetHosts, dir: string, options: LinksOptions): Promise<Runs> {
  const runs: Runs = { plain: [], read: [] };
  await using fleet = await Fleet.start(hosts, `${dir}/run`, options.nodeFlags);
  await herd(fleet, dir, options.bytes, false);
  for (let round = 0; round < options.rounds; round++) {
    for (const readers of [false, true]) {
      await sleep(options.pauseMs);
      (readers ? runs.read : runs.plain).push(await herd(fleet, dir, options.bytes, readers));
    }
  }
  return runs;
}

function figuresOf({ plain, read }: Runs, boundS: number, name: string): Record<string, number> {
  const of = (runs: readonly Run[], value: (run: Run) => number): number => rounded(median(runs.map(value)));
  const figures = {
    MaxOverBound: of(plain, (run) => run.maxS / boundS),
    P50OverBound: of(plain, (run) => run.p50S / boundS),
    OriginCopies: of(plain, (run) => run.originCopies),
    DuplicatePercent: of(plain, (run) => run.duplicatePercent),
    ReadersMaxOverBound: of(read, (run) => run.maxS / boundS),
    Prefix50OverBound: of(read, (run) => run.prefix50S / boundS),
    ReadersFirstByteS: of(read, (run) => run.firstByteS),
    ReadersOriginCopies: of(read, (run) => run.originCopies),
    CpuSPerGB: of(plain, (run) => run.cpuSPerGB),
    ReadersCpuSPerGB: of(read, (run) => run.cpuSPerGB),
    CpuBusyPercent: of([...plain, ...read], (run) => run.cpuBusyPercent),
  };
  return Object.fromEntries(Object.entries(figures).map(([figure, value]) => [`${name}${figure}`, value]));
}

/** One herd on fresh processes: nobody knows anybody, nothing is cached. */
export async function runOnce(
  hosts: FleetHosts,
  dir: string,
  options: Pick<LinksOptions, 'bytes' | 'nodeFlags'>,
  readers: boolean,
): Promise<Run> {
  await using fleet = await Fleet.start(hosts, `${dir}/run`, options.nodeFlags);
  return await herd(fleet, dir, options.bytes, readers);
}

/** A blob that nobody has, to all agents; afterwards they have it no more. */
async function herd(fleet: Fleet, dir: string, bytes: number, readers: boolean): Promise<Run> {
  const { agents } = fleet;
  const blob = await uploadRandom(fleet.originUrl, bytes);
  const before = await payload(fleet);
  const { doneS, readS, cpuBusyPercent, processCpuS } = await onWarmMemory(dir, bytes * agents.length, () =>
    pullAll(fleet, blob, readers),
  );
  const after = await payload(fleet);
  await Promise.all(agents.map((agent) => forget(agent, blob.digest)));
  const wanted = bytes * agents.length;
  return {
    doneS,
    maxS: Math.max(...doneS),
    p50S: median(doneS),
    originCopies: (after.sent - before.sent) / bytes,
    duplicatePercent: (100 * (after.received - before.received - wanted)) / wanted,
    prefix50S: median(readS.map((times) => times.half)),
    firstByteS: median(readS.map((times) => times.first)),
    cpuBusyPercent,
    cpuSPerGB: (processCpuS * 1e9) / wanted,
  };
}

/** Bytes of pieces, so far: that agents received, needed or not, and that the origin sent. */
async function payload(fleet: Fleet): Promise<{ readonly received: number; readonly sent: number }> {
  return {
    received: sum(await Promise.all(fleet.agents.map((agent) => receivedBytes(agent)))),
    sent: await fleet.origin.counter(fleet.originUrl, 'shoal_peer_sent_bytes_total'),
  };
}

type Herd = {
  /** Of each agent: everything verified and stored, and read where there is a reader; seconds from the start. */
  readonly doneS: readonly number[];
  readonly readS: readonly { readonly first: number; readonly half: number }[];
  readonly cpuBusyPercent: number;
  readonly processCpuS: number;
};

async function pullAll(fleet: Fleet, blob: Blob, readers: boolean): Promise<Herd> {
  const { agents } = fleet;
  const urls = agents.map((agent) => blobUrl(agent, blob.digest));
  const before = { busyS: machineBusySeconds(), cpuS: fleet.cpuSeconds(), ms: Date.now() };
  const seconds = (ms: number): number => (ms - before.ms) / 1000;
  const complete = Promise.all(agents.map((agent) => completeAt(agent, blob.digest)));
  const asked = readers
    ? Promise.all(urls.map((url) => readBody(url)))
    : Promise.all(urls.map((url) => firstByte(url)));
  const [completeMs, answers] = await Promise.all([complete, asked]);
  const readings = answers.filter((answer) => answer !== undefined);
  const wallS = seconds(Date.now());
  return {
    doneS: completeMs.map((ms, i) => Math.max(seconds(ms), seconds(readings[i]?.doneMs ?? ms))),
    readS: readings.map(({ firstMs, halfMs }) => ({ first: seconds(firstMs), half: seconds(halfMs) })),
    cpuBusyPercent: (100 * (machineBusySeconds() - before.busyS)) / (availableParallelism() * wallS),
    processCpuS: fleet.cpuSeconds() - before.cpuS,
  };
}

/** Payload that came to the agent, needed or not. */
async function receivedBytes(agent: Fleet['agents'][number]): Promise<number> {
  const { process, admin } = agent;
  return (
    (await process.counter(admin, 'shoal_peer_received_bytes_total')) +
    (await process.counter(admin, 'shoal_peer_skipped_bytes_total'))
  );
}
