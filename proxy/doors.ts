/**
 * A proxy's doors: one for users, and what is for who operates the cluster (metrics, members) at one of its own, or where no
 * user reaches it.
 */

import type { FastifyInstance } from 'fastify';
import { isLocal } from '../platform/config/listen.ts';
import { type HttpDoor, openDoor } from '../platform/host/door.ts';
import type { RoleContext, Running } from '../platform/lifecycle/role.ts';
import type { ProxyConfig } from './config.ts';

export type ProxyDoors = Omit<HttpDoor, 'at'> & {
  /** What operators ask. */
  readonly operated: (app: FastifyInstance) => void;
};

export async function openDoors(
  context: RoleContext<ProxyConfig>,
  { operated, routes, ...door }: ProxyDoors,
  stack: AsyncDisposableStack,
): Promise<Running['ports']> {
  const { listen, admin, trustedProxies } = context.config;
  const inside = answersInside(context);
  const users = {
    ...{ ...door, at: listen, inside, trustedProxies },
    routes: (app: FastifyInstance): void => {
      routes(app);
      if (inside) operated(app);
    },
  };
  const registry = await openDoor(context, users, stack);
  if (admin === undefined) return { registry };
  const { readiness, warnings } = door;
  const told = { ...(readiness && { readiness }), ...(warnings && { warnings }) };
  const own = { at: admin, listener: 'admin', routes: operated, ...told } as const;
  return { registry, admin: await openDoor(context, own, stack) };
}

/** Whether `listen` answers what is not for users. */
function answersInside({ config, log, secure }: RoleContext<ProxyConfig>): boolean {
  if (config.admin !== undefined) return false;
  if (secure !== undefined || isLocal(config.listen)) return true;
  log.info('metrics and members are not told at `listen`, which users reach: set `admin`, an address of its own');
  return false;
}
