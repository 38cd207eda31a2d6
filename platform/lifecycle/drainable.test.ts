import { request as httpRequest, type IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { streamBodies } from '../http/exchange.ts';
import { createHttp, type Listening, listen } from '../http/server.ts';
import { silentLog } from '../telemetry/log.ts';
import { Metrics } from '../telemetry/metrics.ts';
import { Drain, drainable, followUpMs } from './drain.ts';

const size = 1_000_000;
let drain: Drain;
let listening: Listening;
/** Ends the answers that are open. */
let release: () => void;

beforeEach(async () => {
  drain = new Drain();
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  const app = createHttp({ role: 'proxy', log: silentLog(), metrics: new Metrics(), readiness: async () => [] });
  drainable(app, drain, {
    role: 'proxy',
    workOf: (method, path) =>
      path.startsWith('/up')
        ? { kind: 'uploads', continues: method !== 'POST' }
        : { kind: 'downloads', continues: false },
  });
  app.get('/slow', async (_request, reply) => {
    reply.hijack();
    reply.raw.writeHead(200, { 'content-length': size });
    reply.raw.write(Buffer.alloc(size / 2));
    await gate;
    reply.raw.end(Buffer.alloc(size / 2));
  });
  app.get('/late', async () => gate.then(() => ({})));
  app.register((scope, _options, done) => {
    streamBodies(scope);
    scope.route({
      method: ['POST', 'PATCH', 'PUT'],
      url: '/up',
      handler: async (request, reply) => {
        let bytes = 0;
        for await (const chunk of (request.body ?? []) as AsyncIterable<Buffer>) bytes += chunk.length;
        return reply.code(request.method === 'PUT' ? 201 : 202).send({ bytes });
      },
    });
    done();
  });
  listening = await listen(app, { host: '127.0.0.1', port: 0 });
});
afterEach(async () => {
  release();
  drain.cut();
  await listening[Symbol.asyncDispose]();
});

type Answer = { status: number; connection: string | undefined; retryAfter: string | undefined; body: Buffer };

async function whole(response: IncomingMessage): Promise<Answer> {
  const parts: Buffer[] = [];
  for await (const part of response as AsyncIterable<Buffer>) parts.push(part);
  const { connection, 'retry-after': retryAfter } = response.headers;
  return { status: response.statusCode ?? 0, connection, retryAfter, body: Buffer.concat(parts) };
}

function open(method: string, path: string, body?: Buffer): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ port: listening.port, host: '127.0.0.1', method, path, agent: false });
    request.once('response', resolve);
    request.once('error', reject);
    request.end(body);
  });
}

const send = async (...args: Parameters<typeof open>): Promise<Answer> => whole(await open(...args));

test('readiness says no and why, what is new is refused, what was begun is served to its end', async () => {
  const slow = await open('GET', '/slow');
  const late = open('GET', '/late');
  await sleep(50);
  drain.start();
  const readiness = await send('GET', '/readiness');
  expect([readiness.status, JSON.parse(readiness.body.toString())]).toEqual([
    503,
    { status: 'not ready', role: 'proxy', problems: ['it is stopping'] },
  ]);
  expect((await send('GET', '/health')).status).toBe(200);
  expect((await send('GET', '/metrics')).status).toBe(200);
  const refused = await send('GET', '/slow');
  expect([refused.status, refused.connection, refused.retryAfter]).toEqual([503, 'close', '1']);
  expect(refused.body.toString()).toContain('this proxy is stopping');
  expect(await drain.finished(50)).toEqual({ downloads: 2 });
  release();
  expect((await whole(slow)).body).toHaveLength(size);
  // Its head was not out yet: the client is told to go elsewhere with the next one.
  expect(await whole(await late)).toMatchObject({ status: 200, connection: 'close' });
  expect(await drain.finished(60_000)).toEqual({});
});

test('an upload that was begun goes on, a new one is refused even with its body half sent', async () => {
  expect((await send('POST', '/up')).status).toBe(202);
  drain.start();
  expect((await send('PATCH', '/up', Buffer.alloc(10))).status).toBe(202);
  const begun = performance.now();
  const finished = drain.finished(60_000);
  expect((await send('PUT', '/up')).status).toBe(201);
  const refused = await send('POST', '/up', Buffer.alloc(8_000_000));
  expect([refused.status, refused.connection]).toEqual([503, 'close']);
  expect(await finished).toEqual({});
  expect(performance.now() - begun).toBeLessThan(followUpMs + 2_000);
});

test('what is cut ends for the client as cut', async () => {
  const slow = await open('GET', '/slow');
  drain.start();
  expect(await drain.finished(30)).toEqual({ downloads: 1 });
  drain.cut();
  await expect(whole(slow)).rejects.toThrow();
  expect(await drain.finished(1_000)).toEqual({});
});
