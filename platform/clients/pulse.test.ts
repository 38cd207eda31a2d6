import type { RequestListener } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { HttpClient } from './http.ts';
import { NoAnswer } from './pulse.ts';
import { Stoppable } from './stoppable.fixtures.ts';

const silenceMs = 500;
let stack = new AsyncDisposableStack();
afterEach(async () => {
  await stack.disposeAsync();
  stack = new AsyncDisposableStack();
});

async function start(listener: RequestListener): Promise<{ far: Stoppable; client: HttpClient }> {
  const far = stack.use(await Stoppable.start(listener));
  return { far, client: stack.use(new HttpClient({ base: far.url, silenceMs })) };
}

test('a call that takes long is not ended while pings are answered', async () => {
  const { far, client } = await start((_request, response) => void setTimeout(() => response.end('{}'), 1_500));
  await client.json('PUT', '/commit', { watched: true });
  expect(far.pings).toBeGreaterThan(2);
  expect(client.pulse.well).toBe(true);
});

test('one to a process that hangs is, and so are those beside it; it is remembered until it goes on', async () => {
  const { far, client } = await start((_request, response) => void setTimeout(() => response.end('{}'), 100));
  far.stop();
  const calls = [1, 2].map(() => client.json('PUT', '/commit', { watched: true }));
  for (const call of calls) await expect(call).rejects.toThrow(`hangs: it has answered nothing for ${silenceMs} ms`);
  expect([client.pulse.well, client.pulse.silent]).toEqual([false, true]);
  far.goOn();
  // No call is needed to find out.
  await expect.poll(() => client.pulse.well, { timeout: 5_000 }).toBe(true);
  await client.json('PUT', '/commit', { watched: true });
});

test('an answer that stops in mid-body ends, too; a reader that takes its time does not end it', async () => {
  const { far, client } = await start((request, response) => {
    response.writeHead(200, { 'content-length': String(8_000_000) });
    if (request.url === '/all') response.end(Buffer.alloc(8_000_000));
    else response.write(Buffer.alloc(1_000));
  });
  const slow = await client.stream('GET', '/all', { watched: true, stallMs: 300 });
  let bytes = 0;
  for await (const chunk of slow.body) {
    if (bytes === 0) await sleep(1_500);
    bytes += chunk.length;
  }
  expect(bytes).toBe(8_000_000);
  const cut = await client.stream('GET', '/some', { watched: true });
  far.stop();
  await expect(cut.bytes()).rejects.toThrow('hangs');
});

test('a call that has to be answered by some time is; silence is told from a no', async () => {
  const { far, client } = await start((_request, response) => response.writeHead(503).end());
  const said = await client.json('GET', '/', { withinMs: 200, tries: 1 }).catch((error: unknown) => error);
  expect(said).toMatchObject({ code: 'UNAVAILABLE' });
  expect(said).not.toBeInstanceOf(NoAnswer);
  expect(client.pulse.well).toBe(true);
  far.stop();
  const silent = await client.json('GET', '/', { withinMs: 200 }).catch((error: unknown) => error);
  expect(silent).toBeInstanceOf(NoAnswer);
  expect(silent).toMatchObject({ message: expect.stringContaining('no answer within 200 ms') });
  expect(client.pulse.silent).toBe(true);
});

test('attempts that are repeated share the time; a listener that is gone ends no call that is under way', async () => {
  const { client, far } = await start((request, response) => {
    if (request.url === '/busy') response.writeHead(503, { 'retry-after': '1' }).end();
    else setTimeout(() => response.end('{}'), 1_200);
  });
  const begun = performance.now();
  await expect(client.json('GET', '/busy', { withinMs: 700 })).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  expect(performance.now() - begun).toBeLessThan(1_000);
  const call = client.json('GET', '/slow', { watched: true });
  await sleep(100);
  far.server.close();
  await call;
});

test('a client that was itself held up does not take the other side for hanging', async () => {
  const { client } = await start((_request, response) => response.end('{}'));
  await client.json('GET', '/');
  const [bounded, watched] = [
    client.json('GET', '/', { withinMs: 300, tries: 1 }),
    client.json('PUT', '/', { watched: true }),
  ];
  // The requests are out, and here is nobody to read the answers for longer than any limit.
  await sleep(1);
  for (const untilMs = performance.now() + 1_500; performance.now() < untilMs; );
  await Promise.all([bounded, watched]);
  expect(client.pulse.well).toBe(true);
});

test('one that answers others, but pings too late, is busy and does not hang', async () => {
  const far = stack.use(
    await Stoppable.start(
      (request, response) => void setTimeout(() => response.end('{}'), request.url === '/slow' ? 1_500 : 0),
    ),
  );
  const client = stack.use(new HttpClient({ base: far.url, silenceMs }));
  far.pingMs = 5_000;
  const slow = client.json('PUT', '/slow', { watched: true });
  for (let i = 0; i < 14; i++) {
    await client.json('GET', '/');
    await sleep(100);
  }
  await slow;
});

test('an idle client pings nobody', async () => {
  const { client, far } = await start((_request, response) => response.end('{}'));
  for (let i = 0; i < 5; i++) await client.json('GET', '/', { withinMs: 2_000 });
  await sleep(500);
  expect(far.pings).toBe(0);
});
