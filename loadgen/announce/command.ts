/**
 * `npm run loadgen -- announce`: a real tracker, its leases raised step by step, batched announces of simulated
 * hosts at each step. Half of the batches begin a pull (`want`, with neighbours asked for), half end one (`have`).
 *
 * Announces a second and core are swarm announces over the CPU seconds of the tracker's process: what one core
 * does, however busy the machine is with making the load.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Pool } from 'undici';
import { TRACKER } from '../../core/contracts/tracker.ts';
import { prng } from '../../core/prng.ts';
import { undoneAtExit } from '../../harness/at-exit.ts';
import { together } from '../../harness/lanes.ts';
import { percentile, rounded } from '../../harness/numbers.ts';
import { cpuSeconds, residentMiB } from '../../harness/proc.ts';
import { RoleProcess } from '../../harness/roles.ts';
import { Hosts } from './hosts.ts';
import { type AnnounceOptions, leasesMax } from './options.ts';
import { knowingOrigin } from './origin.ts';

export type Step = {
  readonly leases: number;
  readonly announcesPerSPerCore: number;
  readonly announcesPerS: number;
  readonly batchesPerS: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly cpuUsPerAnnounce: number;
  readonly trackerRssMiB: number;
};

/** Blobs a batch when each is asked for once. */
const touchLayers = 64;
/** Caches and compilers get this share of a step's time before it counts. */
const warmUpShare = 0.4;

export async function runAnnounceCommand(options: AnnounceOptions): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const dir = mkdtempSync(join(tmpdir(), 'shoal-announce-'));
  undoneAtExit(stack, () => rmSync(dir, { recursive: true, force: true }));
  const origin = await knowingOrigin(stack);
  const config = {
    log: { level: 'warn' },
    listen: { host: '127.0.0.1', port: 0 },
    origins: [origin],
    lease: '1h',
    limits: { leases: 2 * leasesMax, swarms: leasesMax, client: { leases: 2 * leasesMax, nodes: leasesMax } },
  };
  const tracker = stack.use(await RoleProcess.start({ role: 'tracker', name: 'tracker', dir, config }));
  const pool = new Pool(`http://127.0.0.1:${tracker.ports['api']}`, {
    connections: options.connections,
    pipelining: 1,
  });
  stack.defer(() => pool.close());
  const steps: Step[] = [];
  let hostsBefore = 0;
  for (const leases of options.leases) {
    const hosts = new Hosts(leases);
    await fill(pool, hosts, hostsBefore, options.connections);
    await touch(pool, hosts, options.connections);
    hostsBefore = hosts.count;
    await load(pool, hosts, options, options.durationMs * warmUpShare);
    const cpuBefore = cpuSeconds(tracker.pid);
    const { batches, ms, seconds } = await load(pool, hosts, options, options.durationMs);
    const cpuS = cpuSeconds(tracker.pid) - cpuBefore;
    const announces = batches * options.layers;
    const step: Step = {
      leases: hosts.count * hosts.leasesPerHost,
      announcesPerSPerCore: rounded(announces / cpuS),
      announcesPerS: rounded(announces / seconds),
      batchesPerS: rounded(batches / seconds),
      p50Ms: rounded(percentile(ms, 0.5)),
      p99Ms: rounded(percentile(ms, 0.99)),
      cpuUsPerAnnounce: rounded((cpuS * 1e6) / announces),
      trackerRssMiB: rounded(residentMiB(tracker.pid)),
    };
    steps.push(step);
    process.stdout.write(
      `${step.leases} leases: ${step.announcesPerSPerCore} announces/s a core (${step.announcesPerS}/s in all), batch p50 ${step.p50Ms} ms, p99 ${step.p99Ms} ms, ${step.trackerRssMiB} MiB\n`,
    );
  }
  if (options.json) process.stdout.write(`${JSON.stringify(summary(options, steps))}\n`);
}

function summary(options: AnnounceOptions, steps: readonly Step[]): Record<string, unknown> {
  const costs = steps.map((step) => step.cpuUsPerAnnounce);
  return {
    announcesPerSPerCore: Math.min(...steps.map((step) => step.announcesPerSPerCore)),
    p99Ms: Math.max(...steps.map((step) => step.p99Ms)),
    /** The dearest step over the cheapest: 1 is flat. */
    costRatio: rounded(Math.max(...costs) / Math.min(...costs)),
    layers: options.layers,
    seek: options.seek,
    connections: options.connections,
    steps,
  };
}

/** Hosts from number `from` on announce everything that they hold. */
function fill(pool: Pool, hosts: Hosts, from: number, lanes: number): Promise<void> {
  return together(lanes, hosts.count - from, async (i) => void (await announce(pool, hosts.all(from + i))));
}

/** Every blob is asked for until the tracker has asked the origin for it, before anything counts. */
function touch(pool: Pool, hosts: Hosts, lanes: number): Promise<void> {
  return together(lanes, Math.ceil(hosts.digests.length / touchLayers), async (i) => {
    const body = hosts.wants(i % hosts.count, i * touchLayers, touchLayers);
    while ((await announce(pool, body)).includes('"unavailable"'));
  });
}

type Load = { readonly batches: number; readonly ms: readonly number[]; readonly seconds: number };

/** Every connection announces, one batch after the other. */
async function load(pool: Pool, hosts: Hosts, options: AnnounceOptions, durationMs: number): Promise<Load> {
  const { layers, seek, connections, seed } = options;
  const random = prng(seed);
  const ms: number[] = [];
  const startedMs = performance.now();
  const lane = async (): Promise<void> => {
    for (let turn = 0; performance.now() - startedMs < durationMs; turn++) {
      const body = hosts.batch(random.below(hosts.count), {
        layers,
        seek,
        state: turn % 2 === 0 ? 'want' : 'have',
        random,
      });
      const sentMs = performance.now();
      await announce(pool, body);
      ms.push(performance.now() - sentMs);
    }
  };
  await Promise.all(Array.from({ length: connections }, lane));
  return { batches: ms.length, ms, seconds: (performance.now() - startedMs) / 1000 };
}

async function announce(pool: Pool, body: string): Promise<string> {
  const headers = { 'content-type': 'application/json' };
  const reply = await pool.request({ method: 'POST', path: TRACKER.announce.path({}), headers, body });
  const text = await reply.body.text();
  if (reply.statusCode !== 200) throw new Error(`announce: status ${reply.statusCode} ${text}`);
  return text;
}
