/** A port on which a role answers HTTP: its routes beside the probes and the metrics, all of it refused while it drains. */

import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';
import type { HttpPort } from '../../core/access/table.ts';
import { createHttp, listen, requestSeconds } from '../http/server.ts';
import { ShortWay } from '../http/short.ts';
import { drainable, type RequestWork } from '../lifecycle/drain.ts';
import type { RoleContext } from '../lifecycle/role.ts';
import type { Endpoint } from '../net/net.ts';

export type HttpDoor = {
  readonly at: Endpoint;
  readonly routes: (app: FastifyInstance) => void;
  /** The port's name in core/access/table.ts. Default: that of the role. */
  readonly port?: HttpPort;
  /** What keeps the role from serving, one line each. Default: nothing ever does. */
  readonly readiness?: () => Promise<readonly string[]>;
  /** What somebody should see to, though it serves. */
  readonly warnings?: () => readonly string[];
  /** What a request is to a role that is being stopped. Default: nothing special. */
  readonly workOf?: (method: string, path: string) => RequestWork | undefined;
};

/** The port that it listens on. It is closed with the stack. */
export async function openDoor(
  { role, log, metrics, drain, secure }: Omit<RoleContext<unknown>, 'config' | 'env'>,
  { at, routes, port = role, readiness, warnings, workOf }: HttpDoor,
  stack: AsyncDisposableStack,
): Promise<number> {
  const warned = secure === undefined ? warnings : () => [...secure.warnings(), ...(warnings?.() ?? [])];
  const caller = secure && ((socket: Socket) => secure.caller(socket));
  const app = createHttp({ role, log, metrics, readiness: readiness ?? (async () => []), warnings: warned, caller });
  const lets = secure?.guard(app, port);
  drainable(app, drain, { role, ...(workOf && { workOf }) });
  routes(app);
  ShortWay.ifAny(app)?.open({
    log,
    seconds: requestSeconds(metrics),
    enter(request, route, cut) {
      const taken = !drain.draining && (lets === undefined || lets(request.socket, route));
      return taken ? drain.begin('requests', cut) : undefined;
    },
    closing: () => drain.draining,
  });
  return stack.use(await listen(app, at, secure?.doors(port))).port;
}
