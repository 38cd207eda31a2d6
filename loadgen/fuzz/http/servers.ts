/** The processes of a run as servers: each role's own routes, as its main.ts puts them together, over the run's wires. */

import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';
import type { VerifiedCaller } from '../../../core/access/identity.ts';
import { type IndexSettings, type IndexStore, indexRoutes } from '../../../index/api.ts';
import { type ApiParts, addRoutes } from '../../../origin/api.ts';
import { addIdentityRoute } from '../../../origin/identity.ts';
import { CLIENT_LIMITS } from '../../../platform/http/exchange.ts';
import { createHttp, listen } from '../../../platform/http/server.ts';
import type { RegistryHandler } from '../../../platform/registry/reply.ts';
import { registerRegistry } from '../../../platform/registry/routes.ts';
import { type Logger, silentLog } from '../../../platform/telemetry/log.ts';
import { Metrics } from '../../../platform/telemetry/metrics.ts';
import { type TrackerApi, trackerRoutes } from '../../../tracker/api.ts';
import type { Process, World } from '../world.ts';
import { wiresOf } from './wires.ts';

export type Served = {
  readonly world: World;
  readonly base: string;
  readonly process: Process;
  /** Of an origin that tells who it is. */
  readonly identity?: Parameters<typeof addIdentityRoute>[1] | undefined;
};

/** That of a URL that names none. */
const httpPort = 80;
/** Silent for good: a route with a level of its own has a child with that level. */
const log: Logger = silentLog();
Object.assign(log, { child: () => log });

/** Answers from now on, or a moment later, until the process ends. */
async function serve(
  site: Served,
  role: string,
  routes: (app: FastifyInstance) => void,
  caller?: (socket: Socket) => VerifiedCaller | undefined,
): Promise<void> {
  const app = createHttp({ role, log, metrics: new Metrics(), readiness: () => Promise.resolve([]), caller });
  routes(app);
  const { hostname: host } = new URL(site.base);
  await listen(app, { host, port: httpPort }, wiresOf(site.world).doors(site.process));
}

export function serveOrigin(
  site: Served,
  parts: ApiParts,
  more: (app: FastifyInstance) => void = () => undefined,
): Promise<void> {
  return serve(site, 'origin', (app) => {
    addRoutes(app, parts);
    more(app);
    if (site.identity !== undefined) addIdentityRoute(app, site.identity);
  });
}

/** `around`: before the routes are added. `caller`: who it is, where that is known. */
export function serveTracker(
  site: Served,
  api: TrackerApi,
  o: {
    readonly around?: (app: FastifyInstance) => void;
    readonly caller?: ((address: string | undefined) => VerifiedCaller | undefined) | undefined;
  } = {},
): Promise<void> {
  const { caller } = o;
  const routes = (app: FastifyInstance): void => {
    o.around?.(app);
    trackerRoutes(app, api);
  };
  return serve(site, 'tracker', routes, caller && ((socket) => caller(socket.remoteAddress)));
}

export function serveIndex(site: Served, store: IndexStore, settings: IndexSettings): Promise<void> {
  return serve(site, 'index', (app) => indexRoutes(app, store, settings));
}

/** A proxy's registry, or an agent's. */
export function serveRegistry(site: Served, role: 'proxy' | 'agent', handler: RegistryHandler): Promise<void> {
  return serve(site, role, (app) => registerRegistry(app, handler, CLIENT_LIMITS));
}
