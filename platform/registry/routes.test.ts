/** The registry over HTTP with a handler that is told what to answer: streaming, release, cuts, refusals. */

import { request as httpRequest, type IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import { Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { afterEach, describe, expect, test } from 'vitest';
import { ApiError } from '../../core/contracts/errors.ts';
import type { Digest } from '../../core/digest.ts';
import { type Content, contentOf, type SourceChunk } from '../http/content.ts';
import { createHttp, type Listening, listen } from '../http/server.ts';
import { type Logger, silentLog } from '../telemetry/log.ts';
import { Metrics } from '../telemetry/metrics.ts';
import type { OciContext, OciReply } from './reply.ts';
import { registerRegistry } from './routes.ts';

const digest = `sha256:${'0'.repeat(64)}` as Digest;
const path = `/v2/a/blobs/${digest}`;
const limits = { stallMs: 300, pauseMs: 1_500, lingerMs: 200 };

let server: Listening | undefined;
afterEach(async () => {
  await server?.[Symbol.asyncDispose]();
  server = undefined;
});

async function serve(
  handle: (context: OciContext) => OciReply | Promise<OciReply>,
  log: Logger = silentLog(),
): Promise<void> {
  const app = createHttp({ role: 'agent', log, metrics: new Metrics(), readiness: async () => [] });
  registerRegistry(app, { handle: async (_request, context) => handle(context) }, limits);
  server = await listen(app, { host: '127.0.0.1', port: 0 });
}

type Options = { method?: string; headers?: Record<string, string>; at?: string };

/** The answer's head; its body has yet to be read. */
function open({ method = 'GET', headers = {}, at = path }: Options = {}, body?: Uint8Array): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port: server?.port, method, path: at, headers, agent: false };
    httpRequest(options, resolve).on('error', reject).end(body);
  });
}

async function read(response: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of response as AsyncIterable<Buffer>) parts.push(part);
  return Buffer.concat(parts);
}

/** The blob's content: no two places of it are alike for long. */
function byteAt(at: number): number {
  return Math.imul(at >> 2, 0x9e3779b1) >>> 24;
}

function right(body: Uint8Array, from = 0): boolean {
  return body.every((byte, i) => byte === byteAt(from + i));
}

/** A blob of `chunks` lent chunks, each of two parts in shared memory, that counts what is out. */
class Lender {
  readonly chunkBytes = 512 * 1024;
  out = 0;
  outMost = 0;
  released = 0;
  opened = 0;
  closed = 0;
  /** Throws before chunk number `failAt`. */
  failAt = Number.POSITIVE_INFINITY;
  readonly chunks: number;

  constructor(chunks: number) {
    this.chunks = chunks;
  }

  content(): Content {
    const size = this.chunks * this.chunkBytes;
    return {
      digest,
      mediaType: 'application/octet-stream',
      size,
      ranges: true,
      open: (start, end) => this.#lend(start, end),
    };
  }

  async *#lend(start: number, end: number): AsyncGenerator<SourceChunk> {
    this.opened += 1;
    try {
      for (let at = start; at < end; at += this.chunkBytes) {
        if (at >= this.failAt * this.chunkBytes) throw new ApiError('SWARM_STALLED', 'no peer sent a piece');
        yield this.#chunk(at, Math.min(this.chunkBytes, end - at));
      }
    } finally {
      this.closed += 1;
    }
  }

  #chunk(at: number, length: number): SourceChunk {
    const bytes = new Uint8Array(new SharedArrayBuffer(length));
    for (let i = 0; i < length; i++) bytes[i] = byteAt(at + i);
    const half = Math.ceil(length / 2);
    let released = false;
    this.out += 1;
    this.outMost = Math.max(this.outMost, this.out);
    const release = (): void => {
      if (released) throw new Error('released twice');
      released = true;
      // What is given back is used again at once: a socket that still needed it would send this.
      bytes.fill(0xee);
      this.out -= 1;
      this.released += 1;
    };
    return { bytes: [bytes.subarray(0, half), bytes.subarray(half)], release };
  }
}

async function until(ready: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await ready())) await sleep(5);
}

describe('streaming', () => {
  test('every byte arrives, every chunk is released once, at most two are out', async () => {
    const lender = new Lender(40);
    await serve(() => ({ kind: 'content', content: lender.content() }));
    const body = await read(await open());
    expect([body.length, right(body)]).toEqual([40 * lender.chunkBytes, true]);
    expect([lender.released, lender.out, lender.closed]).toEqual([40, 0, 1]);
    expect(lender.outMost).toBeLessThanOrEqual(2);
  });

  test('a part of it', async () => {
    const lender = new Lender(4);
    await serve(() => ({ kind: 'content', content: lender.content() }));
    const response = await open({ headers: { range: 'bytes=100-600099' } });
    const body = await read(response);
    expect([response.statusCode, body.length, right(body, 100)]).toEqual([206, 600_000, true]);
    expect([lender.out, lender.closed]).toEqual([0, 1]);
  });

  test('HEAD opens nothing', async () => {
    const lender = new Lender(4);
    await serve(() => ({ kind: 'content', content: lender.content() }));
    const response = await open({ method: 'HEAD' });
    expect([response.statusCode, response.headers['content-length']]).toEqual([200, String(4 * lender.chunkBytes)]);
    expect([(await read(response)).length, lender.opened]).toEqual([0, 0]);
  });

  test('a source that fails at once is an error reply', async () => {
    const lender = new Lender(4);
    lender.failAt = 0;
    await serve(() => ({ kind: 'content', content: lender.content() }));
    const response = await open();
    const { errors } = JSON.parse((await read(response)).toString());
    expect([response.statusCode, errors[0].code, response.headers['content-range']]).toEqual([
      504,
      'SWARM_STALLED',
      undefined,
    ]);
  });

  test('a source that fails later cuts the connection', async () => {
    const lender = new Lender(8);
    lender.failAt = 5;
    await serve(() => ({ kind: 'content', content: lender.content() }));
    const response = await open();
    expect(response.statusCode).toBe(200);
    await expect(read(response)).rejects.toThrow();
    await until(() => lender.out === 0);
    expect([lender.released, lender.closed]).toEqual([5, 1]);
  });

  test('a source that ends early cuts the connection as well', async () => {
    const short = contentOf(new Uint8Array(10), { digest, mediaType: 'x/y', ranges: true });
    await serve(() => ({ kind: 'content', content: { ...short, size: 20 } }));
    await expect(read(await open())).rejects.toThrow();
  });

  test('a client that leaves: the signal tells, the source is closed, everything is given back', async () => {
    const lender = new Lender(400);
    let signal: AbortSignal | undefined;
    await serve((context) => {
      signal = context.call.signal;
      return { kind: 'content', content: lender.content() };
    });
    const response = await open();
    await new Promise((resolve) => response.once('data', resolve));
    response.destroy();
    await until(() => lender.closed === 1 && lender.out === 0);
    expect(signal?.aborted).toBe(true);
    expect(lender.released).toBeLessThan(400);
  });

  test('a client that leaves before there is a reply', async () => {
    let signal: AbortSignal | undefined;
    await serve(async (context) => {
      signal = context.call.signal;
      await new Promise((resolve) => context.call.signal.addEventListener('abort', resolve));
      throw new ApiError('UNAVAILABLE', 'too late');
    });
    const request = httpRequest({ host: '127.0.0.1', port: server?.port, path, agent: false });
    request.on('error', () => undefined).end();
    await until(() => signal !== undefined);
    request.destroy();
    await until(() => signal?.aborted === true);
  });
});

/** A client that takes bytes when it is told to. */
class Reader {
  readonly socket: Socket;
  readonly parts: Buffer[] = [];
  bytes = 0;

  constructor() {
    this.socket = connect({ host: '127.0.0.1', port: server?.port as number });
    this.socket.on('error', () => undefined).pause();
    this.socket.write(`GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`);
  }

  /** At most so many bytes. */
  take(bytes: number): void {
    const part = this.socket.read(Math.max(0, Math.min(bytes, this.socket.readableLength))) as Buffer | null;
    if (part === null) return;
    this.parts.push(part);
    this.bytes += part.length;
  }

  /** The whole body, once it has ended. */
  async rest(): Promise<Buffer> {
    this.socket.on('data', (part: Buffer) => this.parts.push(part)).resume();
    await new Promise((resolve) => this.socket.once('close', resolve));
    const all = Buffer.concat(this.parts);
    return all.subarray(all.indexOf('\r\n\r\n') + 4);
  }
}

describe('clients that are slow', () => {
  test('one that takes a little all the time is never cut, and holds nothing while it does not take', async () => {
    const lender = new Lender(40);
    await serve(() => ({ kind: 'content', content: lender.content() }));
    const reader = new Reader();
    const begun = performance.now();
    let idle = 0;
    // More than twice the pause that is allowed, at less than a chunk a pause.
    while (performance.now() - begun < 2.5 * limits.pauseMs) {
      // 640 kB/s, however busy the machine is.
      reader.take(640 * (performance.now() - begun) - reader.bytes);
      if (lender.out === 0 && lender.opened === lender.closed) idle += 1;
      await sleep(25);
    }
    expect([reader.socket.destroyed, reader.bytes < 40 * lender.chunkBytes]).toEqual([false, true]);
    expect(idle).toBeGreaterThan(0);
    const body = await reader.rest();
    expect([body.length, right(body)]).toEqual([40 * lender.chunkBytes, true]);
    expect([lender.out, lender.opened - lender.closed]).toEqual([0, 0]);
  });

  test('one that pauses goes on where it stood; its slots and its source were handed back meanwhile', async () => {
    const lender = new Lender(60);
    await serve(() => ({ kind: 'content', content: lender.content() }));
    const reader = new Reader();
    await until(() => lender.released > 0);
    await until(() => lender.out === 0 && lender.closed === 1);
    expect(lender.released).toBeLessThan(60);
    const body = await reader.rest();
    expect([body.length, right(body)]).toEqual([60 * lender.chunkBytes, true]);
    expect([lender.out, lender.opened, lender.closed]).toEqual([0, 2, 2]);
  });

  test('one that takes nothing for longer than the limit is cut off, which the log names', async () => {
    const lender = new Lender(400);
    let logged = '';
    const to = new Writable({
      write: (line, _encoding, done) => {
        logged += String(line);
        done();
      },
    });
    await serve(() => ({ kind: 'content', content: lender.content() }), pino({}, to));
    const reader = new Reader();
    const begun = performance.now();
    await until(() => logged.includes('took nothing for 1.5 s, the limit of pull.pause'));
    expect(performance.now() - begun).toBeGreaterThan(limits.pauseMs);
    await reader.rest();
    expect([lender.out, lender.opened - lender.closed]).toEqual([0, 0]);
  });
});

describe('replies', () => {
  test('carry the request id and the API version; what we did not foresee says nothing more', async () => {
    await serve(() => {
      throw new Error('secret');
    });
    const response = await open({ headers: { 'x-request-id': 'abc' } });
    const text = (await read(response)).toString();
    expect([response.statusCode, JSON.parse(text).errors[0].code]).toEqual([500, 'UNKNOWN']);
    expect([response.headers['x-request-id'], text.includes('secret')]).toEqual(['abc', false]);
    const bad = await open({ at: '/v2/a/blobs/x', headers: { 'x-request-id': 'def' } });
    expect([bad.statusCode, bad.headers['x-request-id']]).toEqual([400, 'def']);
    expect(bad.headers['docker-distribution-api-version']).toBe('registry/2.0');
    bad.resume();
  });

  test('an error of a HEAD has no body', async () => {
    await serve(() => ({ kind: 'error', error: new ApiError('UNAVAILABLE', 'down') }));
    const response = await open({ method: 'HEAD' });
    expect([response.statusCode, response.headers['retry-after']]).toEqual([503, '1']);
    expect((await read(response)).length).toBe(0);
  });

  test('unknown methods are UNSUPPORTED, not a missing path', async () => {
    await serve(() => ({ kind: 'json', value: {} }));
    const response = await open({ method: 'OPTIONS' });
    expect([response.statusCode, response.headers.allow]).toEqual([405, 'GET, HEAD, DELETE']);
    response.resume();
  });
});

describe('bodies', () => {
  const upload = '/v2/a/blobs/uploads/x';

  test('are read whole up to the limit, by length or by count', async () => {
    await serve(async ({ body }) => ({
      kind: 'json',
      value: { length: body.length ?? -1, bytes: (await body.whole(10)).length },
    }));
    const send = async (bytes: number, headers: Record<string, string>) => {
      const response = await open({ method: 'PATCH', at: upload, headers }, new Uint8Array(bytes));
      return [response.statusCode, JSON.parse((await read(response)).toString())];
    };
    expect(await send(10, { 'content-length': '10' })).toEqual([200, { length: 10, bytes: 10 }]);
    expect(await send(10, { 'transfer-encoding': 'chunked' })).toEqual([200, { length: -1, bytes: 10 }]);
    for (const headers of [{ 'content-length': '11' }, { 'transfer-encoding': 'chunked' }]) {
      const [status, { errors }] = await send(11, headers as Record<string, string>);
      expect([status, errors[0].code]).toEqual([413, 'SIZE_INVALID']);
    }
  });

  test('that are read whole are bounded over all requests, from their first byte until they are answered', async () => {
    const mebibytes = 4 << 20;
    await serve(async ({ body }) => ({ kind: 'json', value: { bytes: (await body.whole(mebibytes)).length } }));
    const headers = { 'content-length': String(mebibytes) };
    const slow = Array.from({ length: 56 }, () => {
      const options = { host: '127.0.0.1', port: server?.port, path: upload, agent: false, method: 'PATCH', headers };
      const request = httpRequest(options).on('error', () => undefined);
      request.write('x');
      return request;
    });
    const tryIt = async (): Promise<number | undefined> => {
      const response = await open({ method: 'PATCH', at: upload, headers }, new Uint8Array(mebibytes));
      await read(response);
      return response.statusCode;
    };
    await until(async () => (await tryIt()) === 429);
    for (const request of slow) request.destroy();
    await until(async () => (await tryIt()) === 200);
  });

  test('that are cut, or stall, are an error of the reader, never a short body', async () => {
    const failures: unknown[] = [];
    await serve(async ({ body }) => {
      await body.whole(1000).catch((error: unknown) => failures.push(error));
      return { kind: 'json', value: {} };
    });
    const options = { host: '127.0.0.1', port: server?.port, path: upload, agent: false, method: 'PATCH' };
    for (const cut of [true, false]) {
      const before = failures.length;
      const request = httpRequest({ ...options, headers: { 'content-length': '100' } }).on('error', () => undefined);
      request.write('x');
      if (cut) setTimeout(() => request.destroy(), 50);
      await until(() => failures.length > before);
      request.destroy();
    }
    expect(failures.map((error) => (error as ApiError).code)).toEqual(['REQUEST_INVALID', 'REQUEST_INVALID']);
    expect((failures[1] as Error).message).toContain('sent nothing for 0.3 s');
  });
});
