/**
 * The registry API under /v2/: parse to one value, ask the handler, write its reply.
 *
 * Rule 1: an ApiError becomes an OCI error body here; any other error is the HTTP server's to report.
 * Rule 2: the handler's signal is aborted as soon as the client has gone.
 */

import type { FastifyInstance, FastifyReply, FastifyRequest, HTTPMethods } from 'fastify';
import { Bug } from '../../core/assert.ts';
import { ApiError } from '../../core/contracts/errors.ts';
import { parseOciRequest } from '../../core/oci/request.ts';
import { WholeBodies, wholeBodiesBytesMax } from '../http/bodies.ts';
import { bodyOf } from '../http/body.ts';
import { clientOf, type Trusted, trustedOf } from '../http/client-address.ts';
import type { Headers } from '../http/content.ts';
import { CLIENT_LIMITS, type ClientLimits, type Exchange } from '../http/exchange.ts';
import { SlowReaders, slowReadersMax } from '../http/slow.ts';
import { streamBodies } from '../http/stream.ts';
import type { OciContext, OciReply, RegistryHandler } from './reply.ts';
import { writeReply } from './write.ts';

const VERSION: Headers = { 'docker-distribution-api-version': 'registry/2.0' };
const METHODS: HTTPMethods[] = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];

export function registerRegistry(app: FastifyInstance, handler: RegistryHandler, limits = CLIENT_LIMITS): void {
  const bodies = new WholeBodies(wholeBodiesBytesMax);
  const trusted = trustedOf(limits.trustedProxies ?? []);
  const slow = new SlowReaders({ pauseMs: limits.pauseMs, readersMax: slowReadersMax });
  app.register((scope, _options, done) => {
    streamBodies(scope);
    for (const url of ['/v2', '/v2/', '/v2/*']) {
      scope.route({
        method: METHODS,
        url,
        exposeHeadRoute: false,
        handler: (request, reply) => serve(request, reply, { handler, limits, slow, trusted, bodies }),
      });
    }
    done();
  });
}

type Serving = {
  readonly handler: RegistryHandler;
  readonly limits: ClientLimits;
  readonly slow: SlowReaders;
  readonly trusted: Trusted;
  readonly bodies: WholeBodies;
};

async function serve(request: FastifyRequest, reply: FastifyReply, serving: Serving): Promise<void> {
  const { handler } = serving;
  const gone = new AbortController();
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) gone.abort(new ApiError('REQUEST_INVALID', 'the client closed the connection'));
  });
  using held = new DisposableStack();
  const context = contextOf(request, gone.signal, { ...serving, held });
  try {
    const answer = await answerOf(() =>
      handler.handle(parseOciRequest(request.method, request.raw.url ?? ''), context),
    );
    if (gone.signal.aborted) return void reply.hijack();
    await write(answer, request, { reply, client: context.client, ...serving });
  } catch (error) {
    // Whoever is gone needs no answer; what went wrong because of that is no error either.
    if (!gone.signal.aborted || error instanceof Bug) throw error;
    reply.hijack();
  }
}

async function write(
  answer: OciReply,
  request: FastifyRequest,
  to: { reply: FastifyReply; client: string; limits: ClientLimits; slow: SlowReaders },
): Promise<void> {
  const { reply, slow, client } = to;
  const { lingerMs } = to.limits;
  const headers = { ...VERSION, ...(reply.getHeaders() as Headers) };
  const exchange: Exchange = { request: request.raw, response: reply.raw, headers, slow, client, lingerMs };
  const failed = await answerOf(async () => {
    const result = await writeReply(answer, exchange);
    if (result.kind === 'cut') request.log.warn({ err: result.why }, 'response cut short');
    return undefined;
  });
  if (failed !== undefined) await writeReply(failed, exchange);
  reply.hijack();
}

/** The value of `act`, or its ApiError as a reply. */
async function answerOf<T>(act: () => Promise<T>): Promise<T | OciReply> {
  try {
    return await act();
  } catch (error) {
    if (error instanceof ApiError) return { kind: 'error', error };
    throw error;
  }
}

function contextOf(
  request: FastifyRequest,
  signal: AbortSignal,
  { limits, trusted, bodies, held }: Serving & { held: DisposableStack },
): OciContext {
  const client = clientOf(request.raw, trusted);
  return {
    requestId: request.id,
    client,
    signal,
    header: (name) => request.headers[name],
    // Until the request is answered: its handler has the bytes.
    body: bodyOf(request.raw, limits.stallMs, (bytes) => held.defer(bodies.hold(client, bytes))),
  };
}
