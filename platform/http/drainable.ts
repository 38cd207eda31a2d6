/**
 * A server's part in a drain (lifecycle/drain.ts): it counts what it serves, and refuses what is new.
 *
 * Rule 1: while draining, /readiness says no and why, /health and /metrics answer, a transfer that has begun goes on,
 *         and anything else is 503 with Retry-After. The listener stays open until the end, so that a client reads
 *         that, and not a reset.
 * Rule 2: every answer of a drain closes its connection: behind a load balancer the next request goes elsewhere.
 */

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { ApiError } from '../../core/contracts/errors.ts';
import { PROBES } from '../../core/contracts/probes.ts';
import type { Drain, WorkKind } from '../lifecycle/drain.ts';
import { finish } from './exchange.ts';
import { errorBody } from './server.ts';

/** What a request is to a drain. */
export type Work = {
  readonly kind: WorkKind;
  /** Part of what was begun by an earlier request: taken while draining. */
  readonly continues: boolean;
};

const PROBED: ReadonlySet<string> = new Set(Object.values(PROBES).map(({ pattern }) => pattern));
const REQUEST: Work = { kind: 'requests', continues: false };
/** How long a client may go on sending after it was refused. */
const lingerMs = 5_000;

/** `role` is how refusals call this process. `workOf` tells what a request is; default: nothing special. */
export function drainable(
  app: FastifyInstance,
  drain: Drain,
  about: { readonly role: string; readonly workOf?: (method: string, path: string) => Work | undefined },
): void {
  const open = new Set<FastifyReply>();
  drain.onStart(() => {
    for (const reply of open) closing(reply);
  });
  app.addHook('onRequest', async (request, reply) => {
    const path = request.url.split('?', 1)[0] as string;
    if (drain.draining) closing(reply);
    if (PROBED.has(path))
      return drain.draining && path === PROBES.readiness.pattern ? notReady(reply, about.role) : undefined;
    const work = about.workOf?.(request.method, path) ?? REQUEST;
    if (drain.draining && !work.continues) return await refuse(request, reply, about.role);
    const end = drain.begin(work.kind, () => reply.raw.destroy());
    open.add(reply);
    reply.raw.once('close', () => {
      open.delete(reply);
      // An upload that is neither committed nor given up goes on.
      if (work.kind === 'uploads' && request.method !== 'DELETE' && request.method !== 'PUT') drain.expect();
      end();
    });
    return undefined;
  });
}

function closing(reply: FastifyReply): void {
  if (!reply.raw.headersSent) reply.header('connection', 'close');
}

function notReady(reply: FastifyReply, role: string): FastifyReply {
  return reply
    .code(503)
    .header('retry-after', '1')
    .send({ status: 'not ready', role, problems: ['it is stopping'] });
}

async function refuse(request: FastifyRequest, reply: FastifyReply, role: string): Promise<FastifyReply> {
  const error = new ApiError('UNAVAILABLE', `this ${role} is stopping: ask another one, or try again`);
  const headers = { 'content-type': 'application/json; charset=utf-8', 'retry-after': '1' };
  reply.hijack();
  await finish(
    {
      request: request.raw,
      response: reply.raw,
      headers: reply.getHeaders() as Record<string, string>,
      lingerMs,
    },
    { status: error.status, headers, body: Buffer.from(JSON.stringify(errorBody(error))) },
  );
  return reply;
}
