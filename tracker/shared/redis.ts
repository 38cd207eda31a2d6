/**
 * Redis, or Valkey, as the place where trackers share leases: one connection for questions, one that listens.
 *
 * Rule 1: nothing waits for it for longer than `answerMsMax`; who does not answer is connected to anew, later and later.
 * Rule 2: what it keeps is bounded before it is read: a hash that is no node's, or is too large to be, is not.
 */

import type { ChainableCommander, Redis, SentinelConnectionOptions } from 'ioredis';
import { secretIn } from '../../platform/backends/secret.ts';
import { type NodeNews, selfField, selfText } from './records.ts';

/** A batch is answered by then, or never: Redis takes microseconds for each of its commands. */
const answerMsMax = 1_000;
const connectMsMax = 2_000;
const again = { delayMs: 200, delayMsMax: 5_000 };
const delayOf = (times: number): number => Math.min(again.delayMsMax, again.delayMs * 2 ** Math.min(times, 10));
/**
 * Of a node's hash, and of all that are asked for in one go: an answer that takes longer than `answerMsMax` breaks the
 * connection, again and again. A host of 65,536 blobs has 8 MB, or 13 with digests of 512 bits.
 */
const nodeBytesMax = 16 * 1024 * 1024;
/** Of a message: five times what a whole batch is. It is parsed while no announce is answered. */
const messageBytesMax = 4 * 1024 * 1024;
/** Keys of other lengths are no nodes, and may be 512 MB long: they are not sent at all. */
const anyNode = '?'.repeat(32);
/** How Redis says that a key is no hash. */
const otherKind = 'WRONGTYPE';
/** Keys that one step of a scan looks at. */
const scanKeys = 512;

export type RedisSettings = {
  readonly url: string;
  readonly passwordFile?: string | undefined;
  /** HOST:PORT of each; empty: the URL's host is the server, and not a name that these know. */
  readonly sentinels?: readonly string[] | undefined;
  readonly prefix: string;
  readonly leaseMs: number;
};

export type RedisEvents = {
  /** What another tracker, or this one, published; undefined: it is longer than any of theirs. */
  readonly onMessage: (text: string | undefined) => void;
  /** It can be asked, or listens, from now on. */
  readonly onReady: () => void;
  readonly onTrouble: (why: string) => void;
};

/** Of each node, the leases that are kept of it now; undefined: what is kept there is no node's. */
export type KeptCounts = ReadonlyMap<string, number | undefined>;

type Batch = { readonly news: readonly NodeNews[]; readonly left: readonly string[]; readonly message?: string };

export class RedisLink implements Disposable {
  readonly #asks: Redis;
  readonly #listens: Redis;
  readonly #settings: RedisSettings;

  private constructor(asks: Redis, settings: RedisSettings, events: RedisEvents) {
    this.#asks = asks;
    this.#listens = asks.duplicate();
    this.#settings = settings;
    for (const one of [this.#asks, this.#listens]) one.on('error', (error: Error) => events.onTrouble(error.message));
    this.#listens.on('ready', () => {
      this.#listens.subscribe(this.#channel).then(events.onReady, (error: Error) => events.onTrouble(error.message));
    });
    this.#asks.on('ready', events.onReady);
    // As bytes: a message may be longer than a string can be, which nothing in the library catches.
    this.#listens.on('messageBuffer', (_, bytes: Buffer) =>
      events.onMessage(bytes.length > messageBytesMax ? undefined : String(bytes)),
    );
    for (const one of [this.#asks, this.#listens]) {
      // The next attempt comes after `again.delayMs`: what the file says by then it goes by.
      one.on('close', () => void this.#knowPassword(one, events));
      void this.#knowPassword(one, events).then(() => one.connect().catch(() => undefined));
    }
  }

  /** The library is loaded by this. */
  static async open(settings: RedisSettings, events: RedisEvents): Promise<RedisLink> {
    const { Redis: Client } = await import('ioredis');
    const options = {
      protocol: 2 as const,
      lazyConnect: true,
      connectTimeout: connectMsMax,
      // What could not be told is told of by whoever asks next: nothing gathers here.
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 0,
      enableReadyCheck: false,
      autoResubscribe: false,
      disableClientInfo: true,
      retryStrategy: delayOf,
      // The one that is to be written to is another one now.
      reconnectOnError: (error: Error) => error.message.startsWith('READONLY'),
      ...sentinelsOf(settings),
    };
    return new RedisLink(new Client(settings.url, options), settings, events);
  }

  async #knowPassword({ options }: Redis, { onTrouble }: RedisEvents): Promise<void> {
    const { passwordFile } = this.#settings;
    if (passwordFile === undefined) return;
    try {
      options.password = await secretIn(passwordFile, 'leases');
    } catch (error) {
      onTrouble((error as Error).message);
    }
  }

  /** Connected, as far as is known. */
  get up(): boolean {
    return this.#asks.status === 'ready';
  }

  get #channel(): string {
    return `${this.#settings.prefix}:told`;
  }

  #keyOf(node: string): string {
    return `${this.#settings.prefix}:node:${node}`;
  }

  /** Keeps it, then tells the others. */
  async write({ news, left, message }: Batch): Promise<KeptCounts> {
    const pipeline = this.#asks.pipeline();
    const countAt: number[] = [];
    let commands = 0;
    for (const one of news) {
      const key = this.#keyOf(one.self.node);
      const gone = one.entries.filter(({ state }) => state === 'gone').map(({ digest }) => digest);
      const put = one.entries.flatMap(({ digest, state }) => (state === 'gone' ? [] : [digest, state]));
      if (one.reset) pipeline.del(key);
      pipeline.hset(key, selfField, selfText(one), ...put);
      if (gone.length > 0) pipeline.hdel(key, ...gone);
      pipeline.pexpire(key, this.#settings.leaseMs).hlen(key);
      commands += 3 + (one.reset ? 1 : 0) + (gone.length > 0 ? 1 : 0);
      countAt.push(commands - 1);
    }
    if (left.length > 0) pipeline.del(...left.map((node) => this.#keyOf(node)));
    if (message !== undefined) pipeline.publish(this.#channel, message);
    const results = await this.#all(pipeline);
    return new Map(
      news.map(({ self: { node } }, i) => {
        const count = results[countAt[i] as number];
        return [node, typeof count === 'number' ? count - 1 : undefined];
      }),
    );
  }

  /** The hashes of these nodes, as far as there is anything; undefined: it can be none. */
  async read(nodes: readonly string[]): Promise<[string, Readonly<Record<string, string>> | undefined][]> {
    const sizes = this.#asks.pipeline();
    for (const node of nodes) sizes.call('MEMORY', 'USAGE', this.#keyOf(node), 'SAMPLES', '0');
    const bytes = await this.#all(sizes);
    const there = nodes.filter((_, i) => typeof bytes[i] === 'number');
    const read = new Map<string, Readonly<Record<string, string>> | undefined>();
    const group: string[] = [];
    let left = nodeBytesMax;
    for (const [i, node] of nodes.entries()) {
      const size = bytes[i];
      if (typeof size !== 'number' || size > nodeBytesMax) continue;
      if (size > left) await this.#readInto(read, group.splice(0));
      if (group.length === 0) left = nodeBytesMax;
      group.push(node);
      left -= size;
    }
    await this.#readInto(read, group);
    return there.map((node) => [node, read.get(node)]);
  }

  async #readInto(
    read: Map<string, Readonly<Record<string, string>> | undefined>,
    nodes: readonly string[],
  ): Promise<void> {
    if (nodes.length === 0) return;
    const hashes = this.#asks.pipeline();
    for (const node of nodes) hashes.hgetall(this.#keyOf(node));
    const answers = await this.#all(hashes);
    for (const [i, node] of nodes.entries()) read.set(node, answers[i] as Record<string, string> | undefined);
  }

  /** One step through all nodes that are kept, from `cursor` on ('0' at first, and when it is over). */
  async scan(cursor: string): Promise<{ readonly cursor: string; readonly nodes: readonly string[] }> {
    const start = this.#keyOf('');
    // A prefix of the configuration's has no character that a pattern gives a meaning to.
    const [next, keys] = await this.#run(() => this.#asks.scan(cursor, 'MATCH', start + anyNode, 'COUNT', scanKeys));
    return { cursor: next, nodes: keys.map((key) => key.slice(start.length)) };
  }

  /** Whoever listens hears nothing: it is connected anew. */
  listenAnew(): void {
    this.#listens.disconnect(true);
  }

  [Symbol.dispose](): void {
    for (const one of [this.#asks, this.#listens]) one.disconnect();
  }

  /** What each command was answered; undefined where the key is of another kind. Anything else that failed is thrown. */
  async #all(pipeline: ChainableCommander): Promise<unknown[]> {
    const results = await this.#run(() => pipeline.exec());
    return results.map(([error, result]) => {
      if (error !== null && !error.message.startsWith(otherKind)) throw error;
      return error === null ? result : undefined;
    });
  }

  async #run<T>(ask: () => Promise<T | null>): Promise<T> {
    const late = Promise.withResolvers<null>();
    const timer = setTimeout(() => {
      late.reject(new Error(`no answer within ${answerMsMax} ms`));
      this.#asks.disconnect(true);
    }, answerMsMax);
    try {
      const told = await Promise.race([ask(), late.promise]);
      if (told === null) throw new Error('it was cut off');
      return told;
    } finally {
      clearTimeout(timer);
    }
  }
}

type OfSentinels = Pick<
  SentinelConnectionOptions,
  'sentinels' | 'name' | 'enableTLSForSentinelMode' | 'sentinelCommandTimeout' | 'sentinelRetryStrategy'
>;

/** Who tells which server it is, by the name that stands for its host. */
function sentinelsOf({ url, sentinels = [] }: RedisSettings): OfSentinels {
  if (sentinels.length === 0) return {};
  const { hostname, protocol } = new URL(url);
  const at = (text: string) => {
    const colon = text.lastIndexOf(':');
    return { host: text.slice(0, colon).replaceAll(/[[\]]/g, ''), port: Number(text.slice(colon + 1)) };
  };
  return {
    sentinels: sentinels.map(at),
    name: hostname,
    enableTLSForSentinelMode: protocol === 'rediss:',
    sentinelCommandTimeout: answerMsMax,
    sentinelRetryStrategy: delayOf,
  };
}
