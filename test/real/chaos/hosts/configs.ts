/** The configuration of each node, as its operator would write it. */
import type { Node, Role } from '../plan/topology.ts';

export const PORTS = {
  proxy: 15_000,
  peer: 15_001,
  origin: 15_002,
  tracker: 15_003,
  index: 15_004,
  agent: 16_000,
  admin: 16_002,
};
/** Of a node's disk; those that are not here have none. */
export const diskBytes: Readonly<Partial<Record<Role, number>>> = {
  origin: 1_024 << 20,
  index: 128 << 20,
  agent: 96 << 20,
};
/** Less than the disk has, as its operator would have it. */
const budgetOf = (role: Role): number => Math.floor(0.8 * (diskBytes[role] ?? 0));

/** What every node serves `/readiness` and `/metrics` at. */
export const adminPort = (role: Role): number => (role === 'agent' ? PORTS.admin : PORTS[role]);

/**
 * An origin whose disk was replaced is a new one, and the old one keeps its place for so long: by default minutes, and as
 * long nothing is repaired. A run has less.
 */
const graceOfReplaced = '5s';
const peerPort = (role: Role): number => PORTS.peer + (role === 'agent' ? 1_000 : 0);

/** Where the nodes are, and this one's data. */
export type Place = {
  readonly nodes: readonly Node[];
  readonly data: string;
  /** Where the others reach it. */
  readonly addressOf: (node: Node) => string;
  /** Where it listens: on a host of its own everywhere. */
  readonly listen: string;
};

export function configOf(node: Node, { nodes, data, addressOf, listen }: Place): Record<string, unknown> {
  const urls = (role: Role): string[] =>
    nodes.filter((it) => it.role === role).map((it) => `http://${addressOf(it)}:${adminPort(role)}`);
  const at = (port: number) => ({ host: listen, port });
  const common = { role: node.role, name: node.name, cluster: 'chaos' };
  const pieces = { data, peer: { ...at(peerPort(node.role)), advertise: addressOf(node) }, memory: { arena: '16MiB' } };
  const members = { grace: graceOfReplaced };
  const [origins, trackers, index] = [urls('origin'), urls('tracker'), urls('index')];
  switch (node.role) {
    case 'origin': {
      const self = `http://${addressOf(node)}:${PORTS.origin}`;
      const disk = { budget: budgetOf('origin') };
      return { ...common, ...pieces, listen: at(PORTS.origin), disk, origins, members, trackers, index, self };
    }
    case 'tracker':
      return { ...common, listen: at(PORTS.tracker), origins, members };
    case 'proxy':
      return { ...common, listen: at(PORTS.proxy), origins, members, index };
    case 'index':
      return { ...common, listen: at(PORTS.index), data };
    case 'agent': {
      const cache = { budget: budgetOf('agent') };
      const proxy = urls('proxy')[0];
      return {
        ...common,
        ...pieces,
        listen: at(PORTS.agent),
        admin: at(PORTS.admin),
        cache,
        members,
        trackers,
        index,
        proxy,
      };
    }
  }
}
