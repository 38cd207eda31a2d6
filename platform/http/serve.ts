/**
 * Serves a route of core/contracts: reads what was asked as the caller wrote it, answers what the caller reads.
 *
 * Rules: what cannot be read is refused by name before the handler runs; an answer of the wrong type does not compile.
 *   What a handler has sent itself is left as it is: its status is what the log and the metrics say.
 */

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Route } from '../../core/contracts/route.ts';

export type Asked<At, Body> = {
  /** What the path says, parameters and query. */
  readonly at: At;
  readonly body: Body;
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
};

export type ServeOptions = { readonly logLevel?: 'warn'; readonly bodyLimit?: number };

/** `handle` answers the value that the route tells, or sends the reply itself; undefined is 204. */
export function serve<At, Body, Reply>(
  app: FastifyInstance,
  route: Route<At, Body, Reply>,
  handle: (asked: Asked<At, Body>) => Reply | FastifyReply | Promise<Reply | FastifyReply>,
  options: ServeOptions = {},
): void {
  app.route({
    ...options,
    method: route.method,
    url: route.pattern,
    handler: async (request, reply) => {
      const at = route.at(request.params, request.query);
      const answer = await handle({ at, body: route.body(request.body), request, reply });
      if (answer !== undefined) return answer;
      // A reply that the handler answered with is a thenable: awaited, it is undefined once it has gone.
      if (reply.sent || reply.raw.headersSent) return;
      return reply.code(204).send();
    },
  });
}
