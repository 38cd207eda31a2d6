/**
 * A request's body and its answer. Bodies are streams, read so that an early refusal can still be answered: leaving the
 * loop does not destroy the connection, and what the client still sends is drained (`linger`) for a while. A blob is
 * never buffered: Fastify's bodyLimit does not apply here. Answers are bytes of a blob, with conditional and range
 * requests of RFC 9110, or a refusal that its client reads.
 */

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { FastifyInstance } from 'fastify';
import { ApiError } from '../../core/contracts/errors.ts';
import { chooseRange, contentRange, unsatisfiedRange } from '../../core/oci/range.ts';
import type { Content, Headers } from './content.ts';
import { type PumpResult, pumpBody } from './pump.ts';
import { errorBody } from './server.ts';
import type { SlowReaders } from './slow.ts';

export type ClientLimits = {
  /** A client that sends no byte of its body for so long, while we wait for it, is cut off. */
  readonly stallMs: number;
  /** A client that takes no byte of its answer for so long is. It holds no more than a connection meanwhile. */
  readonly pauseMs: number;
  /** How long a client may go on sending after it was refused. */
  readonly lingerMs: number;
  /** Addresses and networks of proxies whose X-Forwarded-For is believed. Default: nobody's. */
  readonly trustedProxies?: readonly string[];
};

/**
 * nginx, which stands in front of most registries, waits 60 s and 5 s. A reader may pause for longer: runtimes
 * that unpack, and machines that sleep, do.
 */
export const CLIENT_LIMITS: ClientLimits = { stallMs: 60_000, pauseMs: 900_000, lingerMs: 5_000 };

/** Where a reply goes. `headers` are those that the server sets on every answer. */
export type Exchange = {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly headers: Headers;
  readonly slow: SlowReaders;
  /** Who asks (call.ts). */
  readonly client: string;
  readonly lingerMs: number;
};

/** Content under a digest never changes. */
const immutable = 'max-age=31536000, immutable';
const retryAfterS = '1';

export const SENT: PumpResult = { kind: 'sent' };

/** Throws the ApiError of a source that fails before its first byte: nothing is written then. */
export async function writeContent(content: Content, exchange: Exchange): Promise<PumpResult> {
  const { request } = exchange;
  const etag = `"${content.digest}"`;
  const common = { etag, 'docker-content-digest': content.digest, 'cache-control': immutable };
  if (matches(request.headers['if-none-match'], etag)) {
    await finishExchange(exchange, { status: 304, headers: common });
    return SENT;
  }
  const full = {
    ...common,
    'content-type': content.mediaType,
    ...(content.ranges ? { 'accept-ranges': 'bytes' } : {}),
  };
  const range = chooseRange(content.ranges ? wantedRange(request, etag) : undefined, content.size);
  switch (range.kind) {
    case 'unsatisfiable': {
      const error = new ApiError('RANGE_INVALID', `the range lies outside of the blob's ${content.size} bytes`);
      await refuse(exchange, error, { 'content-range': unsatisfiedRange(content.size) });
      return SENT;
    }
    case 'whole':
      return send(content, exchange, { status: 200, headers: full, start: 0, end: content.size });
    case 'part': {
      const headers = { ...full, 'content-range': contentRange(range, content.size) };
      return send(content, exchange, { status: 206, headers, start: range.start, end: range.end });
    }
  }
}

type Part = { readonly status: number; readonly headers: Headers; readonly start: number; readonly end: number };

async function send(content: Content, exchange: Exchange, part: Part): Promise<PumpResult> {
  const { request, response } = exchange;
  const length = part.end - part.start;
  const headers = { ...exchange.headers, ...part.headers, 'content-length': String(length) };
  if (request.method === 'HEAD' || length === 0) {
    response.writeHead(part.status, headers).end();
    return SENT;
  }
  const head = (): void => void response.writeHead(part.status, headers);
  const open = (from: number) => content.open(part.start + from, part.end);
  const { slow, client } = exchange;
  return pumpBody(open, response, { length, slow, client, head });
}

/** Answers with `error`, and when to come again where that is worth a try. */
export function refuse(
  exchange: Omit<Exchange, 'slow' | 'client'>,
  error: ApiError,
  extra: Headers = {},
): Promise<void> {
  const again = error.code === 'UNAVAILABLE' || error.code === 'TOOMANYREQUESTS' ? { 'retry-after': retryAfterS } : {};
  const headers = { 'content-type': 'application/json; charset=utf-8', ...again, ...extra };
  return finishExchange(exchange, {
    status: error.status,
    headers,
    body: Buffer.from(JSON.stringify(errorBody(error))),
  });
}

/** Ends the exchange; a client that is still sending is heard out first, so that it reads the answer. */
export async function finishExchange(
  exchange: Omit<Exchange, 'slow' | 'client'>,
  { status, headers, body }: { status: number; headers?: Headers | undefined; body?: Buffer | undefined },
): Promise<void> {
  const { request, response } = exchange;
  const sized = body === undefined ? headers : { ...headers, 'content-length': String(body.length) };
  const all = { ...exchange.headers, ...sized };
  if (request.complete || !hasBody(request)) {
    response.writeHead(status, all).end(request.method === 'HEAD' ? undefined : body);
    return;
  }
  response.writeHead(status, { ...all, connection: 'close' });
  if (body === undefined) response.flushHeaders();
  else response.write(body);
  await linger(request, exchange.lingerMs);
  response.end();
}

/** If-Range with another ETag (or a date) asks for the whole. */
function wantedRange(request: IncomingMessage, etag: string): string | undefined {
  const condition = request.headers['if-range'];
  return condition === undefined || condition === etag ? request.headers.range : undefined;
}

function matches(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false;
  return header.split(',').some((item) => item.trim() === '*' || item.trim().replace(/^W\//, '') === etag);
}

/** The body of a request; read by at most one caller. */
export type RequestBody = {
  /** Content-Length, or undefined where the client does not say. */
  readonly length: number | undefined;
  /** The chunks as they come, with backpressure. Throws ApiError REQUEST_INVALID on a cut or a stall. */
  chunks(): AsyncIterable<Uint8Array>;
  /** All of it; SIZE_INVALID above `bytesMax`. */
  whole(bytesMax: number): Promise<Uint8Array>;
};

/** Passes every body on as a stream, JSON too: for routes of a scope (`app.register`) that carry blobs. */
export function streamBodies(scope: FastifyInstance): void {
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser('*', (_request, payload, done) => done(null, payload));
}

/** `hold`: told how many bytes a body that is read whole may come to, before it is; it may refuse. */
export function bodyOf(raw: IncomingMessage, stallMs: number, hold?: (bytes: number) => void): RequestBody {
  const length = raw.headers['content-length'];
  return {
    length: hasBody(raw) ? (length === undefined ? undefined : Number(length)) : 0,
    chunks: () => chunks(raw, stallMs),
    whole: (bytesMax) => whole(raw, { bytesMax, stallMs, hold }),
  };
}

function hasBody(raw: IncomingMessage): boolean {
  return raw.headers['transfer-encoding'] !== undefined || Number(raw.headers['content-length'] ?? 0) > 0;
}

async function* chunks(raw: IncomingMessage, stallMs: number): AsyncGenerator<Uint8Array> {
  if (!hasBody(raw)) return;
  // The stall clock counts the client's silence, not the time that our consumer takes.
  let waiting = true;
  const stall = setTimeout(() => (waiting ? raw.destroy(stalled(stallMs)) : stall.refresh()), stallMs);
  stall.unref();
  try {
    for await (const chunk of raw.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>) {
      waiting = false;
      yield chunk;
      waiting = true;
      stall.refresh();
    }
  } catch (error) {
    throw error instanceof ApiError ? error : cut(error);
  } finally {
    clearTimeout(stall);
  }
  if (!raw.complete) throw cut(undefined);
}

type Whole = {
  readonly bytesMax: number;
  readonly stallMs: number;
  readonly hold: ((bytes: number) => void) | undefined;
};

async function whole(raw: IncomingMessage, { bytesMax, stallMs, hold }: Whole): Promise<Uint8Array> {
  const length = hasBody(raw) ? Number(raw.headers['content-length'] ?? bytesMax) : 0;
  if (length > bytesMax) throw tooLarge(bytesMax);
  hold?.(length);
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of chunks(raw, stallMs)) {
    bytes += chunk.length;
    if (bytes > bytesMax) throw tooLarge(bytesMax);
    parts.push(chunk);
  }
  return Buffer.concat(parts, bytes);
}

/**
 * Reads on, and throws away, what the client still sends after a refusal, at most `lingerMs`: a socket
 * that is closed with unread bytes is reset, and the reset can overtake the answer.
 */
function linger(raw: IncomingMessage, lingerMs: number): Promise<void> {
  if (raw.complete || raw.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    const timer = setTimeout(done, lingerMs);
    function done(): void {
      clearTimeout(timer);
      resolve();
    }
    raw.once('end', done);
    raw.once('close', done);
    raw.once('error', done);
    raw.resume();
  });
}

function tooLarge(bytesMax: number): ApiError {
  return new ApiError('SIZE_INVALID', `the body is larger than the limit of ${bytesMax} bytes`);
}

function stalled(stallMs: number): ApiError {
  return new ApiError('REQUEST_INVALID', `the client sent nothing for ${stallMs / 1000} s`);
}

function cut(cause: unknown): ApiError {
  const why = (cause as { code?: string } | undefined)?.code ?? 'closed';
  return new ApiError('REQUEST_INVALID', `the connection was cut before the end of the body (${why})`);
}
