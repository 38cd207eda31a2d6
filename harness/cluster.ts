/** A tracker, an origin and agents on loopback, as `bench pull` and `loadgen pull` use them. */

import { type Dispatcher, request } from 'undici';
import { AGENT } from '../core/contracts/agent.ts';
import type { Digest } from '../core/digest.ts';
import { OCI_PATHS } from '../core/oci/paths.ts';
import { freePort } from '../platform/testing/ports.ts';
import type { Certificates } from './certificates.ts';
import { RoleProcess } from './roles.ts';

export type ClusterOptions = {
  readonly dir: string;
  readonly logLevel: 'info' | 'warn';
  /** `memory.arena` of agents and origin, and their `workers`; the product's defaults where absent. */
  readonly arena?: string | undefined;
  readonly workers?: number | undefined;
  readonly nodeFlags?: readonly string[] | undefined;
  /** Of the origin's configuration: where blobs rest beyond it. */
  readonly backends?: readonly Readonly<Record<string, unknown>>[] | undefined;
  /** With them all parts show certificates. */
  readonly certificates?: Certificates | undefined;
};

export type AgentProcess = {
  readonly process: RoleProcess;
  readonly registry: string;
  readonly admin: string;
  /** How its admin port is called, where that asks for certificates. */
  readonly operating?: Dispatcher | undefined;
};

const url = (port: number | undefined, scheme = 'http'): string => `${scheme}://127.0.0.1:${port}`;
const loopback = (port: number) => ({ host: '127.0.0.1', port });
/** A pull that nobody reads goes on for so long: benchmarks start one with a request for its first byte. */
const lingerLong = '10m';
export const pullMsMax = 600_000;

export class Cluster implements AsyncDisposable {
  readonly options: ClusterOptions;
  readonly tracker: RoleProcess;
  readonly origin: RoleProcess;
  readonly originUrl: string;
  readonly trackerUrl: string;
  /** How the origin is called by who pushes, and agents by who operates, where they ask for certificates. */
  readonly pushing: Dispatcher | undefined;
  readonly #operating: Dispatcher | undefined;
  readonly #stack: AsyncDisposableStack;
  #agents = 0;

  private constructor(
    options: ClusterOptions,
    parts: { tracker: RoleProcess; origin: RoleProcess; pushing?: Dispatcher; operating?: Dispatcher },
    stack: AsyncDisposableStack,
  ) {
    const scheme = options.certificates === undefined ? 'http' : 'https';
    this.pushing = parts.pushing;
    this.#operating = parts.operating;
    this.options = options;
    this.tracker = parts.tracker;
    this.origin = parts.origin;
    this.trackerUrl = url(parts.tracker.ports['api'], scheme);
    this.originUrl = url(parts.origin.ports['api'], scheme);
    this.#stack = stack;
  }

  static async start(options: ClusterOptions): Promise<Cluster> {
    await using stack = new AsyncDisposableStack();
    const originPort = await freePort();
    const log = { level: options.logLevel };
    const { dir, certificates } = options;
    const tracker = stack.use(
      await RoleProcess.start({
        role: 'tracker',
        name: 'tracker',
        dir,
        config: {
          ...(await certificates?.settings('tracker', 'tracker')),
          ...{ log, listen: loopback(0), origins: [url(originPort)] },
        },
      }),
    );
    const origin = stack.use(
      await RoleProcess.start({
        role: 'origin',
        name: 'origin',
        dir,
        nodeFlags: options.nodeFlags ?? [],
        config: {
          ...(await certificates?.settings('origin', 'origin')),
          log,
          listen: loopback(originPort),
          peer: loopback(0),
          trackers: [url(tracker.ports['api'])],
          origins: [url(originPort)],
          ...(options.backends !== undefined && { backends: options.backends }),
          ...tuned(options),
        },
      }),
    );
    const pushing = await certificates?.calls('proxy', stack);
    const operating = await certificates?.calls('admin', stack);
    const calls = { ...(pushing && { pushing }), ...(operating && { operating }) };
    return new Cluster(options, { tracker, origin, ...calls }, stack.move());
  }

  /** One agent more; it ends with the cluster, or before. */
  async agent(nodeFlags: readonly string[] = [], more: Readonly<Record<string, unknown>> = {}): Promise<AgentProcess> {
    const name = `agent-${++this.#agents}`;
    const { certificates } = this.options;
    const started = await RoleProcess.start({
      role: 'agent',
      name,
      dir: this.options.dir,
      nodeFlags: [...(this.options.nodeFlags ?? []), ...nodeFlags],
      config: {
        ...(await certificates?.settings('agent', name)),
        log: { level: this.options.logLevel },
        listen: loopback(0),
        admin: loopback(0),
        peer: loopback(0),
        trackers: [this.trackerUrl],
        pull: { linger: lingerLong, find: '60s' },
        ...tuned(this.options),
        ...more,
      },
    });
    const process = this.#stack.use(started);
    const admin = url(process.ports['admin'], certificates === undefined ? 'http' : 'https');
    return { process, registry: url(process.ports['registry']), admin, operating: this.#operating };
  }

  /** A proxy, which finds the origins there, and an index; base URL of its registry and its pid. They end with the cluster. */
  async proxy(origins: readonly string[] = [this.originUrl]): Promise<{ readonly base: string; readonly pid: number }> {
    const { dir, logLevel } = this.options;
    const log = { level: logLevel };
    const index = this.#stack.use(
      await RoleProcess.start({ role: 'index', name: 'index', dir, config: { log, listen: loopback(0) } }),
    );
    const config = { log, listen: loopback(0), index: [url(index.ports['api'])], origins };
    const proxy = this.#stack.use(await RoleProcess.start({ role: 'proxy', name: 'proxy', dir, config }));
    return { base: url(Object.values(proxy.ports)[0]), pid: proxy.pid };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

function tuned({ arena, workers }: ClusterOptions): Record<string, unknown> {
  return { ...(arena === undefined ? {} : { memory: { arena } }), ...(workers === undefined ? {} : { workers }) };
}

export const blobUrl = (agent: Pick<AgentProcess, 'registry'>, digest: Digest): string =>
  agent.registry + OCI_PATHS.blob('bench', digest);

/** Starts the pull by asking for the blob's first byte; resolves when every piece is verified and stored. */
export async function pullWhole(agent: AgentProcess, digest: Digest): Promise<void> {
  const complete = agent.process.line((line) => line.msg === 'pull complete' && line['digest'] === digest, pullMsMax);
  await Promise.all([complete, firstByte(blobUrl(agent, digest))]);
}

/** Asks for the first byte of a blob, which starts its pull. */
export async function firstByte(url: string): Promise<void> {
  const reply = await request(url, { headers: { range: 'bytes=0-0' } });
  const body = await reply.body.text();
  if (reply.statusCode !== 206) throw new Error(`${url}: status ${reply.statusCode} ${body.slice(0, 500)}`);
}

/** Removes the blob from the agent's cache. */
export async function forget(agent: AgentProcess, digest: Digest): Promise<void> {
  const calls = agent.operating && { dispatcher: agent.operating };
  const reply = await request(agent.admin + AGENT.remove.path({ digest }), { method: 'DELETE', ...calls });
  await reply.body.dump();
  if (reply.statusCode !== 204) throw new Error(`DELETE ${digest} at ${agent.admin}: status ${reply.statusCode}`);
}
