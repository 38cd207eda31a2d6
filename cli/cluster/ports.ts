/**
 * The ports of a cluster on one machine: a contract (DESIGN, section 7), relative to a base port.
 */

import { StartError } from '../../platform/lifecycle/errors.ts';
import { tcp } from '../../platform/net/tcp.ts';

export const basePortDefault = 15_000;
export const agentsMax = 64;
/** More than any cluster needs, and they stay below the block of the next one. */
export const indexesMax = 9;
const indexStride = 10;
const agentOffset = 1_000;
const agentStride = 10;
const portMax = 65_535;
/** Blocks for `demo` are looked for below the range that systems give to outgoing connections (32768 on Linux). */
const searchFrom = 17_000;
const searchTo = 31_000;
const searchStep = 100;

export type AgentPorts = { readonly registry: number; readonly peer: number; readonly admin: number };
export type ClusterPorts = {
  readonly proxy: number;
  readonly originPeer: number;
  readonly origin: number;
  readonly tracker: number;
  readonly indexes: readonly number[];
  readonly agents: readonly AgentPorts[];
};

/** The ports of a cluster with so many agents and indexes. Throws a StartError where they do not fit below 65536. */
export function portsOf(base: number, agents: number, indexes = 1): ClusterPorts {
  const last = base + agentOffset + agentStride * (agents - 1) + 2;
  if (base < 1 || last > portMax) {
    throw new StartError(
      `base port ${base} with ${agents} agents needs ports up to ${last}: choose a lower --base-port`,
    );
  }
  const agentPorts = Array.from({ length: agents }, (_, i) => {
    const registry = base + agentOffset + agentStride * i;
    return { registry, peer: registry + 1, admin: registry + 2 };
  });
  return {
    proxy: base,
    originPeer: base + 1,
    origin: base + 2,
    tracker: base + 3,
    indexes: Array.from({ length: indexes }, (_, i) => base + 4 + indexStride * i),
    agents: agentPorts,
  };
}

function allPorts(ports: ClusterPorts): number[] {
  const { proxy, originPeer, origin, tracker, indexes, agents } = ports;
  return [proxy, originPeer, origin, tracker, ...indexes, ...agents.flatMap((a) => [a.registry, a.peer, a.admin])];
}

/** The first of the cluster's ports that something listens on already, on either loopback address. */
export async function portInUse(ports: ClusterPorts): Promise<number | undefined> {
  for (const port of allPorts(ports)) {
    if ((await taken('127.0.0.1', port)) || (await taken('::1', port))) return port;
  }
  return undefined;
}

/** Throws a StartError that names the port and the remedy, before anything is started. */
export async function requireFree(ports: ClusterPorts): Promise<void> {
  const port = await portInUse(ports);
  if (port === undefined) return;
  throw new StartError(`port ${port} is in use: stop what listens there, or choose other ports with --base-port`);
}

/** A base port whose whole block is free now; the search begins somewhere random. */
export async function freeBase(agents: number, random: () => number): Promise<number> {
  const steps = (searchTo - searchFrom) / searchStep;
  const first = Math.floor(random() * steps);
  for (let i = 0; i < steps; i++) {
    const base = searchFrom + ((first + i) % steps) * searchStep;
    if ((await portInUse(portsOf(base, agents))) === undefined) return base;
  }
  throw new StartError(`no free block of ports between ${searchFrom} and ${searchTo}`);
}

async function taken(host: string, port: number): Promise<boolean> {
  const door = { accept: () => undefined, failed: () => undefined };
  try {
    const probe = await tcp.listen({ host, port }, door);
    await probe.close();
    return false;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === 'EADDRINUSE' || code === 'EACCES';
  }
}
