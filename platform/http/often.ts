/** Serves a GET of core/contracts that is asked for very often: by the short way where that will do, else as any other. */

import type { FastifyInstance } from 'fastify';
import type { Route } from '../../core/contracts/route.ts';
import { serve } from './serve.ts';
import { ShortWay } from './short.ts';

type Finding<At, R> = {
  readonly find: (at: At) => Promise<R | undefined>;
  /** What is thrown where it is not there. */
  readonly absent: (at: At) => never;
};

export function serveOften<At, R extends object>(
  app: FastifyInstance,
  route: Route<At, undefined, R>,
  { find, absent }: Finding<At, R>,
): void {
  const way = ShortWay.of(app);
  way.add({ route, find });
  serve(app, route, async ({ at, request }) => {
    const begun = way.begunOf(request.raw) as Promise<R | undefined> | undefined;
    return (await (begun ?? find(at))) ?? absent(at);
  });
}
