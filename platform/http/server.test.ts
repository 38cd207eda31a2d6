import { createHash } from 'node:crypto';
import { connect } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { ApiError } from '../../core/contracts/errors.ts';
import { HttpClient } from '../clients/http.ts';
import { StartError } from '../lifecycle/errors.ts';
import { silentLog } from '../telemetry/log.ts';
import { Metrics } from '../telemetry/metrics.ts';
import { bodyOf, streamBodies } from './exchange.ts';
import { createHttp, listen } from './server.ts';

const stallMs = 10_000;
let open: AsyncDisposableStack[] = [];
afterEach(async () => {
  for (const stack of open) await stack.disposeAsync();
  open = [];
});

function server(problems: readonly string[] = []) {
  return createHttp({ role: 'proxy', log: silentLog(), metrics: new Metrics(), readiness: async () => problems });
}

async function started(app = server(), host = '127.0.0.1') {
  const stack = new AsyncDisposableStack();
  open.push(stack);
  const { port } = stack.use(await listen(app, { host, port: 0 }));
  const client = stack.use(new HttpClient({ base: `http://127.0.0.1:${port}` }));
  return { port, client };
}

test('health, readiness with its problems, metrics with the routes seen', async () => {
  const { client } = await started(server(['no index answers']));
  expect(await client.json('GET', '/health')).toEqual({ status: 'ok', role: 'proxy' });
  const reply = await client.stream('GET', '/readiness', { expect: [503] });
  expect(reply.status).toBe(503);
  expect(await reply.json()).toMatchObject({ problems: ['no index answers'] });
  const text = Buffer.from(await (await client.stream('GET', '/metrics')).bytes()).toString();
  expect(text).toContain('shoal_http_request_duration_seconds_count{method="GET",route="/health",status="200"} 1');
});

test('a request id is taken where it is well formed, else drawn', async () => {
  const { client } = await started();
  const id = async (requestId: string) =>
    (await client.stream('GET', '/health', { headers: { 'x-request-id': requestId } })).headers['x-request-id'];
  expect(await id('pull-7')).toBe('pull-7');
  expect(await id('has space')).toMatch(/^[0-9a-f-]{36}$/);
  expect(await id('x'.repeat(65))).toMatch(/^[0-9a-f-]{36}$/);
});

test('errors: ApiError, unknown path, malformed JSON, a failure of ours', async () => {
  const app = server();
  app.get('/known', () => {
    throw new ApiError('BLOB_UNKNOWN', 'no such blob', { digest: 'x' });
  });
  app.get('/broken', () => {
    throw new Error('secret');
  });
  app.post('/json', (request) => request.body);
  const { client } = await started(app);
  await expect(client.json('GET', '/known')).rejects.toMatchObject({ code: 'BLOB_UNKNOWN', detail: { digest: 'x' } });
  await expect(client.json('GET', '/nowhere?x=1')).rejects.toMatchObject({
    code: 'NOT_FOUND',
    message: 'there is no GET /nowhere here',
  });
  await expect(client.json('GET', '/broken')).rejects.toMatchObject({
    code: 'UNKNOWN',
    message: expect.not.stringContaining('secret'),
  });
  const headers = { 'content-type': 'application/json' };
  await expect(client.json('POST', '/json', { body: '{', headers })).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
  await expect(client.json('POST', '/json', { body: 'x', headers: { 'content-type': 'a/b' } })).rejects.toMatchObject({
    code: 'REQUEST_INVALID',
  });
  await expect(client.json('GET', '/%zz')).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
});

test('bodies stream both ways, whole, JSON types too', async () => {
  const app = server();
  app.register((scope, _options, done) => {
    streamBodies(scope);
    scope.patch('/upload', async (request) => {
      const hash = createHash('sha256');
      let bytes = 0;
      for await (const chunk of bodyOf(request.raw, stallMs).chunks()) {
        hash.update(chunk);
        bytes += chunk.length;
      }
      return { bytes, hex: hash.digest('hex') };
    });
    scope.put('/small', async (request) => ({ bytes: (await bodyOf(request.raw, stallMs).whole(10)).length }));
    done();
  });
  const { client } = await started(app);
  const chunk = Buffer.alloc(1 << 20, 7);
  const expected = createHash('sha256');
  async function* chunks() {
    for (let i = 0; i < 20; i++) {
      expected.update(chunk);
      yield chunk;
    }
  }
  const answer = await client.json<{ bytes: number; hex: string }>('PATCH', '/upload', { body: chunks() });
  expect(answer).toEqual({ bytes: 20 << 20, hex: expected.digest('hex') });
  expect(await client.json('PUT', '/small', { body: { a: 1 } })).toEqual({ bytes: 7 });
  await expect(client.json('PUT', '/small', { body: 'x'.repeat(11) })).rejects.toMatchObject({ code: 'SIZE_INVALID' });
});

test('a body that is cut is an error, never a short body; a body that stalls ends', async () => {
  const app = server();
  const ends: unknown[] = [];
  app.register((scope, _options, done) => {
    streamBodies(scope);
    scope.patch('/upload', async (request) => {
      const error = await bodyOf(request.raw, stallMs)
        .whole(1000)
        .then(
          () => 'whole',
          (e: unknown) => (e as ApiError).code,
        );
      ends.push(error);
      return {};
    });
    scope.patch('/stall', async (request) => {
      for await (const _ of bodyOf(request.raw, 50).chunks()) ends.push('chunk');
    });
    done();
  });
  const { port, client } = await started(app);
  const socket = connect(port, '127.0.0.1', () =>
    socket.write('PATCH /upload HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nabc'),
  );
  await expect.poll(() => socket.bytesWritten).toBeGreaterThan(50);
  await new Promise((resolve) => setTimeout(resolve, 50));
  socket.destroy();
  await expect.poll(() => ends).toEqual(['REQUEST_INVALID']);
  async function* stalls() {
    yield Buffer.from('a');
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  await expect(client.json('PATCH', '/stall', { body: stalls() })).rejects.toBeInstanceOf(ApiError);
  expect(ends).toEqual(['REQUEST_INVALID', 'chunk']);
});

test('what is no HTTP is told so in the same form, at either loopback', async () => {
  const { port } = await started(server(), 'localhost');
  const answer = (text: string, host = '127.0.0.1'): Promise<string> =>
    new Promise((resolve) => {
      const socket = connect(port, host, () => socket.write(text));
      let got = '';
      socket.on('data', (data) => {
        got += data;
      });
      socket.on('error', () => undefined);
      socket.on('close', () => resolve(got));
    });
  expect(await answer('\x16\x03\x01 no HTTP\r\n\r\n')).toMatch(/^HTTP\/1.1 400 .*"code":"REQUEST_INVALID"/s);
  expect(await answer(`GET / HTTP/1.1\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`)).toMatch(
    /^HTTP\/1.1 431 .*"code":"REQUEST_INVALID"/s,
  );
  // Nothing comes where this host has no IPv6.
  expect(await answer('no HTTP\r\n\r\n', '::1')).toMatch(/^$|^HTTP\/1.1 400 .*"code":"REQUEST_INVALID"/s);
});

test('who was refused so and does not hang up is cut off', async () => {
  const app = server();
  const { port } = await started(app);
  const socket = connect(port, '127.0.0.1', () => socket.write('no HTTP\r\n\r\n'));
  socket.on('error', () => undefined);
  const open = () => new Promise<number>((resolve) => app.server.getConnections((_error, count) => resolve(count)));
  await expect.poll(open).toBe(1);
  // Nobody reads here, so this side does not notice that it should close.
  await expect.poll(open, { timeout: 5000 }).toBe(0);
  socket.destroy();
});

test('a port in use is a StartError that names port and remedy; localhost is both loopbacks', async () => {
  const { port } = await started();
  await expect(listen(server(), { host: '127.0.0.1', port })).rejects.toThrow(StartError);
  await expect(listen(server(), { host: '127.0.0.1', port })).rejects.toThrow(`port ${port} on 127.0.0.1 is in use`);
  const both = await started(server(), 'localhost');
  expect((await fetch(`http://127.0.0.1:${both.port}/health`)).status).toBe(200);
  const six = await fetch(`http://[::1]:${both.port}/health`).catch(
    (error: Error) => error.cause as NodeJS.ErrnoException,
  );
  if (six instanceof Error) expect(six.code).toBe('EADDRNOTAVAIL');
  else expect(six.status).toBe(200);
});
