import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { CallContext } from './context.ts';
import { HttpClient } from './http.ts';

let closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers) close();
  closers = [];
});

async function serve(listener: RequestListener): Promise<HttpClient> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const client = new HttpClient({ base: `http://127.0.0.1:${(server.address() as AddressInfo).port}/` });
  closers.push(() => {
    void client[Symbol.asyncDispose]();
    server.closeAllConnections();
    server.close();
  });
  return client;
}

test('what nobody listens on is UNAVAILABLE and names the URL', async () => {
  const client = new HttpClient({ base: 'http://127.0.0.1:1' });
  await expect(client.json('GET', '/x', { tries: 1 })).rejects.toMatchObject({
    code: 'UNAVAILABLE',
    message: 'http://127.0.0.1:1/x: connection refused: is it running?',
  });
  await client[Symbol.asyncDispose]();
});

test('a call that may be repeated survives 503 and a cut; a stream and a POST are sent once', async () => {
  let calls = 0;
  const client = await serve((request, response) => {
    request.resume();
    calls += 1;
    if (calls === 1) return void request.socket.destroy();
    response.statusCode = calls === 2 ? 503 : 200;
    response.end(calls === 2 ? '' : '{"ok":true}');
  });
  expect(await client.json('GET', '/')).toEqual({ ok: true });
  expect(calls).toBe(3);
  calls = 0;
  await expect(client.json('POST', '/', { body: {} })).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  calls = 0;
  await expect(
    client.json('PUT', '/', {
      body: (async function* () {
        yield Buffer.from('x');
      })(),
    }),
  ).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  expect(calls).toBe(1);
});

test('an answer that is cut breaks its body off; one that stalls too', async () => {
  const client = await serve((request, response) => {
    response.writeHead(200, { 'content-length': '100' });
    response.write('abc', () => {
      if (request.url === '/cut') request.socket.destroy();
    });
  });
  const cut = await client.stream('GET', '/cut');
  await expect(cut.bytes()).rejects.toMatchObject({ code: 'UNAVAILABLE', message: expect.stringContaining('/cut: ') });
  const stalled = await client.stream('GET', '/stall', { stallMs: 100 });
  await expect(stalled.bytes()).rejects.toMatchObject({
    code: 'UNAVAILABLE',
    message: expect.stringContaining('stalled'),
  });
});

test('an answer that its reader leaves alone for a while has not stalled', async () => {
  const bytes = 32 * 1024 * 1024;
  const client = await serve((_request, response) => {
    response.writeHead(200, { 'content-length': bytes }).end(Buffer.alloc(bytes, 7));
  });
  const reply = await client.stream('GET', '/', { stallMs: 200 });
  let got = 0;
  for await (const chunk of reply.body) {
    if (got === 0) await sleep(2_500);
    got += chunk.length;
  }
  expect(got).toBe(bytes);
});

test('statuses: expected ones are answers, others errors by their meaning; sizes are bounded', async () => {
  const client = await serve((request, response) => {
    response.statusCode = Number(request.url?.slice(1));
    response.end('x'.repeat(100));
  });
  expect((await client.stream('GET', '/404', { expect: [404] })).status).toBe(404);
  await expect(client.stream('GET', '/404')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  await expect(client.stream('GET', '/416')).rejects.toMatchObject({ code: 'RANGE_INVALID' });
  await expect(client.stream('HEAD', '/507')).rejects.toMatchObject({ code: 'STORAGE_FULL' });
  await expect(client.stream('GET', '/418')).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
  await expect(client.json('GET', '/200')).rejects.toMatchObject({
    code: 'UNAVAILABLE',
    message: expect.stringContaining('no JSON'),
  });
  await expect((await client.stream('GET', '/200')).bytes(99)).rejects.toMatchObject({ code: 'SIZE_INVALID' });
});

test('an abort rejects with its reason, at once and during a body', async () => {
  const client = await serve((request, response) => {
    if (request.url === '/body') response.writeHead(200).write('x');
  });
  const abort = new AbortController();
  const call = client.json('GET', '/', { ctx: CallContext.begin({ requestId: 'r', signal: abort.signal }) });
  const body = await client.stream('GET', '/body', {
    ctx: CallContext.begin({ requestId: 'r', signal: abort.signal }),
  });
  const reading = body.bytes();
  abort.abort(new Error('enough'));
  await expect(call).rejects.toThrow('enough');
  await expect(reading).rejects.toThrow('enough');
});
