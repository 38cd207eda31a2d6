/** A tracker, one origin and agents, each on a host of its own. */

import type { AgentProcess } from '../../harness/cluster.ts';
import { sum } from '../../harness/numbers.ts';
import { cpuSeconds } from '../../harness/proc.ts';
import { RoleProcess } from '../../harness/roles.ts';
import type { Host } from './network.ts';

const ports = {
  registry: 16_000,
  peer: 16_001,
  admin: 16_002,
  origin: 15_002,
  originPeer: 15_001,
  tracker: 15_003,
} as const;
const everywhere = (port: number) => ({ host: '0.0.0.0', port });
const pullMsMax = 300_000;

export type FleetHosts = { readonly tracker: Host; readonly origin: Host; readonly agents: readonly Host[] };

export class Fleet implements AsyncDisposable {
  readonly origin: RoleProcess;
  /** The origin's API over its unshaped link. */
  readonly originUrl: string;
  readonly agents: readonly AgentProcess[];
  readonly #stack: AsyncDisposableStack;
  readonly #processes: readonly RoleProcess[];

  private constructor(
    parts: { readonly tracker: RoleProcess; readonly origin: RoleProcess; readonly agents: readonly AgentProcess[] },
    originUrl: string,
    stack: AsyncDisposableStack,
  ) {
    const { tracker, origin, agents } = parts;
    this.#processes = [tracker, origin, ...agents.map((agent) => agent.process)];
    this.origin = origin;
    this.originUrl = originUrl;
    this.agents = agents;
    this.#stack = stack;
  }

  /** `nodeFlags` are those of the first agent: to profile one. */
  static async start(hosts: FleetHosts, dir: string, nodeFlags: readonly string[]): Promise<Fleet> {
    await using stack = new AsyncDisposableStack();
    const origins = [`http://${hosts.origin.address}:${ports.origin}`];
    const trackers = [`http://${hosts.tracker.address}:${ports.tracker}`];
    const trackerConfig = { listen: everywhere(ports.tracker), origins };
    const tracker = stack.use(
      await RoleProcess.start({ role: 'tracker', name: 'tracker', dir, on: hosts.tracker.on, config: trackerConfig }),
    );
    const peer = (host: Host, port: number) => ({ host: host.address, port });
    const originConfig = {
      listen: everywhere(ports.origin),
      peer: peer(hosts.origin, ports.originPeer),
      trackers,
      origins,
    };
    const origin = stack.use(
      await RoleProcess.start({ role: 'origin', name: 'origin', dir, on: hosts.origin.on, config: originConfig }),
    );
    const agents: AgentProcess[] = [];
    for (const [i, host] of hosts.agents.entries()) {
      const config = {
        listen: everywhere(ports.registry),
        admin: everywhere(ports.admin),
        peer: peer(host, ports.peer),
        trackers,
        pull: { linger: '10m', find: '60s' },
      };
      const process = stack.use(
        await RoleProcess.start({
          role: 'agent',
          name: `agent-${i}`,
          dir,
          on: host.on,
          nodeFlags: i === 0 ? nodeFlags : [],
          config,
        }),
      );
      const at = (port: number): string => `http://${host.control}:${port}`;
      agents.push({ process, registry: at(ports.registry), admin: at(ports.admin) });
    }
    return new Fleet({ tracker, origin, agents }, `http://${hosts.origin.control}:${ports.origin}`, stack.move());
  }

  /** CPU seconds that its processes have taken so far. */
  cpuSeconds(): number {
    return sum(this.#processes.map(({ pid }) => cpuSeconds(pid)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

/** When the agent says that every piece is there, milliseconds since the epoch. */
export async function completeAt(agent: AgentProcess, digest: string): Promise<number> {
  const line = await agent.process.line((said) => said.msg === 'pull complete' && said['digest'] === digest, pullMsMax);
  return Date.parse(String(line.time));
}
