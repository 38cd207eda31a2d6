/** A cluster whose parts may be killed and stopped: indexes, two origins, a proxy, and the server of S3 that it deletes from. */

import type { Prng } from '../../../../core/prng.ts';
import { entryUrl } from '../../../../platform/lifecycle/entry.ts';
import type { Cluster, Process } from '../../../../platform/testing/cluster.ts';
import { freePort } from '../../../../platform/testing/ports.ts';
import type { S3Server } from '../servers/s3.ts';
import type { Restartable } from '../servers/server.ts';

const host = '127.0.0.1';
export const graceMs = 2_000;
const gc = { grace: `${graceMs}ms`, every: '1s' };

type Part = { readonly kill: () => Promise<void>; readonly start: () => Promise<void>; signal(name: Signal): void };
type Signal = 'SIGSTOP' | 'SIGCONT';

export type Settings = {
  readonly cluster: Cluster;
  readonly bucket: S3Server;
  /** Of each index: its `store`; none: SQLite, of one. */
  readonly stores: readonly (object | undefined)[];
  /** What else may be killed: the server of the store. */
  readonly engine?: Restartable | undefined;
};

export class Site {
  readonly parts = new Map<string, Part>();
  readonly origins: string[] = [];
  readonly indexes: string[] = [];
  proxy = '';

  static async start({ cluster, bucket, stores, engine }: Settings): Promise<Site> {
    const site = new Site();
    const port = async (): Promise<number> => await freePort();
    const [first, second, proxyPort] = [await port(), await port(), await port()];
    const indexPorts = await Promise.all(stores.map(port));
    const url = (at: number): string => `http://${host}:${at}`;
    site.origins.push(url(first), url(second));
    site.indexes.push(...indexPorts.map(url));
    site.proxy = url(proxyPort);
    const backends = [{ ...bucket.rule, delete: true }];
    const shared = { origins: site.origins, backends };
    for (const [i, at] of indexPorts.entries())
      await site.#add(cluster, `index-${i}`, {
        ...{ role: 'index', listen: { host, port: at }, data: cluster.dataOf(`index-${i}`), keepUnlinked: '1s', gc },
        ...shared,
        ...(stores[i] === undefined ? {} : { store: stores[i] }),
      });
    for (const [i, at] of [first, second].entries())
      await site.#add(cluster, `origin-${i}`, {
        ...{ role: 'origin', listen: { host, port: at }, peer: { host, port: 0 }, data: cluster.dataOf(`origin-${i}`) },
        ...{ trackers: ['http://127.0.0.1:1'], disk: { budget: '1GB' }, index: site.indexes },
        ...shared,
      });
    const push = { copies: 2, required: 1 };
    const ofProxy = {
      role: 'proxy',
      listen: { host, port: proxyPort },
      index: site.indexes,
      origins: site.origins,
      push,
    };
    await site.#add(cluster, 'proxy', ofProxy);
    for (const [name, server] of Object.entries({ bucket, ...(engine && { engine }) }))
      site.parts.set(name, {
        kill: () => server.kill(),
        start: () => again(() => server.start()),
        signal: (signal) => server.signal(signal),
      });
    return site;
  }

  async #add(cluster: Cluster, name: string, settings: { readonly role: string }): Promise<void> {
    const entry = entryUrl(`../../../../${settings.role}/main.ts`, import.meta.url);
    let process: Process;
    const part: Part = {
      kill: async () => void (await process.stop('SIGKILL')),
      start: async () => {
        process = await cluster.start(entry, name, settings);
      },
      signal: (signal) => (signal === 'SIGSTOP' ? process.hang() : process.wake()),
    };
    await part.start();
    this.parts.set(name, part);
  }

  /** Kills or stops one at random, and has it go on. What was done. */
  async fault(random: Prng): Promise<string> {
    const names = [...this.parts.keys()];
    const name = names[random.below(names.length)] as string;
    const part = this.parts.get(name) as Part;
    if (random.below(2) === 0) {
      await part.kill();
      await pause(random.below(1_000));
      await part.start();
      return `${name} killed`;
    }
    part.signal('SIGSTOP');
    await pause(500 + random.below(3_500));
    part.signal('SIGCONT');
    return `${name} stopped`;
  }
}

/** A server that was killed may be refused once or twice what it left. */
async function again(start: () => Promise<void>): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await start();
    } catch (error) {
      if (attempt === 5) throw error;
      await pause(1_000);
    }
  }
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
