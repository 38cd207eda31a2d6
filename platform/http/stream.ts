/**
 * Request bodies as streams. A blob is never buffered: the parser passes the raw stream on, and the route
 * reads it with `readBody`, which ends a body that stalls. Fastify's bodyLimit does not apply here.
 */

import type { FastifyInstance, FastifyRequest } from 'fastify';
import { ApiError } from '../../core/contracts/errors.ts';

/** A client that sends nothing for so long has gone. */
export const bodyStallMs = 60_000;

/** Passes every body on as a stream, JSON too: for routes of a scope (`app.register`) that carry blobs. */
export function streamBodies(scope: FastifyInstance): void {
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser('*', (_request, payload, done) => done(null, payload));
}

/** The chunks of a streamed body; a stall or a cut connection is an error, never a short body. */
export async function* readBody(request: FastifyRequest, stallMs = bodyStallMs): AsyncGenerator<Uint8Array> {
  const raw = request.raw;
  // Fastify leaves a body without a content type alone: the raw stream is still there to read.
  let waiting = true;
  const stall = setTimeout(() => {
    // The clock stands still while the consumer works: only the client's silence counts.
    if (waiting) raw.destroy(stallError(stallMs));
    else stall.refresh();
  }, stallMs);
  stall.unref();
  try {
    for await (const chunk of raw as AsyncIterable<Uint8Array>) {
      waiting = false;
      yield chunk;
      waiting = true;
      stall.refresh();
    }
  } catch (error) {
    throw error instanceof ApiError ? error : cutError(error);
  } finally {
    clearTimeout(stall);
  }
  if (!raw.complete) throw cutError(undefined);
}

/** The whole body, at most `bytesMax` (SIZE_INVALID beyond). For manifests and other small things. */
export async function readWhole(request: FastifyRequest, bytesMax: number): Promise<Uint8Array> {
  const announced = Number(request.headers['content-length'] ?? 0);
  if (announced > bytesMax) throw tooLarge(bytesMax);
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of readBody(request)) {
    bytes += chunk.length;
    if (bytes > bytesMax) throw tooLarge(bytesMax);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, bytes);
}

function tooLarge(bytesMax: number): ApiError {
  return new ApiError('SIZE_INVALID', `the body is larger than the limit of ${bytesMax} bytes`);
}

function stallError(stallMs: number): ApiError {
  return new ApiError('REQUEST_INVALID', `the client sent nothing for ${stallMs / 1000} s`);
}

function cutError(cause: unknown): ApiError {
  const why = (cause as { code?: string } | undefined)?.code ?? 'closed';
  return new ApiError('REQUEST_INVALID', `the connection was cut before the end of the body (${why})`);
}
