import { setTimeout as pause } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { type Clock, realClock } from '../../net/clock.ts';
import { bytesOf } from '../objects.fixtures.ts';
import type { WebCall } from './call.ts';
import { httpServer, never, requester } from './web.fixtures.ts';

const get = (url: string, more: Partial<WebCall> = {}): WebCall => ({
  ...{ method: 'GET', url: new URL(url), signal: never, doing: 'read', object: 'some/key', ...more },
});

test('bodies go both ways as they are, streamed or whole, and headers with them', async () => {
  await using stack = new AsyncDisposableStack();
  const base = await httpServer(stack, (request, response) => {
    response.setHeader('x-length', request.headers['content-length'] ?? request.headers['transfer-encoding'] ?? 'none');
    request.pipe(response);
  });
  using web = requester();
  const bytes = Buffer.alloc(3_000_000, 'shoal');
  async function* chunks() {
    // One buffer for all chunks: it is the reader's only until it asks for the next one.
    const one = Buffer.alloc(100_000);
    for (let at = 0; at < bytes.length; at += one.length) {
      bytes.copy(one, 0, at, at + one.length);
      yield one;
      one.fill(0);
    }
  }
  const length = { 'content-length': String(bytes.length) };
  for (const [body, headers, said] of [
    [bytes, {}, String(bytes.length)],
    [chunks(), length, String(bytes.length)],
    [chunks(), {}, 'chunked'],
  ] as const) {
    const answer = await web.request(get(base, { method: 'PUT', body, headers }));
    expect(answer.headers['x-length']).toBe(said);
    expect((await bytesOf(answer.body())).equals(bytes)).toBe(true);
  }
});

test('each status has its cause, and the message backend, object, method, address and what the server said', async () => {
  await using stack = new AsyncDisposableStack();
  const base = await httpServer(stack, ({ url = '', headers }, response) => {
    const head = JSON.parse(String(headers['x-answer'] ?? '{}')) as Record<string, string>;
    response.writeHead(Number(url.split('/')[1]), head).end('says\n\u001b[31mso');
  });
  using web = requester();
  const failure = (status: number, answer: object = {}) =>
    web.request(get(`${base}/${status}/path?sig=secret`, { headers: { 'x-answer': JSON.stringify(answer) } }));
  for (const [status, why] of Object.entries({
    400: 'refused',
    401: 'credentials',
    403: 'denied',
    404: 'missing',
    405: 'unsupported',
    407: 'credentials',
    408: 'unavailable',
    410: 'missing',
    412: 'changed',
    416: 'damaged',
    429: 'throttled',
    500: 'unavailable',
    501: 'unsupported',
    502: 'unavailable',
    503: 'unavailable',
    504: 'unavailable',
    507: 'full',
    302: 'refused',
  })) {
    const message = expect.stringMatching(
      new RegExp(
        `^main: cannot read some/key: GET http://127.0.0.1:\\d+/${status}/path\\?…: HTTP ${status}, says \\[31mso: .`,
      ),
    );
    await expect(failure(Number(status)), status).rejects.toMatchObject({ why, message });
  }
  await expect(failure(503, { 'retry-after': '7' })).rejects.toMatchObject({ why: 'throttled', afterMs: 7_000 });
  const date = { date: 'Wed, 21 Oct 2015 07:28:00 GMT', 'retry-after': 'Wed, 21 Oct 2015 07:28:30 GMT' };
  await expect(failure(429, date)).rejects.toMatchObject({ afterMs: 30_000 });
  await expect(failure(429, { 'retry-after': 'soon' })).rejects.toMatchObject({ afterMs: undefined });
  const given = await web.request(get(`${base}/404`, { expect: [404] }));
  expect(await given.text()).toContain('says');
  await expect(
    web.request(
      get(`${base}/404`, { judge: (status, text) => ({ why: 'full', remedy: `${status} ${text.slice(0, 4)}` }) }),
    ),
  ).rejects.toMatchObject({ why: 'full', message: expect.stringMatching(/: 404 says$/) });
});

test('no message has credentials of an address, or a query', async () => {
  using web = requester();
  const url = 'http://user:hunter2@127.0.0.1:1/path?token=hunter3';
  await expect(web.request(get(url))).rejects.toMatchObject({
    why: 'unavailable',
    message: expect.not.stringMatching(/hunter|user/),
  });
});

test('a page of HTML is recognised, whatever its status', async () => {
  await using stack = new AsyncDisposableStack();
  const base = await httpServer(stack, ({ url }, response) => {
    if (url === '/500') response.statusCode = 500;
    if (url !== '/bare') response.setHeader('content-type', 'text/html; charset=utf-8');
    response.end(`<!DOCTYPE html><html><title>Sign\n in</title>${'<p>'.repeat(100_000)}`);
  });
  using web = requester();
  await expect(web.request(get(`${base}/500`))).rejects.toMatchObject({
    message: expect.stringContaining('HTTP 500, a page of HTML ("Sign in"): '),
  });
  for (const path of ['/200', '/bare'])
    await expect((await web.request(get(base + path))).json()).rejects.toMatchObject({
      why: 'unavailable',
      message: expect.stringContaining('answers no JSON, but a page of HTML ("Sign in"): '),
    });
  await expect((await web.request(get(`${base}/200`))).text(1000)).rejects.toMatchObject({ why: 'unavailable' });
});

test('an error without an end is read only so far', async () => {
  await using stack = new AsyncDisposableStack();
  const base = await httpServer(stack, (_request, response) => {
    response.writeHead(500);
    const more = (): void => void (response.destroyed || response.write('x'.repeat(10_000), () => setImmediate(more)));
    more();
  });
  using web = requester();
  const failed = await web.request(get(base)).catch((error: Error) => error);
  expect(failed).toMatchObject({ why: 'unavailable', message: expect.stringMatching(/x{300}: /) });
});

test('a caller that leaves, and a body that throws, are told as they are; an early answer ends the body', async () => {
  await using stack = new AsyncDisposableStack();
  const base = await httpServer(stack, ({ url }, response) => {
    if (url === '/early') response.writeHead(507).end('no room');
  });
  using web = requester();
  const leaving = new AbortController();
  const left = web.request(get(base, { signal: leaving.signal }));
  setTimeout(() => leaving.abort(new Error('left')), 30);
  await expect(left).rejects.toThrow('left');
  await expect(web.request(get(base, { signal: leaving.signal }))).rejects.toThrow('left');
  async function* broken() {
    yield Buffer.from('abc');
    throw new Error('of its own');
  }
  await expect(web.request(get(base, { method: 'PUT', body: broken() }))).rejects.toThrow('of its own');
  let ended = false;
  async function* endless() {
    try {
      for (;;) yield Buffer.alloc(65_536);
    } finally {
      ended = true;
    }
  }
  await expect(web.request(get(`${base}/early`, { method: 'PUT', body: endless() }))).rejects.toMatchObject({
    why: 'full',
  });
  await expect.poll(() => ended).toBe(true);
});

test('a request that is over, however it ended, leaves no timer behind: nothing keeps a process that has ended', async () => {
  await using stack = new AsyncDisposableStack();
  const waiting = new Set<Disposable>();
  const after: Clock['after'] = (ms, call) => {
    const timer = realClock.after(ms, call);
    waiting.add(timer);
    return {
      [Symbol.dispose]: () => {
        waiting.delete(timer);
        timer[Symbol.dispose]();
      },
    };
  };
  stack.defer(() => {
    for (const timer of waiting) timer[Symbol.dispose]();
  });
  const base = await httpServer(stack, (request, response) => {
    if (request.url === '/cut') request.destroy();
    else response.writeHead(request.url === '/none' ? 404 : 200).end('ok');
  });
  using web = requester({ clock: { ...realClock, after } });
  const body = Buffer.from('some bytes');
  const away: WebCall = get('http://127.0.0.1:9/');
  for (const call of [away, { ...away, method: 'PUT', body } as const, get(`${base}/cut`), get(`${base}/none`)]) {
    await expect(web.request(call)).rejects.toThrow(/^main: cannot read some\/key/);
    await pause(20);
    expect(waiting.size, call.url.href).toBe(0);
  }
  for (const call of [get(base), get(base, { method: 'PUT', body })]) {
    await (await web.request(call)).discard();
    await pause(20);
    expect(waiting.size).toBe(0);
  }
});
