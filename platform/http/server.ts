/**
 * The HTTP server that every component builds on: health, readiness, metrics, request ids, errors, access log.
 *
 * Rule 1: every error leaves as an ErrorBody of core/contracts/errors.ts; what we did not foresee is UNKNOWN,
 *         with the cause in the log under the request id.
 * Rule 2: a Bug is answered, then thrown where it ends the process.
 * Rule 3: no limit on the wall-clock time of a request: uploads and pulls take as long as bytes flow.
 * Rule 4: HEAD routes are written out by their owners; none is derived from a GET.
 */

import { type IncomingMessage, maxHeaderSize } from 'node:http';
import type { Server, Socket } from 'node:net';
import {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  fastify,
  LogController,
} from 'fastify';
import type { Histogram } from 'prom-client';
import type { VerifiedCaller } from '../../core/access/identity.ts';
import { Bug } from '../../core/assert.ts';
import { ApiError, ERRORS, type ErrorBody, type ErrorCode } from '../../core/contracts/errors.ts';
import { PROBES } from '../../core/contracts/probes.ts';
import { StartError } from '../lifecycle/errors.ts';
import { type HttpDoors, tcpDoors } from '../net/http.ts';
import type { DoorPlace, LetsIn, Listener } from '../net/net.ts';
import type { Logger } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { lineHooks } from '../telemetry/unsaid.ts';
import { callOf, InFlight, type InFlightLimits, idsOf, receiveCall, watchCall } from './call.ts';
import { serve } from './serve.ts';

/** Bodies that are parsed as JSON; blobs and manifests are streamed (exchange.ts). */
export const jsonBytesMax = 8 * 1024 * 1024;
/** A repository name of 255 characters, encoded, or a sha512 digest. */
const pathParamLengthMax = 1024;
const keepAliveMs = 72_000;
const headersMs = 30_000;
/** How long a client that was refused before its request could be read has to hang up. */
const refusedMs = 1_000;
/** Of a flood of connections one line says as much as a thousand. */
const tellMs = 60_000;
const QUIET_PATHS: ReadonlySet<string> = new Set(Object.values(PROBES).map(({ pattern }) => pattern));

/** Only processes of the cluster call these: what they say of whom they call for is believed. Others anybody calls. */
const INSIDE: ReadonlySet<string> = new Set(['index', 'origin', 'tracker']);

export type HttpOptions = {
  readonly role: string;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** What keeps this process from serving, one line each; empty: ready. */
  readonly readiness: () => Promise<readonly string[]>;
  /** Where callers show certificates: who is at the other end, undefined for nobody who is believed. */
  readonly caller?: ((socket: Socket) => VerifiedCaller | undefined) | undefined;
  /** What somebody should see to, though it serves, one line each. */
  readonly warnings?: (() => readonly string[]) | undefined;
  /** Whether it answers metrics. Default: yes. */
  readonly inside?: boolean;
  /** Connections at a time. Default: no limit. */
  readonly connectionsMax?: number | undefined;
  /** What one client may ask for at a time. Default: no limit but that of one connection. */
  readonly inFlight?: InFlightLimits | undefined;
};

/** A server without routes of its own but /health, /readiness and /metrics. It does not listen yet. */
export function createHttp(options: HttpOptions): FastifyInstance {
  const app = fastify({
    loggerInstance: options.log as FastifyBaseLogger,
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'requestId' }),
    genReqId: (request) =>
      receiveCall(request as IncomingMessage, callerOf(request as IncomingMessage, options)).requestId,
    childLoggerFactory: (log, bindings, how, request) =>
      log.child({ ...bindings, ...idsOf(request as IncomingMessage) }, how),
    bodyLimit: jsonBytesMax,
    exposeHeadRoutes: false,
    forceCloseConnections: 'idle',
    keepAliveTimeout: keepAliveMs,
    requestTimeout: 0,
    http: { headersTimeout: headersMs },
    routerOptions: { maxParamLength: pathParamLengthMax },
    frameworkErrors: (error, request, reply) => sendError(error, request, reply),
    clientErrorHandler: refuseUnread,
  });
  app.setErrorHandler((error, request, reply) => sendError(error, request, reply));
  app.setNotFoundHandler((request, reply) =>
    sendError(new ApiError('NOT_FOUND', `there is no ${request.method} ${pathOf(request)} here`), request, reply),
  );
  observe(app, options);
  addProbes(app, options);
  boundConnections(app.server, options);
  return app;
}

/** Where certificates are shown, only who is believed itself is believed when it says for whom it calls. */
function callerOf({ socket }: IncomingMessage, { role, caller }: HttpOptions): Parameters<typeof receiveCall>[1] {
  const inside = INSIDE.has(role);
  if (caller === undefined) return { believed: inside };
  const from = caller(socket);
  return { believed: inside && from !== undefined, from };
}

/** Beyond `connectionsMax` those go of whom nobody misses them (crowd.ts). */
function boundConnections(
  server: Server,
  { log, metrics, connectionsMax = Number.POSITIVE_INFINITY }: HttpOptions,
): void {
  const open = new Set<Socket>();
  let clearing = false;
  let toldMs = Number.NEGATIVE_INFINITY;
  const clear = async (): Promise<void> => {
    const { whoGoes } = await import('./crowd.ts');
    const gone = whoGoes(open, connectionsMax, isAnswering);
    for (const socket of gone) socket.destroy();
    cut.inc(gone.length);
    clearing = false;
    if (performance.now() - toldMs < tellMs) return;
    toldMs = performance.now();
    log.warn({ most: connectionsMax }, 'too many connections: idle ones are cut, first of who has most of them');
  };
  const cut = metrics.counter('connections_cut_total', 'Connections that had to give way, since there were too many');
  server.on('connection', (socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    if (open.size <= connectionsMax || clearing) return;
    clearing = true;
    void clear();
  });
}

/** Node says so nowhere else: the answer that is under way on it. */
const isAnswering = (socket: Socket): boolean => (socket as { _httpMessage?: unknown })._httpMessage != null;

function pathOf(request: FastifyRequest): string {
  return request.url.split('?', 1)[0] as string;
}

/** How long each request takes. */
export function requestSeconds(metrics: Metrics): Histogram<'method' | 'route' | 'status'> {
  const help = 'Duration of HTTP requests, seconds';
  return metrics.histogram('http_request_duration_seconds', help, ['method', 'route', 'status']);
}

function observe(app: FastifyInstance, options: HttpOptions): void {
  const seconds = requestSeconds(options.metrics);
  const inFlight = new InFlight(options.inFlight);
  app.addHook('onRequest', (request, reply, done) => {
    reply.headers(callOf(request).answered());
    done(watchCall(request.raw, reply.raw) ?? inFlight.take(request.raw, reply.raw));
  });
  app.addHook('onResponse', (request, reply, done) => {
    const route = request.routeOptions.url ?? 'none';
    seconds.observe({ method: request.method, route, status: String(reply.statusCode) }, reply.elapsedTime / 1000);
    const line = {
      method: request.method,
      path: request.url,
      status: reply.statusCode,
      ms: Math.round(reply.elapsedTime),
    };
    if (QUIET_PATHS.has(route)) request.log.debug(line, 'request');
    else request.log.info(line, 'request');
    done();
  });
}

function addProbes(app: FastifyInstance, options: HttpOptions): void {
  const { role } = options;
  serve(app, PROBES.health, () => ({ status: 'ok', role }));
  serve(app, PROBES.readiness, async ({ reply }) => {
    const problems = await options.readiness();
    const warned = options.warnings?.() ?? [];
    const warnings = warned.length > 0 ? { warnings: warned } : {};
    if (problems.length === 0) return { status: 'ready' as const, role, ...warnings };
    reply.code(503).header('retry-after', '1');
    return { status: 'not ready' as const, role, problems, ...warnings };
  });
  if (options.inside === false) return;
  serve(app, PROBES.metrics, async ({ reply }) =>
    reply.header('content-type', options.metrics.contentType).send(await options.metrics.text()),
  );
}

/** `error` as an answer. Exported for routes that must answer outside of the usual path. */
export function sendError(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const answer = error instanceof ApiError ? error : translated(error);
  if (answer.code === 'UNKNOWN') request.log.error({ err: error }, 'request failed');
  else if (answer.status >= 500) request.log.warn({ code: answer.code, why: answer.message }, 'request failed');
  if (error instanceof Bug) setImmediate(() => raise(error));
  if (answer.code === 'UNAVAILABLE' || answer.code === 'TOOMANYREQUESTS') reply.header('retry-after', '1');
  return reply
    .code(answer.status)
    .header('content-type', 'application/json; charset=utf-8')
    .send(JSON.stringify(errorBody(answer)));
}

/** What is no HTTP that can be read: there is no request yet to answer, so this writes to the socket. */
function refuseUnread(error: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable || error.code === 'ECONNRESET') return void socket.destroy();
  const [status, why] = UNREAD[error.code ?? ''] ?? ['400 Bad Request', 'this is no HTTP/1.1 request'];
  const body = JSON.stringify(errorBody(new ApiError('REQUEST_INVALID', why)));
  const head = `HTTP/1.1 ${status}\r\ncontent-type: application/json; charset=utf-8\r\nconnection: close`;
  socket.end(`${head}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
  // Whoever does not hang up has not read it, and will not.
  setTimeout(() => socket.destroy(), refusedMs).unref();
}

const UNREAD: Readonly<Record<string, readonly [status: string, why: string]>> = {
  ERR_HTTP_REQUEST_TIMEOUT: ['408 Request Timeout', `the request's headers did not come within ${headersMs / 1000} s`],
  HPE_HEADER_OVERFLOW: [
    '431 Request Header Fields Too Large',
    `the request's headers are larger than ${maxHeaderSize} bytes`,
  ],
};

/** `error` in OCI's form. */
export function errorBody(error: ApiError): ErrorBody {
  const { code, detail } = error;
  const message = lineHooks.streamWrite?.(error.message) ?? error.message;
  return { errors: [detail === undefined ? { code, message } : { code, message, detail }] };
}

function raise(error: Error): never {
  throw error;
}

/** Fastify's own refusals carry a status; anything else is an error of ours and tells the client nothing more. */
function translated(error: unknown): ApiError {
  const { statusCode, code, message } = error as { statusCode?: number; code?: string; message?: string };
  if (typeof statusCode !== 'number' || statusCode >= 500 || code?.startsWith('FST_') !== true) {
    return new ApiError('UNKNOWN', ERRORS.UNKNOWN.means);
  }
  const known: ErrorCode = statusCode === 413 ? 'SIZE_INVALID' : 'REQUEST_INVALID';
  return new ApiError(known, message ?? ERRORS[known].means);
}

export type Listening = { readonly port: number; [Symbol.asyncDispose](): Promise<void> };

const LOOPBACKS = ['127.0.0.1', '::1'] as const;
const WITHOUT_IPV6: ReadonlySet<string> = new Set(['EADDRNOTAVAIL', 'EAFNOSUPPORT']);

/** Listens there, or at each of these. Closing waits for open requests. */
export async function listen(
  app: FastifyInstance,
  at: DoorPlace | readonly DoorPlace[],
  net: HttpDoors = tcpDoors,
  letsIn?: LetsIn,
): Promise<Listening> {
  await app.ready();
  const doors: Listener[] = [];
  const closed = async (): Promise<void> =>
    void (await Promise.all([app.close(), ...doors.map((door) => door.close())]));
  const open = async (place: DoorPlace): Promise<Listener> => {
    const door = await net.listen(app.server, place, letsIn);
    doors.push(door);
    return door;
  };
  for (const place of [at].flat() as DoorPlace[])
    await opened(place, open).catch(async (error: unknown) => {
      await closed();
      throw 'port' in place ? startError(error, place.host, place.port) : socketError(error, place.socket);
    });
  const port = doors.find((door) => door.port !== 0)?.port ?? 0;
  return { port, [Symbol.asyncDispose]: closed };
}

/** `localhost` means 127.0.0.1 and, where this host has it, ::1 on the same port. */
async function opened(place: DoorPlace, open: (place: DoorPlace) => Promise<Listener>): Promise<void> {
  if (!('port' in place) || place.host !== 'localhost') return void (await open(place));
  const [v4, v6] = LOOPBACKS;
  const { port } = await open({ host: v4, port: place.port });
  await open({ host: v6, port }).catch((error: NodeJS.ErrnoException) => {
    if (!WITHOUT_IPV6.has(error.code ?? '')) throw error;
  });
}

/** The failure to listen as one line with its remedy; other errors unchanged. Also for peer sockets. */
export function startError(error: unknown, host: string, port: number): Error {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'EADDRINUSE') {
    return new StartError(`port ${port} on ${host} is in use: stop what listens there, or choose another port`);
  }
  if (code === 'EACCES') return new StartError(`port ${port} on ${host} needs privileges: choose one above 1023`);
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') {
    return new StartError(`cannot listen on ${host}: it is no address of this host`);
  }
  return error as Error;
}

/** The same of a unix socket. */
function socketError(error: unknown, socket: string): Error {
  const code = (error as NodeJS.ErrnoException).code ?? '';
  const why = SOCKET_ERRORS[code];
  return why === undefined ? (error as Error) : new StartError(`cannot listen on unix:${socket}: ${why}`);
}

const SOCKET_ERRORS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another process listens there: stop it, or choose another path',
  ENOTSOCK: 'there is a file that is no socket: remove it, or choose another path',
  ENOENT: 'there is no such directory: make it first',
  EACCES: 'this user may not make it there: change the mode of its directory, or choose another path',
};
