/** What is read of a Redis that has junk: bounded before it is asked for, and never as one string that is too long. */

import { afterEach, expect, test, vi } from 'vitest';
import { testPeer } from '../../core/handout/fixtures.ts';
import { selfField, selfText } from './records.ts';
import { ScriptedRedis } from './redis.fixtures.ts';
import { RedisLink } from './redis.ts';

const MiB = 1024 * 1024;
const eventually = { timeout: 60_000, interval: 5 };
let stack = new AsyncDisposableStack();
afterEach(async () => {
  await stack.disposeAsync();
  stack = new AsyncDisposableStack();
});

async function setUp(sizes: ReadonlyMap<string, number>) {
  const redis = await new ScriptedRedis(([command = '', ...args]) => {
    if (command === 'scan') return ['0', []];
    if (command === 'MEMORY') return sizes.get(String(args[1])) ?? 0;
    if (command === 'hgetall') return [selfField, selfText({ self: testPeer(1), client: 'c' })];
    return 'OK';
  }).start(stack);
  const heard: (string | undefined)[] = [];
  const link = stack.use(
    await RedisLink.open(
      { url: redis.url, prefix: 'p', leaseMs: 1000 },
      { onMessage: (text) => heard.push(text), onReady: () => undefined, onTrouble: () => undefined },
    ),
  );
  await vi.waitFor(() => expect([link.up, redis.listeners]).toEqual([true, 1]), eventually);
  return { redis, link, heard };
}

test('a message that is longer than any is told of, and is no text; the next one is heard', async () => {
  const { redis, heard } = await setUp(new Map());
  redis.publish('p:told', Buffer.alloc(5 * MiB, '['));
  redis.publish('p:told', Buffer.from('short'));
  await vi.waitFor(() => expect(heard).toEqual([undefined, 'short']), eventually);
});

test('keys that are as long as no node is are not sent for', async () => {
  const { redis, link } = await setUp(new Map());
  await link.scan('0');
  expect(redis.asked.flat().filter(([command]) => command === 'scan')).toEqual([
    ['scan', '0', 'MATCH', `p:node:${'?'.repeat(32)}`, 'COUNT', '512'],
  ]);
});

test('of nodes that are large each is read, so many bytes at once; one that is too large is not', async () => {
  const nodes = [1, 2, 3, 4].map((no) => testPeer(no).node);
  const [one = '', two = '', three = '', four = ''] = nodes;
  const sizes = [9 * MiB, 9 * MiB, 40 * MiB, 3 * MiB];
  const { redis, link } = await setUp(new Map(nodes.map((node, i) => [`p:node:${node}`, sizes[i] ?? 0])));
  const read = await link.read(nodes);
  expect(read.map(([node, hash]) => [node, hash !== undefined])).toEqual([
    [one, true],
    [two, true],
    [three, false],
    [four, true],
  ]);
  const together = redis.asked.map((some) => some.flatMap(([name, key]) => (name === 'hgetall' ? [key] : [])));
  expect(together.filter(({ length }) => length > 0)).toEqual([[`p:node:${one}`], [`p:node:${two}`, `p:node:${four}`]]);
});
