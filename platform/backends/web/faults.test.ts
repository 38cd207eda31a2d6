import { expect, test } from 'vitest';
import { bytesOf } from '../objects.fixtures.ts';
import type { WebCall } from './call.ts';
import { httpServer, never, rawServer, requester } from './web.fixtures.ts';

const call = (url: string, more: Partial<WebCall> = {}): WebCall => ({
  ...{ method: 'GET', url: new URL(url), signal: never, doing: 'read', object: 'some/key', ...more },
});
const failing = { stallMs: 200 };

test('nobody listens, or there is no such host: unavailable, with a remedy', async () => {
  using web = requester();
  for (const [url, words] of [
    ['http://127.0.0.1:1/', 'the connection was refused (ECONNREFUSED)'],
    ['http://nowhere.invalid/', 'of this name|cannot be resolved'],
  ] as const)
    await expect(web.request(call(url))).rejects.toMatchObject({
      why: 'unavailable',
      message: expect.stringMatching(words.replace(/[()]/g, '\\$&')),
    });
});

test('a connection that is cut before any answer, or that answers no HTTP', async () => {
  await using stack = new AsyncDisposableStack();
  using web = requester();
  const cut = await rawServer(stack, (socket) => socket.once('data', () => socket.destroy()));
  await expect(web.request(call(cut))).rejects.toMatchObject({
    why: 'unavailable',
    message: expect.stringContaining('main: cannot read some/key: GET http://'),
  });
  const ssh = await rawServer(stack, (socket) => void socket.end('SSH-2.0-OpenSSH\r\n'));
  await expect(web.request(call(ssh))).rejects.toMatchObject({
    why: 'unavailable',
    message: expect.stringContaining('no'),
  });
  // Not answered with TLS.
  await expect(web.request(call(ssh.replace('http:', 'https:')))).rejects.toMatchObject({ why: 'unavailable' });
});

test('a connection that was idle and is closed is made again, once, where that is safe', async () => {
  await using stack = new AsyncDisposableStack();
  let connections = 0;
  const base = await rawServer(stack, (socket) => {
    connections += 1;
    let asked = 0;
    socket.on('data', () => {
      asked += 1;
      if (asked > 1) socket.destroy();
      else socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
    });
  });
  using web = requester();
  const ask = async (method: 'GET' | 'POST') =>
    await (await web.request(call(base, { method, body: method === 'POST' ? Buffer.from('x') : undefined }))).text();
  expect([await ask('GET'), await ask('GET')]).toEqual(['ok', 'ok']);
  expect(connections).toBe(2);
  await expect(ask('POST')).rejects.toMatchObject({ why: 'unavailable' });
});

test('slow headers, a head without an end, and interim answers for ever are ended', async () => {
  await using stack = new AsyncDisposableStack();
  using web = requester(failing);
  const dripping = (drop: string, ms: number) =>
    rawServer(stack, (socket) => {
      socket.write('HTTP/1.1 200 OK\r\n');
      const timer = setInterval(() => socket.write(drop), ms);
      socket.on('close', () => clearInterval(timer));
    });
  const slow = await dripping('x', 20);
  await expect(web.request(call(slow))).rejects.toMatchObject({
    why: 'stalled',
    message: expect.stringContaining('no answer came within 0.2 s'),
  });
  const endless = await dripping(`x-more: ${'x'.repeat(4_000)}\r\n`, 1);
  await expect(web.request(call(endless))).rejects.toMatchObject({
    why: 'unavailable',
    message: expect.stringContaining('has more than 16384 bytes'),
  });
  const interim = await rawServer(stack, (socket) => {
    const timer = setInterval(() => socket.write('HTTP/1.1 102 Processing\r\n\r\n'), 10);
    socket.on('close', () => clearInterval(timer));
  });
  await expect(web.request(call(interim))).rejects.toMatchObject({ why: 'stalled' });
});

test('what hangs is ended: without a connection, without taking bytes, without an answer, within a body', async () => {
  await using stack = new AsyncDisposableStack();
  using web = requester(failing);
  const mute = await rawServer(stack, (socket) => void socket.pause());
  await expect(web.request(call(mute))).rejects.toMatchObject({ why: 'stalled' });
  await expect(web.request(call(mute.replace('http:', 'https:')))).rejects.toMatchObject({
    why: 'stalled',
    message: expect.stringContaining('there was no connection'),
  });
  async function* endless() {
    for (;;) yield Buffer.alloc(1_000_000);
  }
  await expect(web.request(call(mute, { method: 'PUT', body: endless() }))).rejects.toMatchObject({
    why: 'stalled',
    message: expect.stringContaining('it took no byte'),
  });
  const half = await httpServer(stack, (_request, response) => {
    response.writeHead(200, { 'content-length': '10' });
    response.write('half!');
  });
  const answer = await web.request(call(half));
  await expect(bytesOf(answer.body())).rejects.toMatchObject({
    why: 'stalled',
    message: expect.stringContaining('no byte of its answer came within 0.2 s'),
  });
});

test('a server may be slow to store what it got, and a source or a reader as slow as they like', async () => {
  await using stack = new AsyncDisposableStack();
  const base = await httpServer(stack, (request, response) => {
    request.resume().on('end', () => setTimeout(() => response.end('stored'), 300));
  });
  using web = requester(failing);
  async function* slow() {
    for (const text of ['a', 'b']) {
      await new Promise((resolve) => setTimeout(resolve, 300));
      yield Buffer.from(text);
    }
  }
  const answer = await web.request(call(base, { method: 'PUT', body: slow() }));
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(await answer.text()).toBe('stored');
});

test('a body that is cut at any tenth, by its end or by a reset, is an error and never short', async () => {
  await using stack = new AsyncDisposableStack();
  const bytes = Buffer.alloc(1_000_000, 'x');
  let cut: { readonly at: number; readonly reset: boolean } = { at: 0, reset: false };
  const base = await rawServer(stack, (socket) => {
    const { at, reset } = cut;
    socket.once('data', () => {
      socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${bytes.length}\r\n\r\n`);
      socket.write(bytes.subarray(0, at), () => (reset ? socket.resetAndDestroy() : socket.end()));
    });
  });
  using web = requester();
  for (const reset of [false, true])
    for (let tenth = 0; tenth < 10; tenth++) {
      cut = { at: (tenth * bytes.length) / 10, reset };
      const reading = web.request(call(base)).then((answer) => bytesOf(answer.body()));
      await expect(reading, JSON.stringify(cut)).rejects.toMatchObject({
        why: 'unavailable',
        message: expect.stringContaining('some/key: GET http://'),
      });
    }
});

test('who stops reading closes the connection, and the next request has another', async () => {
  await using stack = new AsyncDisposableStack();
  let open = 0;
  const base = await rawServer(stack, (socket) => {
    open += 1;
    socket.on('close', () => {
      open -= 1;
    });
    socket.once('data', () =>
      socket.write(`HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n${'x'.repeat(100_000)}`),
    );
  });
  using web = requester();
  for await (const _ of (await web.request(call(base))).body()) break;
  await (await web.request(call(base))).discard();
  await expect.poll(() => open).toBe(0);
});
