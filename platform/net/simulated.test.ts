/** What only the simulated net does: cuts, power that fails, equal runs, and virtual time that says how long bytes take. */

import { expect, test } from 'vitest';
import type { Connection, Ears, Incoming } from './net.ts';
import type { Pair } from './simulated-connection.ts';
import { simulatedWorld } from './testing/worlds.ts';

const latencyMs = 5;
const bytesPerMs = 1_000;

/** Both ends' story, line by line, with its times. */
async function scene() {
  const { world, net, clock } = simulatedWorld({ latencyMs, bytesPerMs });
  const story: string[] = [];
  const note = (line: string): void => void story.push(`${clock.ms.toFixed(1)} ${line}`);
  const counts = { a: 0, b: 0 };
  const ears = (name: 'a' | 'b'): Ears => ({
    connected: () => note(`${name} connected`),
    received: (bytes: number) => {
      counts[name] += bytes;
      note(`${name} ${bytes}`);
      return true;
    },
    closed: (why: string) => note(`${name} ${why}`),
  });
  const server = net.place('s');
  const client = net.place('c');
  const held: { b?: Connection } = {};
  const accept = (incoming: Incoming): void => {
    held.b = incoming.take(ears('b'));
  };
  await server.listen({ host: 's', port: 7 }, { accept, failed: () => undefined });
  const a = client.dial({ host: 's', port: 7 }, ears('a'));
  await world.until(() => story.length > 0);
  const [pair] = [...net.pairs] as [Pair];
  return { world, clock, server, client, story, counts, a, b: held.b as Connection, pair };
}

test('a connection takes a round trip, and bytes their time at the rate', async () => {
  const { world, clock, story, counts, b } = await scene();
  expect(story).toEqual([`${(2 * latencyMs).toFixed(1)} a connected`]);
  const beganMs = clock.ms;
  let doneMs = 0;
  b.write(new Uint8Array(100_000), () => {
    doneMs = clock.ms;
  });
  await world.until(() => counts.a === 100_000 && doneMs > 0);
  expect(doneMs - beganMs).toBeGreaterThanOrEqual(100_000 / bytesPerMs + latencyMs);
  expect(doneMs - beganMs).toBeLessThan(100_000 / bytesPerMs + latencyMs + 2);
});

test('equal calls give equal runs', async () => {
  const run = async (): Promise<string[]> => {
    const { world, story, a, b } = await scene();
    for (let i = 1; i < 20; i++) {
      a.write(new Uint8Array(i * 37), () => undefined);
      b.write(new Uint8Array(i * 999), () => undefined);
    }
    a.end();
    await world.until(() => story.some((line) => line.endsWith('closed by the peer')));
    return story;
  };
  expect(await run()).toEqual(await run());
});

test('what is under way when a cut begins arrives after it, where the connection lives', async () => {
  const { world, counts, a, b, pair, story } = await scene();
  b.write(new Uint8Array(5_000), () => undefined);
  a.write(new Uint8Array(400), () => undefined);
  pair.cut();
  await world.rest();
  expect(counts).toEqual({ a: 0, b: 0 });
  pair.mend(true);
  expect(counts).toEqual({ a: 5_000, b: 400 });
  a.write(new Uint8Array(1), () => undefined);
  await world.until(() => counts.b === 401);
  expect(story.some((line) => line.includes('ECONNRESET'))).toBe(false);
});

test('a connection that a cut has broken is reset at both ends, and what was under way is lost', async () => {
  const { world, counts, b, pair, story } = await scene();
  b.write(new Uint8Array(5_000), () => undefined);
  pair.cut();
  await world.rest();
  pair.mend(false, 20);
  await world.rest();
  expect(counts.a).toBe(0);
  expect(story.filter((line) => line.includes('ECONNRESET')).length).toBe(2);
});

test('a process that ends resets its connections and shuts its doors', async () => {
  const { world, server, client, story, a } = await scene();
  server.end();
  await world.until(() => story.length > 1);
  expect(story.slice(1).map((line) => line.split(' ').slice(1).join(' '))).toEqual(['a read ECONNRESET']);
  a.write(new Uint8Array(1), () => expect.unreachable());
  const told: string[] = [];
  client.dial({ host: 's', port: 7 }, { received: () => true, closed: (why) => void told.push(why) });
  await world.until(() => told.length > 0);
  expect(told[0]).toContain('ECONNREFUSED');
});

test('a host without power tells nobody: the other end notices in time', async () => {
  const { world, clock, server, story, a } = await scene();
  server.end(true);
  a.write(new Uint8Array(10), () => expect.unreachable());
  await world.rest();
  expect(story.length).toBe(1);
  await world.until(() => story.length > 1);
  expect(clock.ms).toBeGreaterThan(9_000);
  expect(story[1]).toMatch(/ a .*ETIMEDOUT/);
});

test('a writer that resets takes its memory back: what was held back of it is not read', async () => {
  const { world, counts, a, b } = await scene();
  a.pause();
  let done = 0;
  for (let i = 0; i < 10; i++) b.write(new Uint8Array(100_000), () => done++);
  await world.until(() => done > 0);
  await new Promise((resolve) => setImmediate(resolve));
  for (let i = 0; i < 20; i++) await world.rest();
  const handedOver = done * 100_000;
  expect(done).toBeLessThan(10);
  b.destroy();
  a.resume();
  await world.rest();
  // Of one more the beginning may have come on its own.
  expect(counts.a).toBeLessThan(handedOver + 100_000);
});

test('an end says what it waits for, and since when it has not moved', async () => {
  const { world, clock, client, counts, a, b, pair } = await scene();
  const [dialler, acceptor] = pair.ends;
  const connectedMs = clock.ms;
  expect(dialler.waiting).toEqual({ what: 'firstByte', sinceMs: connectedMs });
  b.write(new Uint8Array(100), () => undefined);
  expect(acceptor.waiting).toEqual({ what: 'reader', sinceMs: connectedMs });
  await world.until(() => counts.a === 100);
  expect(dialler.waiting).toBeUndefined();

  pair.cut();
  b.write(new Uint8Array(100), () => undefined);
  const writtenMs = clock.ms;
  await world.rest();
  b.write(new Uint8Array(100), () => undefined);
  expect(acceptor.waiting).toEqual({ what: 'reader', sinceMs: writtenMs });
  pair.mend(true);
  await world.until(() => counts.a === 300);

  a.pause();
  b.end();
  const endedMs = clock.ms;
  await world.rest();
  expect(acceptor.waiting).toEqual({ what: 'end', sinceMs: endedMs });
  a.destroy();
  expect(dialler.waiting).toBeUndefined();

  client.dial({ host: 's', port: 7 }, { received: () => true, closed: () => undefined });
  expect([...client.ends].at(-1)?.waiting).toEqual({ what: 'connection', sinceMs: clock.ms });
});
