/**
 * Writes whose caller has hung up are not begun.
 *
 * Why: a process that hung for a while finds on its sockets what was asked meanwhile. Those who asked were told 503
 * long ago, and perhaps did something else since: what they gave up must not come true behind their backs.
 */

import type { FastifyInstance, FastifyRequest } from 'fastify';
import { ApiError } from '../../core/contracts/errors.ts';

/** A hang-up is read from the socket after the request: in the turn of the event loop that follows, or the next. */
const turns = 3;

export function dropAbandoned(app: FastifyInstance): void {
  app.addHook('preHandler', async (request) => {
    if (request.method === 'GET' || request.method === 'HEAD') return;
    for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve));
    if (gone(request)) throw new ApiError('REQUEST_INVALID', 'the caller has hung up: nothing was changed');
  });
}

function gone(request: FastifyRequest): boolean {
  const { socket } = request.raw;
  return socket.destroyed || socket.readableEnded;
}
