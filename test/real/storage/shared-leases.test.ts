/**
 * Trackers that share their leases through a real Redis: a second one and one that was restarted know the swarm at once,
 * and a Redis that is away, hangs, has lost everything or holds junk costs no announce anything.
 */
import { writeFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { type AnnounceEntry, type AnnounceReply, TRACKER } from '../../../core/contracts/tracker.ts';
import { testDigest, testPeer } from '../../../core/handout/fixtures.ts';
import { RoleProcess } from '../../../harness/roles.ts';
import { temporary } from '../processes.ts';
import { type RedisServer, startRedis, startSentinel } from './redis-server.ts';

const blobs = 60;
/** Above what a lookup at an origin that is not there takes, and far below any wait for Redis that would be a mistake. */
const waitMsMax = 20_000;

type Leases = { readonly dir: string; readonly redis: RedisServer };
async function setUp(stack: AsyncDisposableStack, leases: (on: Leases) => Promise<object> = async () => ({})) {
  const dir = await temporary(stack, 'leases');
  const redis = await startRedis(dir);
  stack.use(redis.server);
  const more = await leases({ dir, redis });
  let no = 0;
  const tracker = async (): Promise<Tracker> => {
    const name = `tracker-${no++}`;
    const config = {
      listen: { host: '127.0.0.1', port: 0 },
      origins: ['http://127.0.0.1:9'],
      lease: '5m',
      leases: { redis: redis.url, prefix: 'test', ...more },
    };
    return new Tracker(stack.use(await RoleProcess.start({ role: 'tracker', name, dir, config })));
  };
  return { dir, redis, tracker };
}

class Tracker {
  readonly process: RoleProcess;
  readonly #base: string;

  constructor(process: RoleProcess) {
    this.process = process;
    this.#base = `http://127.0.0.1:${process.ports['api']}`;
  }

  async announce(no: number, entries: readonly AnnounceEntry[], held?: number): Promise<AnnounceReply> {
    const response = await fetch(this.#base + TRACKER.announce.path({}), {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ self: testPeer(no), entries, held }),
      signal: AbortSignal.timeout(waitMsMax),
    });
    expect(response.status).toBe(200);
    return (await response.json()) as AnnounceReply;
  }

  count(name: string): Promise<number> {
    return this.process.counter(this.#base, `shoal_tracker_${name}`);
  }

  has(leases: number): Promise<void> {
    return expect.poll(() => this.count('leases'), { timeout: waitMsMax }).toBe(leases);
  }
}

const all = (state: AnnounceEntry['state'], from = 0): AnnounceEntry[] =>
  Array.from({ length: blobs }, (_, i) => ({ digest: testDigest(from + i), state, seek: 0 }));
const seek = (no: number): AnnounceEntry[] => [{ digest: testDigest(no), state: 'want', seek: 8 }];
const stopped = (redis: RedisServer): Disposable => {
  process.kill(redis.server.pid, 'SIGSTOP');
  return { [Symbol.dispose]: () => void process.kill(redis.server.pid, 'SIGCONT') };
};

test('a second tracker, and one that was restarted, know the swarm without being told', {
  timeout: 120_000,
}, async () => {
  await using stack = new AsyncDisposableStack();
  const { tracker } = await setUp(stack);
  const first = await tracker();
  for (let no = 1; no <= 20; no++) await first.announce(no, all('have'));
  // It starts, and knows; afterwards each hears of the other's.
  const second = await tracker();
  await second.has(20 * blobs);
  const told = await second.announce(99, seek(0), 1);
  expect(told.answers[0]?.peers).toHaveLength(8);
  expect(told.resync).toBeUndefined();
  await first.has(20 * blobs + 1);
  // Behind one load balancer: the next announce of a node goes to the other one, which counts as it does.
  expect(
    (await second.announce(1, [{ digest: testDigest(0), state: 'gone', seek: 0 }], blobs - 1)).resync,
  ).toBeUndefined();
  await first.has(20 * blobs);
  expect((await first.announce(1, [], blobs - 1)).resync).toBeUndefined();
  await first.process[Symbol.asyncDispose]();
  const restarted = await tracker();
  await restarted.has(20 * blobs);
  expect((await restarted.announce(2, [], blobs)).resync).toBeUndefined();
});

test('Redis hangs, is gone, has lost everything: announces go on, and it is mended', { timeout: 180_000 }, async () => {
  await using stack = new AsyncDisposableStack();
  const { redis, tracker } = await setUp(stack);
  const [first, second] = [await tracker(), await tracker()];
  await first.announce(1, all('have'));
  await second.has(blobs);
  {
    using _hangs = stopped(redis);
    await first.announce(2, all('have'));
    expect((await first.announce(3, seek(0))).answers[0]?.peers).toHaveLength(2);
    await expect.poll(() => first.count('shared_failed'), { timeout: waitMsMax }).toBeGreaterThan(0);
    // One that starts meanwhile answers as one that shares nothing.
    expect((await (await tracker()).announce(1, [], blobs)).resync).toBe(true);
  }
  // Whatever was not told is found out about as nodes renew.
  const renewed = async (): Promise<number> => {
    for (const [no, held] of [
      [1, blobs],
      [2, blobs],
      [3, 1],
    ] as const)
      await first.announce(no, [], held);
    return second.count('leases');
  };
  await expect.poll(renewed, { timeout: waitMsMax, interval: 200 }).toBe(2 * blobs + 1);
  await redis.server.kill();
  expect((await first.announce(4, seek(0))).answers[0]?.peers).toHaveLength(3);
  await redis.server.start();
  // It has lost everything: who renews is written there whole, and is known to who starts then.
  await expect.poll(renewed, { timeout: waitMsMax, interval: 200 }).toBe(2 * blobs + 1);
  const kept = async (): Promise<string> => {
    await renewed();
    return redis.say('HLEN', `test:node:${testPeer(1).node}`);
  };
  await expect.poll(kept, { timeout: waitMsMax }).toBe(`:${blobs + 1}`);
  await (await tracker()).has(2 * blobs + 1);
});

test('junk in Redis is passed over, and written right where it is a node that is known', {
  timeout: 120_000,
}, async () => {
  await using stack = new AsyncDisposableStack();
  const { redis, tracker } = await setUp(stack);
  const key = (no: number): string => `test:node:${testPeer(no).node}`;
  await redis.say('SET', key(1), 'no hash');
  await redis.say('HSET', key(2), '', '{"self":', testDigest(0), 'have');
  await redis.say('HSET', key(3), '', JSON.stringify({ self: testPeer(4), client: 'x' }), testDigest(0), 'have');
  await redis.say('HSET', key(5), '', JSON.stringify({ self: testPeer(5), client: 'x' }), 'no digest', 'have');
  await redis.say('LPUSH', key(6), 'x');
  // As long as no node's: it is not even asked for.
  await redis.say('LPUSH', 'test:node:junk', 'x');
  const first = await tracker();
  expect(await first.count('nodes')).toBe(0);
  await expect.poll(() => first.count('shared_unreadable'), { timeout: waitMsMax }).toBe(5);
  for (const junk of ['', 'x', '{}', '{"from":"x","news":[1]}', '[]', 'null'])
    await redis.say('PUBLISH', 'test:told', junk);
  await expect.poll(() => first.count('shared_unreadable'), { timeout: waitMsMax }).toBeGreaterThanOrEqual(10);
  for (const no of [1, 2, 3, 5]) await first.announce(no, all('have'), blobs);
  await expect.poll(() => redis.say('HLEN', key(1)), { timeout: waitMsMax }).toBe(`:${blobs + 1}`);
  await (await tracker()).has(4 * blobs);
});

test('a password that lies in a file is read again for each connection; with a wrong one announces go on', {
  timeout: 120_000,
}, async () => {
  await using stack = new AsyncDisposableStack();
  let passwordFile = '';
  const { redis, tracker } = await setUp(stack, async ({ dir, redis: { say, url } }) => {
    passwordFile = `${dir}/password`;
    await writeFile(passwordFile, 'one\n');
    expect(await say('ACL', 'SETUSER', 'tracker', 'on', '>one', '~test:*', '&test:*', '+@all')).toBe('+OK');
    return { redis: url.replace('redis://', 'redis://tracker@'), passwordFile };
  });
  const [first, second] = [await tracker(), await tracker()];
  await first.announce(1, all('have'));
  await second.has(blobs);
  // The server's is another one before the file's is.
  await redis.say('ACL', 'SETUSER', 'tracker', 'resetpass', '>two');
  await redis.say('CLIENT', 'KILL', 'USER', 'tracker');
  await expect.poll(() => first.count('shared_up'), { timeout: waitMsMax }).toBe(0);
  await first.announce(2, all('have'));
  await writeFile(passwordFile, 'two\n');
  const renewed = async (): Promise<number> => {
    await first.announce(2, [], blobs);
    return second.count('leases');
  };
  await expect.poll(renewed, { timeout: 2 * waitMsMax, interval: 200 }).toBe(2 * blobs);
});

test('sentinels tell which server is to be written to, also once it is another one', { timeout: 180_000 }, async () => {
  await using stack = new AsyncDisposableStack();
  let standby: RedisServer | undefined;
  const { redis, tracker } = await setUp(stack, async ({ dir, redis: { url } }) => {
    standby = await startRedis(dir, ['--replicaof', '127.0.0.1', new URL(url).port]);
    stack.use(standby.server);
    const sentinel = await startSentinel(dir, 'leases', url);
    stack.use(sentinel.server);
    const follows = (): Promise<string> => sentinel.say('SENTINEL', 'REPLICAS', 'leases');
    await expect.poll(follows, { timeout: 3 * waitMsMax }).toBe('*1');
    return { redis: 'redis://leases/0', sentinels: [sentinel.at] };
  });
  const [first, second] = [await tracker(), await tracker()];
  await first.announce(1, all('have'));
  await second.has(blobs);
  await redis.server.kill();
  const renewed = async (): Promise<string> => {
    await first.announce(1, [], blobs);
    await first.announce(2, all('have'), 0);
    return (await standby?.say('HLEN', `test:node:${testPeer(2).node}`)) ?? '';
  };
  await expect.poll(renewed, { timeout: 3 * waitMsMax, interval: 500 }).toBe(`:${blobs + 1}`);
  await second.has(2 * blobs);
  await (await tracker()).has(2 * blobs);
});
