/**
 * The body of a request as a stream, read so that an early refusal can still be answered: leaving the loop does
 * not destroy the connection, and what the client still sends is drained (`linger`) for a while. A blob is never
 * buffered: Fastify's bodyLimit does not apply here.
 */

import type { IncomingMessage } from 'node:http';
import type { FastifyInstance } from 'fastify';
import { ApiError } from '../../core/contracts/errors.ts';

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

export function hasBody(raw: IncomingMessage): boolean {
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
export function linger(raw: IncomingMessage, lingerMs: number): Promise<void> {
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
