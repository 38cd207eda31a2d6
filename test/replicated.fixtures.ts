/** For tests: clusters of real processes that send their writes to one another; any part may be killed, stopped, started again. */

import { entryUrl } from '../platform/lifecycle/entry.ts';
import type { Cluster, Process } from '../platform/testing/cluster.ts';
import { freePort } from '../platform/testing/ports.ts';

const host = '127.0.0.1';
const loopback = { host, port: 0 };
export const secret = 'a secret of all these clusters';

export type SiteRole = 'origin' | 'index' | 'proxy';

/** Of each role one, if not said otherwise. */
export type SiteShape = {
  readonly indexes?: number;
  readonly origins?: number;
  /** `store` of its indexes; default: SQLite. */
  readonly store?: object;
  /** `tls` of a part; default: none has any. */
  readonly tls?: (role: SiteRole) => object;
};

/** A tracker, that has nothing to do with it, is none of theirs: nobody pulls by the swarm here. */
const noTracker = [`http://${host}:1`];

export class ReplicatedSite {
  readonly name: string;
  readonly shape: SiteShape;
  readonly #cluster: Cluster;
  readonly #ports: Readonly<Record<SiteRole, readonly number[]>>;
  readonly #running = new Map<string, Process>();
  /** `replicate` of its index. */
  replicate: object | undefined;
  /** `events` of its index. */
  events: object | undefined;
  /** `backends` of each part. */
  backends: Partial<Readonly<Record<SiteRole, readonly object[]>>> = {};
  /** `replication` of its proxy. */
  replication: object = { receive: { tokens: [secret] } };
  /** More of its proxy. */
  proxy: object = {};

  private constructor(
    cluster: Cluster,
    { name, shape, ports }: { name: string; shape: SiteShape; ports: Readonly<Record<SiteRole, readonly number[]>> },
  ) {
    this.#cluster = cluster;
    this.name = name;
    this.shape = shape;
    this.#ports = ports;
  }

  /** Known by its addresses; nothing runs yet. */
  static async place(cluster: Cluster, name: string, shape: SiteShape = {}): Promise<ReplicatedSite> {
    const some = (n: number): Promise<number[]> => Promise.all(Array.from({ length: n }, () => freePort()));
    const { origins = 1, indexes = 1 } = shape;
    const [origin, index, proxy] = await Promise.all([some(origins), some(indexes), some(1)]);
    return new ReplicatedSite(cluster, { name, shape, ports: { origin, index, proxy } });
  }

  get proxyUrl(): string {
    return this.#urls('proxy')[0] as string;
  }

  get indexUrl(): string {
    return this.#urls('index')[0] as string;
  }

  /** As a remote of others. */
  get remote(): object {
    return { url: this.proxyUrl, token: secret, stall: '3s' };
  }

  part(role: SiteRole, no = 0): Process {
    return this.#running.get(this.#nameOf(role, no)) as Process;
  }

  async start(roles: readonly SiteRole[] = ['index', 'origin', 'proxy']): Promise<this> {
    for (const role of roles) await Promise.all(this.#ports[role].map((_, no) => this.startOne(role, no)));
    return this;
  }

  async startOne(role: SiteRole, no: number): Promise<void> {
    const [name, entry] = [this.#nameOf(role, no), entryUrl(`../${role}/main.ts`, import.meta.url)];
    this.#running.set(name, await this.#cluster.start(entry, name, { role, ...this.#settings(role, no) }));
  }

  async kill(role: SiteRole, no = 0): Promise<void> {
    await this.#running.get(this.#nameOf(role, no))?.stop('SIGKILL');
  }

  log(role: SiteRole, no = 0): Promise<string> {
    return this.#cluster.log(this.#nameOf(role, no));
  }

  #urls(role: SiteRole): readonly string[] {
    const scheme = role === 'proxy' && this.shape.tls !== undefined ? 'https' : 'http';
    return this.#ports[role].map((port) => `${scheme}://${host}:${port}`);
  }

  #nameOf(role: SiteRole, no: number): string {
    return no === 0 ? `${this.name}-${role}` : `${this.name}-${role}-${no}`;
  }

  #settings(role: SiteRole, no: number): object {
    const [origins, index] = [this.#urls('origin'), this.#urls('index')];
    const tls = this.shape.tls && { cluster: 'test', tls: this.shape.tls(role) };
    const backends = this.backends[role];
    const common = { listen: { host, port: this.#ports[role][no] }, ...tls, ...(backends && { backends }) };
    const data = this.#cluster.dataOf(this.#nameOf(role, no));
    switch (role) {
      case 'origin':
        return { ...common, peer: loopback, data, origins, self: origins[no], index, trackers: noTracker };
      case 'index': {
        const { store } = this.shape;
        return {
          ...common,
          data,
          origins,
          ...(store && { store }),
          ...(this.replicate && { replicate: this.replicate }),
          ...(this.events && { events: this.events }),
        };
      }
      case 'proxy':
        return { ...common, index, origins, replication: this.replication, ...this.proxy };
    }
  }
}
