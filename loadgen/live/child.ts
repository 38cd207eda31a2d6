/**
 * A process of `loadgen live`: many PeerNodes over one arena and one shared store. Told what to do over IPC.
 *
 *   parent: ChildPlan -> child: 'listening' -> parent: 'go' -> child: ChildResult
 */

import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Digest } from '../../core/digest.ts';
import { defaultPolicy } from '../../core/swarm/policy.ts';
import { TrackerSession } from '../../platform/clients/tracker.ts';
import { httpMembers } from '../../platform/members/http.ts';
import { fixedList } from '../../platform/members/list.ts';
import { realClock } from '../../platform/net/clock.ts';
import { tcp } from '../../platform/net/tcp.ts';
import { PeerNode } from '../../platform/peer/node.ts';
import { silentLog } from '../../platform/telemetry/log.ts';
import { Metrics } from '../../platform/telemetry/metrics.ts';
import { Arena, type PieceMemory, type Share, type Slot } from '../../platform/workers/arena.ts';
import { agentStore, SharedBytes } from './store.ts';

export type ChildPlan = {
  readonly kind: 'plan';
  readonly agents: number;
  readonly digest: Digest;
  readonly tracker: string;
  readonly dir: string;
  readonly degree: number;
  readonly arena: number;
  readonly uplink: number;
  /** Of each agent, each way; undefined: none. */
  readonly rate: number | undefined;
  readonly arriveMs: number;
  readonly limitMs: number;
};
export type ChildResult = {
  readonly kind: 'result';
  /** Of each agent that has it whole: from when it began to when it had verified every piece, milliseconds. */
  readonly ms: readonly number[];
  readonly failures: readonly string[];
  readonly bytesFromOrigins: number;
};
/** Every `progressMs`: how many agents are done, how many links they have, how far the event loop is behind. */
export type ChildProgress = {
  readonly kind: 'progress';
  readonly done: number;
  readonly links: number;
  readonly lagMs: number;
};
export type ChildListening = { readonly kind: 'listening'; readonly baseMiB: number };

/** What an agent may have on its way to it: the arena is all agents', so its share says nothing. */
const windowBytes = 4 * 1024 * 1024;
/**
 * Hundreds of agents take turns on one event loop, which may be a second behind: what in a process of its own would
 * mean that a peer is in trouble means nothing here.
 */
const patientMs = 60_000;
const patientPolicy = { grantExpiryMs: patientMs, hedgeFloorMs: patientMs, stallMs: patientMs } as const;
const patience = { greetingMs: patientMs, stalledMs: patientMs } as const;
const listenLanes = 32;
const progressMs = 2_000;

/** The process's arena, as one agent sees it. */
class AgentArena implements PieceMemory {
  readonly #arena: Arena;
  constructor(arena: Arena) {
    this.#arena = arena;
  }
  tryAcquire(share: Share, bytes: number): Slot | undefined {
    return this.#arena.tryAcquire(share, bytes);
  }
  acquire(share: Share, bytes: number, signal?: AbortSignal): Promise<Slot> {
    return this.#arena.acquire(share, bytes, signal);
  }
  slot(no: number): Slot {
    return this.#arena.slot(no);
  }
  shareBytes(_share: Share): number {
    return windowBytes;
  }
}

// The parent is gone: nobody would ever end this process. It is ended by SIGTERM.
process.once('disconnect', () => process.exit(1));
const plan = await message<ChildPlan>();
const arena = new Arena(plan.arena, { receive: 0.5, send: 0.5 - 2 ** -6, reader: 2 ** -6 });
// The arena is memory for pieces, the same however many agents share it: it is part of the base.
new Uint8Array(arena.memory.memory).fill(1);
const baseMiB = process.memoryUsage.rss() / 2 ** 20;
const bytes = new SharedBytes(plan.dir);
const nodes: PeerNode[] = [];
for (let left = plan.agents; left > 0; left -= listenLanes)
  nodes.push(...(await Promise.all(Array.from({ length: Math.min(listenLanes, left) }, start))));
process.send?.({ kind: 'listening', baseMiB } satisfies ChildListening);
await message<{ kind: 'go' }>();
const failures = new Set<string>();
let bytesFromOrigins = 0;
let done = 0;
const watch = setInterval(sayProgress, progressMs, monitorEventLoopDelay());
const ms = await Promise.all(nodes.map(pull));
clearInterval(watch);
process.send?.({
  kind: 'result',
  ms: ms.filter((value) => value !== undefined),
  failures: [...failures],
  bytesFromOrigins,
} satisfies ChildResult);

function start(): Promise<PeerNode> {
  const log = silentLog();
  return PeerNode.listen({
    role: 'agent',
    host: '127.0.0.1',
    port: 0,
    cluster: 'default',
    zone: '',
    store: agentStore(bytes),
    arena: new AgentArena(arena),
    net: tcp,
    clock: realClock,
    tracking: new TrackerSession({ trackers: httpMembers(fixedList([plan.tracker])), log }),
    log,
    metrics: new Metrics(),
    uplinkBytesPerS: plan.uplink,
    limits: { upBytesPerS: plan.rate, downBytesPerS: plan.rate },
    policy: { ...defaultPolicy, ...patientPolicy, neighboursPerBlobMax: plan.degree },
    patience,
    learnMs: plan.limitMs,
    stallMs: plan.limitMs,
  });
}

async function pull(node: PeerNode, i: number): Promise<number | undefined> {
  await sleep((plan.arriveMs * i) / nodes.length);
  const startedMs = performance.now();
  const pulling = node.pull(plan.digest);
  try {
    // Somebody waits for it: else a pull that learns nothing for a minute is given up.
    await pulling.learned();
    await pulling.complete;
  } catch (error) {
    failures.add((error as Error).message);
    return undefined;
  }
  done++;
  bytesFromOrigins += pulling.stats.bytesFromOrigins;
  return performance.now() - startedMs;
}

function sayProgress(delay: ReturnType<typeof monitorEventLoopDelay>): void {
  delay.enable();
  const links = nodes.reduce((sum, node) => sum + node.stats().links.dialled, 0);
  process.send?.({ kind: 'progress', done, links, lagMs: delay.max / 1e6 } satisfies ChildProgress);
  delay.reset();
}

function message<T>(): Promise<T> {
  return new Promise((resolve) => process.once('message', (value) => resolve(value as T)));
}
