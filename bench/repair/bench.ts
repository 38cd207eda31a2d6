/**
 * `npm run bench -- repair`: one of three origins loses its disk while an agent pulls. How near to the allowed rate it gets
 * its blobs back, and what that costs the pulls.
 *
 * The pulls are of blobs that nobody has pulled before, one after the other: half of them before the disk is lost, half
 * while it is repaired.
 */

import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { REPAIR, type RepairState } from '../../core/contracts/origin-repair.ts';
import type { Digest } from '../../core/digest.ts';
import { type Blob, uploadRandom } from '../../harness/blob.ts';
import { type AgentProcess, blobUrl } from '../../harness/cluster.ts';
import { BenchError } from '../../harness/error.ts';
import { together } from '../../harness/lanes.ts';
import { memoryDirectory } from '../../harness/memory.ts';
import { percentile, rounded, sum } from '../../harness/numbers.ts';
import { readBody } from '../../harness/read.ts';
import type { Figures } from '../../harness/report.ts';
import { RoleProcess } from '../../harness/roles.ts';
import { freePort } from '../../platform/testing/ports.ts';

export type RepairSizes = {
  /** Of all blobs together; an origin owns two thirds of them. */
  readonly bytes: number;
  /** How long the repair of one origin is to take at the allowed rate. */
  readonly seconds: number;
};

/** Of its data directory. */
const kept: ReadonlySet<string> = new Set(['id', 'version', 'members']);
const origins = 3;
const replicas = 2;
const blobBytes = 8 * 2 ** 20;
const pulledBytes = 2 ** 20;
const pulls = 200;
const uploaders = 4;
const lookMs = 100;
const placedMsMax = 300_000;
const loopback = (port: number) => ({ host: '127.0.0.1', port });

class Origins implements AsyncDisposable {
  readonly urls: readonly string[];
  readonly #plan: { readonly dir: string; readonly tracker: string; readonly rate: number };
  readonly #running = new Map<number, RoleProcess>();

  constructor(urls: readonly string[], plan: { dir: string; tracker: string; rate: number }) {
    this.urls = urls;
    this.#plan = plan;
  }

  async start(no: number): Promise<void> {
    const { dir, tracker, rate } = this.#plan;
    const config = {
      log: { level: 'warn' },
      listen: loopback(Number(new URL(this.urls[no] as string).port)),
      peer: loopback(0),
      ...{ trackers: [tracker], origins: this.urls, self: this.urls[no], replicas },
      repair: { rate: `${Math.round(rate / 1000)}kB/s`, every: '2s' },
    };
    this.#running.set(no, await RoleProcess.start({ role: 'origin', name: `origin-${no}`, dir, config }));
  }

  /** All that it stored is gone, what it remembers of it as well; who it is stays, so that no time passes until it has its place. */
  async loseDisk(no: number): Promise<void> {
    const process = this.#running.get(no) as RoleProcess;
    await process[Symbol.asyncDispose]();
    for (const name of readdirSync(process.data))
      if (!kept.has(name)) rmSync(join(process.data, name), { recursive: true, force: true });
  }

  async state(no: number): Promise<RepairState> {
    return (await (await fetch(this.urls[no] + REPAIR.state.path({}))).json()) as RepairState;
  }

  async until(no: number, ok: (state: RepairState) => boolean): Promise<RepairState> {
    for (const endMs = performance.now() + placedMsMax; performance.now() < endMs; ) {
      const state = await this.state(no);
      if (ok(state)) return state;
      await new Promise((resolve) => setTimeout(resolve, lookMs));
    }
    throw new BenchError(`origin ${no} is not where it should be after ${placedMsMax / 1000} s`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#running.values()].map((process) => process[Symbol.asyncDispose]()));
  }
}

export async function benchRepair({ bytes, seconds }: RepairSizes): Promise<Figures> {
  await using stack = new AsyncDisposableStack();
  const dir = memoryDirectory(stack, 3 * bytes);
  const ports = await Promise.all(Array.from({ length: origins }, () => freePort()));
  const urls = ports.map((port) => `http://127.0.0.1:${port}`);
  const listening = { log: { level: 'warn' }, listen: loopback(0), origins: urls };
  const tracker = stack.use(await RoleProcess.start({ role: 'tracker', name: 'tracker', dir, config: listening }));
  const trackerUrl = `http://127.0.0.1:${tracker.ports['api']}`;
  const rate = ((bytes * replicas) / origins / seconds) | 0;
  const all = stack.use(new Origins(urls, { dir, tracker: trackerUrl, rate }));
  await Promise.all(urls.map((_, no) => all.start(no)));
  const [, pulled] = await pushed(urls, bytes);
  for (const no of urls.keys()) await all.until(no, placed);
  const agent = await startAgent(dir, trackerUrl, stack);
  const before = await latencies(agent, pulled.slice(0, pulls));
  await all.loseDisk(1);
  await all.start(1);
  const first = await all.until(1, ({ fetched }) => fetched.bytes > 0);
  const begunMs = performance.now();
  const repaired = all.until(1, ({ lacking, comparedMsAgo }) => lacking.blobs === 0 && comparedMsAgo !== undefined);
  let over = false;
  const ending = repaired.then((state) => {
    over = true;
    return { state, ms: performance.now() - begunMs };
  });
  const during = await latencies(agent, pulled.slice(pulls), () => over);
  const { state, ms } = await ending;
  const bytesPerS = ((state.fetched.bytes - first.fetched.bytes) * 1000) / ms;
  return {
    repairBytes: state.fetched.bytes,
    repairAllowedMBps: rounded(rate / 1e6),
    repairMBps: rounded(bytesPerS / 1e6),
    repairRateRatio: rounded(bytesPerS / rate),
    repairPulls: during.length,
    repairPullP99Ms: rounded(percentile(during, 0.99)),
    repairPullP99BeforeMs: rounded(percentile(before, 0.99)),
    repairPullP99Ratio: rounded(percentile(during, 0.99) / percentile(before, 0.99)),
    repairPullMeanRatio: rounded(sum(during) / during.length / (sum(before) / before.length)),
  };
}

/** What is repaired, and what is pulled. */
async function pushed(urls: readonly string[], bytes: number): Promise<readonly [Blob[], Blob[]]> {
  const to = (no: number): string => urls[no % urls.length] as string;
  const large: Blob[] = [];
  const small: Blob[] = [];
  await together(uploaders, Math.ceil(bytes / blobBytes), async (no) => {
    large.push(await uploadRandom(to(no), blobBytes));
  });
  await together(uploaders, 2 * pulls, async (no) => {
    small.push(await uploadRandom(to(no), pulledBytes));
  });
  return [large, small];
}

function placed({ phase, lacking, below, spare }: RepairState): boolean {
  return phase === 'idle' && lacking.blobs + below + spare.unsafe === 0;
}

async function startAgent(dir: string, tracker: string, stack: AsyncDisposableStack): Promise<AgentProcess> {
  const config = {
    ...{ log: { level: 'warn' }, listen: loopback(0), admin: loopback(0), peer: loopback(0), trackers: [tracker] },
    pull: { find: '60s' },
  };
  const process = stack.use(await RoleProcess.start({ role: 'agent', name: 'agent', dir, config }));
  const at = (port: string): string => `http://127.0.0.1:${process.ports[port]}`;
  return { process, registry: at('registry'), admin: at('admin') };
}

/** Milliseconds of each pull, one after the other; until `over`, or all of them. */
async function latencies(
  agent: AgentProcess,
  blobs: readonly { readonly digest: Digest }[],
  over: () => boolean = () => false,
): Promise<number[]> {
  const took: number[] = [];
  for (const { digest } of blobs) {
    if (over() && took.length > 0) break;
    const begunMs = performance.now();
    await readBody(blobUrl(agent, digest));
    took.push(performance.now() - begunMs);
  }
  return took;
}
