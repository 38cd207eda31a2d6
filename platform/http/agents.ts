/**
 * Node's own connections, for a library that brings its own client of HTTP. What is ours calls by platform/net/http.ts.
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
};

/** An idle connection is closed by us after so long: a server that closes it first may do so while we send. */
const idleMs = 4_000;

export function agents({ env, sockets, ca }: AgentPlan): { http: HttpAgent; https: HttpsAgent } {
  const options = { keepAlive: true, maxSockets: sockets, maxFreeSockets: sockets, timeout: idleMs, proxyEnv: env };
  return {
    http: new HttpAgent(options),
    https: new HttpsAgent({ ...options, ...(ca !== undefined && { ca: [...ca] }) }),
  };
}
