/** A request's context at the server: deadlines that are over, clients that leave, what the log says of it. */

import { Writable } from 'node:stream';
import { pino } from 'pino';
import { afterEach, expect, test } from 'vitest';
import { Metrics } from '../telemetry/metrics.ts';
import { callOf } from './call.ts';
import { createHttp, listen } from './server.ts';

const stack: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of stack.splice(0)) await one[Symbol.asyncDispose]();
});

async function serve() {
  const lines: Record<string, unknown>[] = [];
  const sink = new Writable({
    write(chunk: Buffer, _encoding, done) {
      lines.push(JSON.parse(chunk.toString()) as Record<string, unknown>);
      done();
    },
  });
  const log = pino({ level: 'debug' }, sink);
  const app = createHttp({ role: 'index', log, metrics: new Metrics(), readiness: async () => [] });
  const called: string[] = [];
  const ended: unknown[] = [];
  app.get('/at-once', (request) => {
    called.push('at-once');
    return { name: callOf(request).caller?.name, left: callOf(request).leftMs };
  });
  app.get('/waits', async (request) => {
    called.push('waits');
    const { signal } = callOf(request);
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    ended.push(signal.reason);
    signal.throwIfAborted();
  });
  const listening = await listen(app, { host: '127.0.0.1', port: 0 });
  stack.push(listening);
  const get = (path: string, headers: Record<string, string>, signal: AbortSignal | null = null) =>
    fetch(`http://127.0.0.1:${listening.port}${path}`, { headers: { ...headers, connection: 'close' }, signal });
  return { get, called, ended, lines };
}

test('a deadline that is over is answered at once, and nothing is done', async () => {
  const { get, called } = await serve();
  const late = await get('/at-once', { 'x-shoal-deadline': '0' });
  expect([late.status, await late.json()]).toMatchObject([503, { errors: [{ code: 'UNAVAILABLE' }] }]);
  expect(called).toEqual([]);
  for (const headers of [{ 'x-shoal-deadline': '5000' }, { 'x-shoal-deadline': '-1' }, {}])
    expect((await get('/at-once', headers)).status).toBe(200);
  expect(called).toHaveLength(3);
});

test('work ends with the deadline, and is answered; and with a client that leaves', async () => {
  const { get, called, ended } = await serve();
  const late = await get('/waits', { 'x-shoal-deadline': '50' });
  expect([late.status, await late.json()]).toMatchObject([503, { errors: [{ code: 'UNAVAILABLE' }] }]);
  const leaving = new AbortController();
  const left = get('/waits', {}, leaving.signal);
  const refused = expect(left).rejects.toThrow();
  await expect.poll(() => called).toHaveLength(2);
  leaving.abort();
  await refused;
  await expect.poll(() => ended).toMatchObject([{ code: 'UNAVAILABLE' }, { code: 'REQUEST_INVALID' }]);
});

test('every line of a request names its trace: the one that it came with, or a new one', async () => {
  const { get, lines } = await serve();
  const traceId = 'ab'.repeat(16);
  const parentId = 'cd'.repeat(8);
  await get('/at-once', { traceparent: `00-${traceId}-${parentId}-00`, 'x-request-id': 'one' });
  await get('/at-once', {});
  const ofRequests = () => lines.filter(({ msg }) => msg === 'request');
  await expect.poll(() => ofRequests().length).toBe(2);
  const [first, second] = ofRequests();
  expect(first).toMatchObject({
    requestId: 'one',
    traceId,
    parentId,
    spanId: expect.stringMatching(/^[0-9a-f]{16}$/),
  });
  expect(second).toMatchObject({ traceId: expect.stringMatching(/^[0-9a-f]{32}$/) });
  expect(second).not.toHaveProperty('parentId');
});
