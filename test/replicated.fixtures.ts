/** For tests: clusters of real processes that send their writes to one another; any part may be killed, stopped, started again. */

import { entryUrl } from '../platform/lifecycle/entry.ts';
import type { Cluster, Process } from '../platform/testing/cluster.ts';
import { freePort } from '../platform/testing/ports.ts';

const host = '127.0.0.1';
const loopback = { host, port: 0 };
export const secret = 'a secret of all these clusters';

type Role = 'origin' | 'index' | 'proxy';

/** A tracker, that has nothing to do with it, is none of theirs: nobody pulls by the swarm here. */
const noTracker = [`http://${host}:1`];

export class ReplicatedSite {
  readonly name: string;
  readonly #cluster: Cluster;
  readonly #ports: Readonly<Record<Role, number>>;
  readonly #running = new Map<Role, Process>();
  /** `replicate` of its index. */
  replicate: object | undefined;
  /** `replication` of its proxy. */
  replication: object = { receive: { tokens: [secret] } };

  private constructor(cluster: Cluster, name: string, ports: Readonly<Record<Role, number>>) {
    this.#cluster = cluster;
    this.name = name;
    this.#ports = ports;
  }

  /** Known by its addresses; nothing runs yet. */
  static async place(cluster: Cluster, name: string): Promise<ReplicatedSite> {
    const [origin, index, proxy] = await Promise.all([freePort(), freePort(), freePort()]);
    return new ReplicatedSite(cluster, name, { origin, index, proxy });
  }

  get proxyUrl(): string {
    return `http://${host}:${this.#ports.proxy}`;
  }

  get indexUrl(): string {
    return `http://${host}:${this.#ports.index}`;
  }

  /** As a remote of others. */
  get remote(): object {
    return { url: this.proxyUrl, token: secret, stall: '3s' };
  }

  part(role: Role): Process {
    return this.#running.get(role) as Process;
  }

  async start(roles: readonly Role[] = ['index', 'origin', 'proxy']): Promise<this> {
    for (const role of roles) {
      const entry = entryUrl(`../${role}/main.ts`, import.meta.url);
      const started = await this.#cluster.start(entry, `${this.name}-${role}`, { role, ...this.#settings(role) });
      this.#running.set(role, started);
    }
    return this;
  }

  async kill(role: Role): Promise<void> {
    await this.#running.get(role)?.stop('SIGKILL');
  }

  log(role: Role): Promise<string> {
    return this.#cluster.log(`${this.name}-${role}`);
  }

  #settings(role: Role): object {
    const [origins, index] = [[`http://${host}:${this.#ports.origin}`], [this.indexUrl]];
    const listen = { host, port: this.#ports[role] };
    const data = this.#cluster.dataOf(`${this.name}-${role}`);
    switch (role) {
      case 'origin':
        return { listen, peer: loopback, data, origins, self: origins[0], index, trackers: noTracker };
      case 'index':
        return { listen, data, origins, ...(this.replicate && { replicate: this.replicate }) };
      case 'proxy':
        return { listen, index, origins, replication: this.replication };
    }
  }
}
