/**
 * Node's own connections, for what is not Shoal: a library that brings its own client of HTTP, and servers of others
 * (outgoing.ts). Between Shoal's processes calls go by platform/net/http.ts.
 *
 * Rule: a proxy is taken from the environment that was given (HTTPS_PROXY, HTTP_PROXY, NO_PROXY), and from nowhere else.
 */

import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';

export type AgentPlan = {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Connections to one host, at most; further requests wait. */
  readonly sockets: number;
  /** Certificates to trust; unset: those that everybody knows. */
  readonly ca: readonly string[] | undefined;
  /** What we show of ourselves, PEM. */
  readonly certificate?: { readonly cert: string; readonly key: string } | undefined;
};

/** An idle connection is closed by us after so long: a server that closes it first may do so while we send. */
const idleMs = 4_000;

export type Agents = { readonly http: HttpAgent; readonly https: HttpsAgent };

export function agents({ env, sockets, ca, certificate }: AgentPlan): Agents {
  const options = { keepAlive: true, maxSockets: sockets, maxFreeSockets: sockets, timeout: idleMs, proxyEnv: env };
  return {
    http: new HttpAgent(options),
    https: new HttpsAgent({ ...options, ...(ca !== undefined && { ca: [...ca] }), ...certificate }),
  };
}
