/** For tests: origins with backends behind them, an index and a proxy as real processes; any origin may be killed, wiped, started again. */

import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { MEMBERS, type MembersStatus } from '../core/contracts/members.ts';
import { PROBES } from '../core/contracts/probes.ts';
import { type Digest, digestOf } from '../core/digest.ts';
import { OCI_PATHS } from '../core/oci/paths.ts';
import { entryUrl } from '../platform/lifecycle/entry.ts';
import type { Cluster, Process } from '../platform/testing/cluster.ts';
import { freePort } from '../platform/testing/ports.ts';

const loopback = { host: '127.0.0.1', port: 0 };
/** Longer than any push waits for parts that are being killed. */
const pushMsMax = 60_000;

export type BackedOptions = {
  readonly origins: number;
  readonly backends: readonly object[];
  /** Of the proxy. */
  readonly push?: object;
  /** Added to each origin's configuration. */
  readonly origin?: object;
};

export function digestOfBytes(bytes: Uint8Array): Digest {
  return digestOf('sha256', createHash('sha256').update(bytes).digest('hex'));
}

export class BackedCluster {
  readonly #cluster: Cluster;
  readonly #options: BackedOptions;
  readonly #origins: (Process | undefined)[] = [];
  readonly #ports: readonly number[];
  #trackers: readonly string[] = [];
  #index: Process | undefined;
  #proxy: Process | undefined;

  private constructor(cluster: Cluster, options: BackedOptions, ports: readonly number[]) {
    this.#cluster = cluster;
    this.#options = options;
    this.#ports = ports;
  }

  static async start(cluster: Cluster, options: BackedOptions): Promise<BackedCluster> {
    const ports = await Promise.all(Array.from({ length: options.origins }, () => freePort()));
    const backed = new BackedCluster(cluster, options, ports);
    await backed.#start();
    return backed;
  }

  get urls(): string[] {
    return this.#ports.map((port) => `http://127.0.0.1:${port}`);
  }

  get index(): Process {
    return this.#index as Process;
  }

  origin(no: number): Process | undefined {
    return this.#origins[no];
  }

  dataOf(no: number): string {
    return this.#cluster.dataOf(`origin-${no}`);
  }

  async startOrigin(no: number): Promise<void> {
    this.#origins[no] = await this.#part('origin', `origin-${no}`, {
      ...{ listen: { ...loopback, port: this.#ports[no] }, peer: loopback, data: this.dataOf(no) },
      ...{ trackers: this.#trackers, origins: this.urls, self: this.urls[no], index: [this.index.url('api')] },
      ...{ backends: this.#options.backends, ...this.#options.origin },
    });
  }

  async killOrigin(no: number): Promise<void> {
    await this.#origins[no]?.stop('SIGKILL');
    this.#origins[no] = undefined;
  }

  /** Its disk is gone. The origin is not running. */
  async wipeOrigin(no: number): Promise<void> {
    await rm(this.dataOf(no), { recursive: true, force: true });
  }

  /** The status of a push of one blob; 0: there was no answer. */
  async push(repo: string, bytes: Uint8Array): Promise<number> {
    const path = `${OCI_PATHS.uploads(repo)}?digest=${digestOfBytes(bytes)}`;
    const headers = { 'content-type': 'application/octet-stream' };
    const signal = AbortSignal.timeout(pushMsMax);
    try {
      const answer = await this.ask('POST', path, { body: bytes, headers, signal });
      return answer.status;
    } catch {
      return 0;
    }
  }

  /** At the proxy; its body is read. */
  async ask(method: string, path: string, init: RequestInit = {}): Promise<{ status: number; body: string }> {
    const answer = await fetch((this.#proxy as Process).url('registry') + path, { method, ...init });
    return { status: answer.status, body: await answer.text() };
  }

  /** The sum of a metric of that name and these labels, over the origins that run. */
  async metric(name: string, labels = ''): Promise<number> {
    const texts = await Promise.all(
      this.#origins.map(async (origin) =>
        origin === undefined ? '' : await (await fetch(origin.url('api') + PROBES.metrics.pattern)).text(),
      ),
    );
    const lines = texts.flatMap((text) => text.split('\n'));
    const own = lines.filter((line) => line.startsWith(`shoal_${name}`) && line.includes(labels));
    return own.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
  }

  async #start(): Promise<void> {
    const port = await freePort();
    this.#trackers = [`http://127.0.0.1:${port}`];
    const tracker = { listen: { ...loopback, port }, origins: this.urls };
    const data = this.#cluster.dataOf('index');
    [, this.#index] = await Promise.all([
      this.#part('tracker', 'tracker', tracker),
      this.#part('index', 'index', { listen: loopback, data }),
    ]);
    await Promise.all(this.#ports.map((_, no) => this.startOrigin(no)));
    await Promise.all(this.urls.map((url) => this.#acquainted(url)));
    const at = { listen: loopback, index: [this.index.url('api')], origins: this.urls };
    this.#proxy = await this.#part('proxy', 'proxy', { ...at, push: this.#options.push ?? {} });
  }

  /** Until an origin knows who all of them are, it may take a write-back for its own that is another's. */
  async #acquainted(url: string): Promise<void> {
    for (;;) {
      const answer = await fetch(url + MEMBERS.status.path({}));
      const { lists } = (await answer.json()) as MembersStatus;
      const known = lists
        .find(({ role }) => role === 'origins')
        ?.members.filter(({ id, up }) => id !== undefined && up);
      if (known?.length === this.#ports.length) return;
      await sleep(100);
    }
  }

  async #part(role: string, name: string, settings: object): Promise<Process> {
    const entry = entryUrl(`../${role}/main.ts`, import.meta.url);
    return await this.#cluster.start(entry, name, { role, ...settings });
  }
}
