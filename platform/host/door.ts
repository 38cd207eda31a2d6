/** A port on which a role answers HTTP: its routes beside the probes and the metrics, all of it refused while it drains. */

import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';
import type { HttpPort } from '../../core/access/table.ts';
import { type Listens, placesListened } from '../config/listen.ts';
import { trustedOf } from '../http/call.ts';
import { createHttp, type HttpOptions, listen, requestSeconds } from '../http/server.ts';
import { ShortWay } from '../http/short.ts';
import { slowReadersMax } from '../http/slow.ts';
import { drainable, type RequestWork } from '../lifecycle/drain.ts';
import { openFilesMax } from '../lifecycle/open-files.ts';
import type { RoleContext } from '../lifecycle/role.ts';
import type { LetsIn } from '../net/net.ts';

export type HttpDoor = {
  readonly at: Listens;
  /** Its name in the configuration. */
  readonly listener?: ListenerName;
  /** Whether operators and the cluster call here: what is for nobody else, the metrics, is not answered at other doors. */
  readonly inside?: boolean;
  readonly routes: (app: FastifyInstance) => void;
  /** The port's name in core/access/table.ts. Default: that of the role. */
  readonly port?: HttpPort;
  /** What keeps the role from serving, one line each. Default: nothing ever does. */
  readonly readiness?: () => Promise<readonly string[]>;
  /** What somebody should see to, though it serves. */
  readonly warnings?: () => readonly string[];
  /** Load balancers in front of it, whose X-Forwarded-For says who asks. */
  readonly trustedProxies?: readonly string[];
  /** What a request is to a role that is being stopped. Default: nothing special. */
  readonly workOf?: (method: string, path: string) => RequestWork | undefined;
};

/** Those of a configuration that may say `allow`. */
export type ListenerName = 'listen' | 'admin' | 'peer';

/** The port that it listens on. It is closed with the stack. */
export async function openDoor(
  context: Omit<RoleContext<unknown>, 'config' | 'env'>,
  { at, routes, port = context.role, readiness, warnings, workOf, listener = 'listen', ...told }: HttpDoor,
  stack: AsyncDisposableStack,
): Promise<number> {
  const { role, log, metrics, drain, secure } = context;
  const letsIn = await letsInBy(context, { listener, allow: at.allow }, stack);
  const warned = secure === undefined ? warnings : () => [...secure.warnings(), ...(warnings?.() ?? [])];
  const caller = secure && ((socket: Socket) => secure.caller(socket));
  const probed = { readiness: readiness ?? (async () => []), warnings: warned };
  const limits = limitsOf(port, told.trustedProxies);
  const app = createHttp({ role, log, metrics, ...probed, caller, inside: told.inside ?? true, ...limits });
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
  return stack.use(await listen(app, placesListened(at), secure?.doors(port), letsIn)).port;
}

/** Whom a listener lets in; undefined: everybody, and nothing of it is loaded. What may not be there at the start is not followed. */
export async function letsInBy(
  { log, metrics, followed }: Pick<RoleContext<unknown>, 'log' | 'metrics' | 'followed'>,
  { listener, allow }: { readonly listener: ListenerName; readonly allow: readonly string[] | undefined },
  stack: AsyncDisposableStack,
): Promise<LetsIn | undefined> {
  if (allow === undefined) return undefined;
  const { Allowed, everybody } = await import('./allowed.ts');
  const allowed = stack.use(new Allowed({ listener, networks: allow, log, metrics }));
  await followed?.((config) => {
    const now = (config as Readonly<Partial<Record<ListenerName, Pick<Listens, 'allow'>>>>)[listener]?.allow;
    allowed.replace(now ?? everybody);
  });
  return allowed.letsIn;
}

/** At doors that anybody may reach: twice the clients that may take nothing of their answers (http/slow.ts). */
const requestsPerClientMax = 2 * slowReadersMax;
/** Of the files that a process may open; the rest is for what is behind its doors: peers, the disk, calls to others. */
const shares = { public: 1 / 3, inside: 3 / 4 } as const;
/** An idle one takes some 20 KiB. */
const connectionsMax = 16_384;

function limitsOf(
  port: HttpPort,
  trustedProxies: readonly string[] = [],
): Pick<HttpOptions, 'connectionsMax' | 'inFlight'> {
  const open = port === 'registry' || port === 'proxy';
  const share = shares[open || port === 'agent' ? 'public' : 'inside'];
  const most = Math.min(connectionsMax, Math.floor(openFilesMax() * share));
  if (!open) return { connectionsMax: most };
  return { connectionsMax: most, inFlight: { perClientMax: requestsPerClientMax, trusted: trustedOf(trustedProxies) } };
}
