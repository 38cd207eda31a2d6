/**
 * The registry API under /v2/: parse to one value, ask the handler, write its reply.
 *
 * Rule 1: an ApiError becomes an OCI error body here; any other error is the HTTP server's to report.
 * Rule 2: the handler's signal is aborted as soon as the client has gone.
 */

import type { FastifyInstance, FastifyReply, FastifyRequest, HTTPMethods } from 'fastify';
import { Bug } from '../../core/assert.ts';
import { ApiError } from '../../core/contracts/errors.ts';
import { isBlobPath, OCI_PATHS, sessionOf } from '../../core/oci/paths.ts';
import { allowedMethods, parseOciRequest } from '../../core/oci/request.ts';
import { WholeBodies, wholeBodiesBytesMax } from '../http/bodies.ts';
import { callOf, clientOf, hasLeft, type Trusted, trustedOf } from '../http/call.ts';
import { type Headers, Redirect } from '../http/content.ts';
import {
  bodyOf,
  CLIENT_LIMITS,
  type ClientLimits,
  type Exchange,
  finishExchange,
  refuse,
  SENT,
  streamBodies,
  writeContent,
} from '../http/exchange.ts';
import type { PumpResult } from '../http/pump.ts';
import { SlowReaders, slowReadersMax } from '../http/slow.ts';
import type { RequestWork } from '../lifecycle/drain.ts';
import type { RegistryGate } from './gate.ts';
import type { OciContext, OciReply, RegistryHandler } from './reply.ts';

const VERSION: Headers = { 'docker-distribution-api-version': 'registry/2.0' };
const METHODS: HTTPMethods[] = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];

/** `gate`: who asks who somebody is. Default: nobody. */
export function registerRegistry(
  app: FastifyInstance,
  handler: RegistryHandler,
  limits = CLIENT_LIMITS,
  gate?: RegistryGate,
): void {
  const bodies = new WholeBodies(wholeBodiesBytesMax);
  const trusted = trustedOf(limits.trustedProxies ?? []);
  const slow = new SlowReaders({ pauseMs: limits.pauseMs, readersMax: slowReadersMax });
  app.register((scope, _options, done) => {
    streamBodies(scope);
    for (const url of [OCI_PATHS.base.slice(0, -1), OCI_PATHS.base, `${OCI_PATHS.base}*`]) {
      scope.route({
        method: METHODS,
        url,
        exposeHeadRoute: false,
        handler: (request, reply) => serve(request, reply, { handler, limits, gate, slow, trusted, bodies }),
      });
    }
    done();
  });
}

type Serving = {
  readonly handler: RegistryHandler;
  readonly limits: ClientLimits;
  readonly gate: RegistryGate | undefined;
  readonly slow: SlowReaders;
  readonly trusted: Trusted;
  readonly bodies: WholeBodies;
};

async function serve(request: FastifyRequest, reply: FastifyReply, serving: Serving): Promise<void> {
  const { handler, gate } = serving;
  using held = new DisposableStack();
  const client = clientOf(request.raw, serving.trusted);
  const context = contextOf(request, client, { ...serving, held });
  try {
    const answer = await answerOf(async () => {
      const asked = parseOciRequest(request.method, request.raw.url ?? '');
      if (gate === undefined) return await handler.handle(asked, context);
      const { headers, socket } = request.raw;
      const admission = await gate.admit(asked, { headers, socket, address: client });
      if (admission.kind === 'error') return admission;
      const { subject, sees } = admission;
      return await handler.handle(admission.request, { ...context, subject, sees });
    });
    if (hasLeft(request)) return void reply.hijack();
    await write(answer, request, { reply, client, ...serving });
  } catch (error) {
    // Whoever is gone needs no answer; what went wrong because of that is no error either.
    if (!hasLeft(request) || error instanceof Bug) throw error;
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

/** Writes a reply with the headers of OCI distribution 1.1. Throws the ApiError of a source that fails before its first byte: nothing is written then. */
async function writeReply(reply: OciReply, exchange: Exchange): Promise<PumpResult> {
  switch (reply.kind) {
    case 'empty':
      await finishExchange(exchange, { status: reply.status, headers: { 'content-length': '0', ...reply.headers } });
      return SENT;
    case 'json': {
      const headers = { 'content-type': 'application/json; charset=utf-8', ...reply.headers };
      await finishExchange(exchange, { status: 200, headers, body: Buffer.from(JSON.stringify(reply.value)) });
      return SENT;
    }
    case 'error': {
      const allow = allowedMethods(reply.error);
      await refuse(exchange, reply.error, {
        ...(allow === undefined ? {} : { allow: allow.join(', ') }),
        ...reply.headers,
      });
      return SENT;
    }
    case 'content':
      return writeContent(reply.content, { ...exchange, headers: { ...exchange.headers, ...reply.headers } });
  }
}

/** The value of `act`, or its ApiError or Redirect as a reply. */
async function answerOf<T>(act: () => Promise<T>): Promise<T | OciReply> {
  try {
    return await act();
  } catch (error) {
    if (error instanceof ApiError) return { kind: 'error', error };
    // Whoever holds the URL may read: nobody between is to keep it.
    if (error instanceof Redirect)
      return { kind: 'empty', status: 307, headers: { location: error.url, 'cache-control': 'no-store' } };
    throw error;
  }
}

function contextOf(
  request: FastifyRequest,
  client: string,
  { limits, bodies, held }: Serving & { held: DisposableStack },
): OciContext {
  return {
    call: callOf(request).by({ kind: 'unverified', name: client }),
    header: (name) => once(request.headers[name]),
    // Until the request is answered: its handler has the bytes.
    body: bodyOf(request.raw, limits.stallMs, (bytes) => held.defer(bodies.hold(client, bytes))),
  };
}

/** Node joins what comes twice, but in an array where it does not know the header. */
function once(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value.join(', ') : value;
}

/** What a request to a registry is to a process that is being stopped. */
export function registryWork(method: string, path: string): RequestWork | undefined {
  const session = sessionOf(path);
  if (session !== undefined) return { kind: 'uploads', continues: session !== '' };
  return method === 'GET' && isBlobPath(path) ? { kind: 'downloads', continues: false } : undefined;
}
