/** For tests: a cluster of real processes, and clients that are plain HTTP. */

import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http';
import { entryUrl } from '../platform/lifecycle/entry.ts';
import type { Cluster, Process } from '../platform/testing/cluster.ts';
import { freePort } from '../platform/testing/ports.ts';

const loopback = { host: '127.0.0.1', port: 0 };

export type Parts = {
  readonly agent: Process;
  readonly proxy: Process;
  readonly index: Process;
  readonly origins: readonly Process[];
  readonly trackers: readonly string[];
};

export type PartsOptions = {
  readonly origins?: number;
  /** Added to every part's configuration. */
  readonly settings?: object;
  /** Of a part, by its name. */
  readonly each?: (name: string) => object;
  /** Of the proxy. */
  readonly push?: object;
  readonly proxy?: object;
  /** Of the origins and the index. */
  readonly backends?: readonly object[];
  /** Of the index, which then knows the origins as well. */
  readonly index?: object;
  /** Of the agent. */
  readonly agent?: object;
  /** For Node, by role. */
  readonly flags?: { readonly [role: string]: readonly string[] };
};

/** A tracker, an index, origins, a proxy and an agent. */
export async function startParts(cluster: Cluster, options: PartsOptions = {}): Promise<Parts> {
  const part = (role: string, name: string, more: object): Promise<Process> =>
    cluster.start(
      entryUrl(`../${role}/main.ts`, import.meta.url),
      name,
      { role, ...options.settings, ...options.each?.(name), ...more },
      options.flags?.[role],
    );
  const ports = await Promise.all(Array.from({ length: options.origins ?? 1 }, () => freePort()));
  const trackerPort = await freePort();
  const trackers = [`http://127.0.0.1:${trackerPort}`];
  const urls = ports.map((port) => `http://127.0.0.1:${port}`);
  const backends = options.backends === undefined ? {} : { backends: options.backends };
  const indexMore = options.index && { origins: urls, ...options.index };
  const startOrigin = (i: number): Promise<Process> =>
    part('origin', `origin-${i + 1}`, {
      ...{ listen: { ...loopback, port: ports[i] }, peer: loopback, data: cluster.dataOf(`origin-${i + 1}`) },
      ...{ trackers, origins: urls, self: urls[i], ...backends },
    });
  const [, index, ...origins] = await Promise.all([
    part('tracker', 'tracker', { listen: { ...loopback, port: trackerPort }, origins: urls }),
    part('index', 'index', { listen: loopback, data: cluster.dataOf('index'), ...backends, ...indexMore }),
    ...ports.map((_, i) => startOrigin(i)),
  ]);
  const indexes = [index.url('api')];
  const [proxy, agent] = await Promise.all([
    part('proxy', 'proxy', {
      ...{ listen: loopback, index: indexes, origins: urls, push: options.push ?? {} },
      ...options.proxy,
    }),
    part('agent', 'agent', {
      ...{ listen: loopback, admin: loopback, peer: loopback },
      ...{ data: cluster.dataOf('agent'), trackers, index: indexes, ...options.agent },
    }),
  ]);
  return { agent, proxy, index, origins, trackers };
}

export function open(method: string, url: string, headers: Record<string, string> = {}): ClientRequest {
  return httpRequest(url, { method, headers, agent: false });
}

export function answerOf(request: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.once('response', resolve);
    request.once('error', reject);
  });
}

/** The answer's head; its body is thrown away. */
export async function send(
  method: string,
  url: string,
  body?: Uint8Array,
  headers: Record<string, string> = {},
): Promise<IncomingMessage> {
  const request = open(method, url, { 'content-length': String(body?.length ?? 0), ...headers });
  const answer = answerOf(request);
  request.end(body);
  const response = await answer;
  response.resume();
  return response;
}
