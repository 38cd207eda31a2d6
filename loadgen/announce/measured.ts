/** A tracker that holds so many leases, and what announces on it cost, over as many rounds as there are. */

import { Pool } from 'undici';
import { percentile, rounded } from '../../harness/numbers.ts';
import { cpuSeconds, residentMiB } from '../../harness/proc.ts';
import { RoleProcess } from '../../harness/roles.ts';
import { Hosts } from './hosts.ts';
import { fill, type Load, Pulls, touch } from './load.ts';
import { type AnnounceOptions, leasesMax } from './options.ts';

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

/** Caches and compilers get this share of a round's time before it counts. */
const warmUpShare = 0.4;

type Plan = {
  readonly dir: string;
  readonly origin: string;
  readonly leases: number;
  readonly options: AnnounceOptions;
};

export class Measured {
  readonly tracker: RoleProcess;
  readonly pool: Pool;
  readonly pulls: Pulls;
  readonly #leases: number;
  readonly #layers: number;
  readonly #loads: Load[] = [];
  #cpuS = 0;

  private constructor(
    tracker: RoleProcess,
    pool: Pool,
    { hosts, options }: { hosts: Hosts; options: AnnounceOptions },
  ) {
    this.tracker = tracker;
    this.pool = pool;
    this.pulls = new Pulls(hosts, options);
    this.#leases = hosts.count * hosts.leasesPerHost;
    this.#layers = options.layers;
  }

  /** Until the stack ends. */
  static async begin(stack: AsyncDisposableStack, { dir, origin, leases, options }: Plan): Promise<Measured> {
    const { connections } = options;
    const config = {
      log: { level: 'warn' },
      listen: { host: '127.0.0.1', port: 0 },
      origins: [origin],
      lease: '1h',
      // Each host is a client of its own.
      trustedProxies: ['127.0.0.1'],
      limits: { leases: 2 * leasesMax, swarms: leasesMax },
    };
    const name = `tracker-${leases}`;
    const tracker = stack.use(
      await RoleProcess.start({
        role: 'tracker',
        name,
        dir,
        config,
      }),
    );
    const pool = new Pool(`http://127.0.0.1:${tracker.ports['api']}`, { connections, pipelining: 1 });
    stack.defer(() => pool.close());
    const hosts = new Hosts(leases);
    await fill(pool, hosts, connections);
    await touch(pool, hosts, connections);
    const measured = new Measured(tracker, pool, { hosts, options });
    await measured.pulls.begin(pool);
    return measured;
  }

  async round(durationMs: number): Promise<void> {
    await this.pulls.run(this.pool, durationMs * warmUpShare);
    const cpuBefore = cpuSeconds(this.tracker.pid);
    const load = await this.pulls.run(this.pool, durationMs);
    const cpuS = cpuSeconds(this.tracker.pid) - cpuBefore;
    this.#cpuS += cpuS;
    this.#loads.push(load);
    const perS = rounded((load.batches * this.#layers) / cpuS);
    process.stdout.write(`${this.#leases} leases: ${perS} announces/s a core\n`);
  }

  /** Of all rounds; printed as well. */
  step(): Step {
    const batches = this.#loads.reduce((sum, load) => sum + load.batches, 0);
    const seconds = this.#loads.reduce((sum, load) => sum + load.seconds, 0);
    const ms = this.#loads.flatMap((load) => load.ms);
    const announces = batches * this.#layers;
    const step: Step = {
      leases: this.#leases,
      announcesPerSPerCore: rounded(announces / this.#cpuS),
      announcesPerS: rounded(announces / seconds),
      batchesPerS: rounded(batches / seconds),
      p50Ms: rounded(percentile(ms, 0.5)),
      p99Ms: rounded(percentile(ms, 0.99)),
      cpuUsPerAnnounce: rounded((this.#cpuS * 1e6) / announces),
      trackerRssMiB: rounded(residentMiB(this.tracker.pid)),
    };
    process.stdout.write(
      `${step.leases} leases: ${step.announcesPerSPerCore} announces/s a core (${step.announcesPerS}/s in all), batch p50 ${step.p50Ms} ms, p99 ${step.p99Ms} ms, ${step.trackerRssMiB} MiB\n`,
    );
    return step;
  }
}
