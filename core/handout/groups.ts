/**
 * The members of a swarm by zone, and who of a zone gets neighbours in others.
 *
 * Rule 1: where nobody names a zone there is one group, and nothing else is kept.
 * Rule 2: a group stays as long as its swarm, so that a member is found where it was put.
 * Rule 3: links into other zones are rationed by a budget that fills up again: a few hosts of a zone get them, and where
 *   those die, or hang, others do. No group starves, and no more than a few hosts carry what crosses.
 */

import { LEASE_STATE, type LeaseState } from './leases.ts';
import { crossingMs, crossingsMax, zonesPerSwarmMax } from './limits.ts';
import { MemberDraw } from './members.ts';

/** Of one zone. */
export type Group = {
  readonly zone: string;
  /** By LeaseState; `nobody` until there is one. */
  readonly members: [MemberDraw, MemberDraw, MemberDraw];
  /** Where the swarm has several groups: who got links into others last, and how many more may now. */
  crossings: Crossings | undefined;
};

export type Crossings = { nodes: number[]; left: number; atMs: number };

/** What a swarm is, as far as its members go: its first group, and others. */
export type Grouped = Group & { others: Group[] };

/** Nothing is ever added to these. */
const nobody = new MemberDraw();
const noOthers: Group[] = [];

export function firstGroup(zone: string): Grouped {
  return { zone, members: [nobody, nobody, nobody], crossings: undefined, others: noOthers };
}

/** Where members of `zone` are. */
export function groupOf(swarm: Grouped, zone: string): Group {
  if (swarm.zone === zone) return swarm;
  for (const group of swarm.others) if (group.zone === zone) return group;
  return swarm;
}

export function enterGroup(swarm: Grouped, zone: string, { node, state }: { node: number; state: LeaseState }): void {
  let group = groupOf(swarm, zone);
  if (group.zone !== zone && swarm.others.length < zonesPerSwarmMax - 1) {
    group = { zone, members: [nobody, nobody, nobody], crossings: undefined };
    swarm.others = [...swarm.others, group];
  }
  if (group.members[state] === nobody) group.members[state] = new MemberDraw();
  group.members[state].add(node);
}

/** Members in `state`, of all groups. */
export function groupedSize(swarm: Grouped, state: LeaseState): number {
  let size = swarm.members[state].size;
  for (const { members } of swarm.others) size += members[state].size;
  return size;
}

export function isEmpty({ members, others }: Grouped): boolean {
  return [members, ...others.map((group) => group.members)].every((of) => of.every(({ size }) => size === 0));
}

/** Whether `node`, which is in `group` and has asked so often, gets links into other zones now. */
export function mayCross(
  group: Group,
  { node, asked, nowMs }: { node: number; asked: number; nowMs: number },
): boolean {
  // Once a host of the zone has it all, the others get it there; who asks again and again does not.
  if (group.members[LEASE_STATE.have].size > 0 && asked < 2) return false;
  group.crossings ??= { nodes: [], left: crossingsMax, atMs: nowMs };
  const { crossings } = group;
  crossings.left = Math.min(crossingsMax, crossings.left + (nowMs - crossings.atMs) / crossingMs);
  crossings.atMs = nowMs;
  if (crossings.left < 1) return false;
  crossings.left -= 1;
  crossings.nodes = [...crossings.nodes.filter((other) => other !== node), node].slice(-crossingsMax);
  return true;
}
