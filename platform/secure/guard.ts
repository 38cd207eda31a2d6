/**
 * Who may ask a door for what (core/access/table.ts), looked up before anything of a request is read but its first lines.
 *
 * Rule 1: a door that serves what is not in the table does not open: what nobody thought of is nobody's.
 * Rule 2: who shows no certificate, or one that is not believed, has what anybody has, and no more.
 * Rule 3: a connection from before our certificates were renewed, or revoked, is asked to end after its answer; so is one
 *         whose caller's certificate ends soon: it has another one by now, and shows it when it calls again.
 */

import type { Socket } from 'node:net';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { identityText, type VerifiedCaller } from '../../core/access/identity.ts';
import { type HttpPort, mayCall } from '../../core/access/table.ts';
import { Bug } from '../../core/assert.ts';
import { ApiError } from '../../core/contracts/errors.ts';
import type { Method } from '../../core/contracts/route.ts';
import { type Credentials, noCertificate } from '../net/credentials.ts';
import type { Metrics } from '../telemetry/metrics.ts';

/** A connection that is used at all is used within this, else its caller closes it: 30 s (platform/net/http.ts). */
const soonMs = 300_000;

type GuardOptions = { readonly port: HttpPort; readonly credentials: Credentials; readonly metrics: Metrics };

/** Whether a caller may plainly ask for that: nothing is to be told of it, and its connection may stay. */
export type Lets = (socket: Socket, route: { readonly method: Method; readonly pattern: string }) => boolean;

/** Before the routes are added. */
export function guard(app: FastifyInstance, { port, credentials, metrics }: GuardOptions): Lets {
  const refused = metrics.counter('access_refused_total', 'Requests of callers who may not make them', [
    'port',
    'caller',
    'route',
  ]);
  const made = new WeakMap<object, number>();
  app.addHook('onRoute', ({ method, url }) => {
    for (const one of [method].flat())
      if (one !== 'OPTIONS' && mayCall(port, one, url) === undefined)
        throw new Bug(`${one} ${url} on port '${port}' has no entry in core/access/table.ts`);
  });
  app.addHook('onRequest', (request, reply, done) => {
    const { socket } = request.raw;
    const generation = made.get(socket);
    if (generation === undefined) made.set(socket, credentials.generation);
    const who = credentials.whoIs(socket);
    const before = generation !== undefined && generation !== credentials.generation;
    if (before || endsSoon(who)) reply.header('connection', 'close');
    const why = refusalOf(port, request, who);
    if (why === undefined) return done();
    const caller = typeof who === 'string' ? (who === noCertificate ? 'none' : 'stranger') : who.role;
    refused.inc({ port, caller, route: request.routeOptions.url ?? 'none' });
    request.log.warn({ caller: typeof who === 'string' ? who : identityText(who) }, 'refused: it may not ask for that');
    done(new ApiError('DENIED', why));
  });
  return (socket, { method, pattern }) => {
    if (made.get(socket) !== credentials.generation) return false;
    const may = mayCall(port, method, pattern);
    if (may === 'anyone') return true;
    const who = credentials.whoIs(socket);
    return typeof who !== 'string' && !endsSoon(who) && may?.includes(who.role) === true;
  };
}

/** Or has ended. */
function endsSoon(who: VerifiedCaller | string): boolean {
  return typeof who === 'string' ? who !== noCertificate : who.untilMs - Date.now() < soonMs;
}

function refusalOf(port: HttpPort, request: FastifyRequest, who: VerifiedCaller | string): string | undefined {
  const { url } = request.routeOptions;
  // There is no such path: that is told to anybody.
  if (url === undefined) return undefined;
  const may = mayCall(port, request.method, url);
  if (may === 'anyone' || request.method === 'OPTIONS') return undefined;
  const what = `${request.method} ${url}`;
  if (may === undefined) return `nobody may ask for ${what}`;
  if (typeof who === 'string') return `${what} is for callers with a certificate (${may.join(', ')}), and ${who}`;
  return may.includes(who.role)
    ? undefined
    : `${what} is for ${may.join(', ')}, and ${identityText(who)} is none of these`;
}
