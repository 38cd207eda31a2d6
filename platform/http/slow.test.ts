/** How long clients may be still, and who gives way, on real sockets. */

import { createServer, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { copyBytesMax, Outlet } from './outlet.ts';
import { SlowReaders } from './slow.ts';
import { unackedBytes } from './unacked.ts';

/** Longer than it takes for what its kernel gathers before it tells the other side. */
const pauseMs = 2_500;
const fill = Buffer.alloc(1 << 20, 7);
let stack = new AsyncDisposableStack();
afterEach(async () => {
  await stack.disposeAsync();
  stack = new AsyncDisposableStack();
});

/** A response whose client takes nothing until it is told to, and whose kernel can take no more. */
async function full(): Promise<{ outlet: Outlet; client: Socket; drained: Promise<void> }> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  stack.defer(() => new Promise<void>((resolve) => void server.close(() => resolve())));
  const asked = new Promise<ServerResponse>((resolve) => server.once('request', (_, response) => resolve(response)));
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1').pause();
  stack.defer(() => void client.on('error', () => undefined).destroy());
  client.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
  const response = await asked;
  response.writeHead(200, { 'content-length': 1 << 30 });
  const outlet = new Outlet(response);
  for (;;) {
    const { drained, taken } = outlet.writeCopy(fill);
    expect(taken).toBe(copyBytesMax);
    drained.catch(() => undefined);
    if (!(await Promise.race([drained.then(() => true), sleep(300, false)]))) return { outlet, client, drained };
    while (outlet.tryWrite([fill]) > 0) await sleep(1);
  }
}

test('the kernel tells what a client has not acknowledged, and it moves long before the socket drains', async () => {
  const { outlet, client } = await full();
  const look = async (): Promise<number> =>
    (await unackedBytes(new Set([outlet.inode as number]))).get(outlet.inode as number) ?? -1;
  const before = await look();
  expect(before).toBeGreaterThan(0);
  expect(await look()).toBe(before);
  const { unsent } = outlet;
  for (let taken = 0; (await look()) === before && taken < 8 << 20; taken += 65_536) {
    client.read(Math.min(65_536, client.readableLength));
    await sleep(10);
  }
  expect(await look()).not.toBe(before);
  expect(outlet.unsent).toBeLessThanOrEqual(unsent);
});

/** Bytes that a client takes until the socket drains: another number on each kernel. */
async function drainBytes(): Promise<number> {
  const { client, drained } = await full();
  let [taken, over] = [0, false];
  void drained.then(() => {
    over = true;
  });
  while (!over) {
    taken += client.read(Math.min(8_192, client.readableLength))?.length ?? 0;
    await sleep(5);
  }
  return taken;
}

/** Takes `bytesPerMs` until its socket drains: how long that took. */
async function slowlyTaken(slow: SlowReaders, bytesPerMs: number): Promise<number> {
  const { outlet, client, drained } = await full();
  const begun = performance.now();
  let taken = 0;
  const taking = setInterval(() => {
    const due = bytesPerMs * (performance.now() - begun) - taken;
    taken += client.read(Math.min(due, client.readableLength))?.length ?? 0;
  }, 20);
  stack.defer(() => clearInterval(taking));
  await slow.wait('a', outlet, drained);
  clearInterval(taking);
  return performance.now() - begun;
}

test('a client that takes something is not cut, though the socket drains later than its pause; one that does not is', async () => {
  const slow = new SlowReaders({ pauseMs, readersMax: 10 });
  // How much a kernel takes before a socket drains, and before it tells the other side, differs from one to the next: what
  // drains within the pause tells nothing, and what its kernel did not tell of in time was rightly cut.
  const lasted: (number | 'cut')[] = [];
  let slower = 1.2;
  while (!lasted.some((ms) => ms !== 'cut' && ms > pauseMs)) {
    expect(lasted.length).toBeLessThan(8);
    const ms = await slowlyTaken(slow, (await drainBytes()) / (slower * pauseMs)).catch(() => 'cut' as const);
    slower *= ms === 'cut' ? 0.9 : 1.4;
    lasted.push(ms);
  }
  const second = await full();
  await expect(slow.wait('a', second.outlet, second.drained)).rejects.toThrow('took nothing for 2.5 s, the limit of');
  expect(slow.count).toBe(0);
}, 120_000);

test('at the limit the one that was still for longest gives way, of the client that has most', async () => {
  const slow = new SlowReaders({ pauseMs: 60_000, readersMax: 3 });
  const ends: string[] = [];
  for (const name of ['polite 1', 'greedy 1', 'greedy 2', 'polite 2', 'another 1']) {
    const { outlet, drained } = await full();
    const [client = ''] = name.split(' ');
    void slow.wait(client, outlet, drained).catch((error: Error) => ends.push(`${name}: ${error.message}`));
    await sleep(5);
  }
  const why = 'too many clients take nothing (the limit is 3), and this one has taken nothing for longest';
  expect(ends).toEqual([`greedy 1: ${why}`, `polite 1: ${why}`]);
  expect(slow.count).toBe(3);
});
