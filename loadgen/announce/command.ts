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
import { undoneAtExit } from '../../harness/at-exit.ts';
import { percentile, rounded } from '../../harness/numbers.ts';
import { cpuSeconds, residentMiB } from '../../harness/proc.ts';
import { RoleProcess } from '../../harness/roles.ts';
import { attacked } from './bogus.ts';
import { Hosts } from './hosts.ts';
import { fill, load, touch } from './load.ts';
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
    // Each host is a client of its own.
    trustedProxies: ['127.0.0.1'],
    limits: { leases: 2 * leasesMax, swarms: leasesMax },
  };
  const tracker = stack.use(await RoleProcess.start({ role: 'tracker', name: 'tracker', dir, config }));
  const pool = new Pool(`http://127.0.0.1:${tracker.ports['api']}`, {
    connections: options.connections,
    pipelining: 1,
  });
  stack.defer(() => pool.close());
  const steps: Step[] = [];
  for (const leases of options.leases) {
    const hosts = new Hosts(leases);
    await fill(pool, hosts, options.connections);
    await touch(pool, hosts, options.connections);
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
  const attack = options.bogus === 0 ? undefined : await attacked({ pool, tracker, options });
  if (options.json) process.stdout.write(`${JSON.stringify({ ...summary(options, steps), attack })}\n`);
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
