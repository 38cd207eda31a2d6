/**
 * Whom a node that seeks neighbours is given.
 *
 * Where members say their zones, it gets those of its own zone, of its own rack first, half of them at most, so that racks
 * stay linked; a few nodes of each zone get some in other zones as well (groups.ts). A node without a zone, and one that is
 * alone in its zone, gets anybody.
 *
 * Rule 1: nobody is given itself, nobody twice, never more than asked for.
 * Rule 2: where nobody names a zone this draws as if there were none.
 */

import type { Digest } from '../digest.ts';
import { zoneOf } from '../place.ts';
import type { Prng } from '../prng.ts';
import type { PeerAddress } from '../wire/messages.ts';
import { type Group, type Grouped, groupOf, mayCross } from './groups.ts';
import { LEASE_STATE, type LeaseState, type LeaseTable } from './leases.ts';
import { crossLinks, crossLinksAlone } from './limits.ts';
import type { NodeTable } from './nodes.ts';
import { portions } from './portions.ts';

export type SwarmOfMembers = Grouped & {
  readonly no: number;
  readonly digest: Digest;
  readonly located: readonly PeerAddress[];
};
export type Handing = {
  readonly nodes: NodeTable;
  readonly leases: LeaseTable;
  readonly prng: Prng;
  readonly nowMs: number;
};

/** Who asks: its number (-1: none), its state here (-1: none), how often it asked before. */
type Asker = { readonly node: number; readonly own: LeaseState | -1; readonly asked: number; readonly place: string };

const none = -1;

export function choose(members: Handing, swarm: SwarmOfMembers, node: number, count: number): PeerAddress[] {
  const { nodes, leases, prng } = members;
  const lease = node === none ? none : leases.find(swarm.no, node);
  const asked = lease === none ? 0 : leases.seeks(lease);
  if (lease !== none) leases.sought(lease);
  const own = lease === none ? none : leases.state(lease);
  const asker: Asker = { node, own, asked, place: node === none ? '' : nodes.address(node).zone };
  const located = unannounced(members, swarm, node);
  const peers = prefers(swarm, asker, located)
    ? byZone(members, swarm, asker, { located, count })
    : draw(members, [swarm, ...swarm.others], asker, { located, count });
  shuffle(peers, prng);
  return peers;
}

/** Whether anybody is nearer to it than others are. */
function prefers(swarm: SwarmOfMembers, { place }: Asker, located: readonly PeerAddress[]): boolean {
  const zone = zoneOf(place);
  if (zone === '') return false;
  return swarm.others.length > 0 || swarm.zone !== zone || located.some((peer) => zoneOf(peer.zone) !== zone);
}

type Ask = {
  readonly located: readonly PeerAddress[];
  readonly count: number;
  /** None of these. */
  readonly but?: readonly PeerAddress[];
};

function byZone(members: Handing, swarm: SwarmOfMembers, asker: Asker, { located, count }: Ask): PeerAddress[] {
  const zone = zoneOf(asker.place);
  const group = groupOf(swarm, zone);
  const near = located.filter((peer) => zoneOf(peer.zone) === zone);
  const others = group.members.reduce((sum, { size }) => sum + size, 0) + near.length - (asker.own === none ? 0 : 1);
  const { nowMs } = members;
  const before = group.crossings?.nodes ?? [];
  const crosses = mayCross(group, { node: asker.node, asked: asker.asked, nowMs });
  const across = Math.min(count, others === 0 ? crossLinksAlone : crosses ? crossLinks : 0);
  const peers = crosses ? otherEnds(members, swarm, asker, before).slice(0, count - across) : [];
  const rest = { located: near, count: count - across - peers.length, but: [...peers] };
  peers.push(...draw(members, [group], asker, rest));
  if (across === 0) return peers;
  const away = [swarm, ...swarm.others].filter((other) => other !== group);
  const far = located.filter((peer) => zoneOf(peer.zone) !== zone);
  peers.push(...draw(members, away, { ...asker, own: none, place: '' }, { located: far, count: across }));
  return peers;
}

/** Those of the zone that have links into others: they hear from each other what has come. */
function otherEnds({ nodes, leases }: Handing, swarm: SwarmOfMembers, { node, place }: Asker, ends: readonly number[]) {
  const zone = zoneOf(place);
  const there = ends.filter((end) => end !== node && leases.find(swarm.no, end) !== none);
  return there.map((end) => nodes.address(end)).filter((address) => zoneOf(address.zone) === zone);
}

/** Up to `count` of these groups, and of `located`. */
function draw(
  members: Handing,
  groups: readonly Group[],
  { node, own, asked, place }: Asker,
  { located, count, but = [] }: Ask,
): PeerAddress[] {
  if (count === 0) return [];
  const { prng } = members;
  const size = (state: LeaseState): number =>
    groups.reduce((sum, group) => sum + group.members[state].size, 0) - (own === state ? 1 : 0);
  const { want, have, origin } = LEASE_STATE;
  const there = { wants: size(want), haves: size(have), origins: size(origin) + located.length };
  const share = portions(there, count, { asked, prng });
  const peers: PeerAddress[] = [];
  const from = { node, place, but, peers };
  drawOf(members, groups, want, { ...from, count: share.wants });
  drawOf(members, groups, have, { ...from, count: share.haves });
  const end = peers.length + share.origins;
  drawOf(members, groups, origin, { ...from, count: share.origins });
  for (let start = below(prng, located.length), i = 0; peers.length < end && i < located.length; i++) {
    peers.push(located[(start + i) % located.length] as PeerAddress);
  }
  return peers;
}

type From = {
  readonly node: number;
  readonly place: string;
  readonly but: readonly PeerAddress[];
  readonly peers: PeerAddress[];
  readonly count: number;
};

/** Draws up to `count` members other than `node`, which may be among them, from the groups as they are large. */
function drawOf(members: Handing, groups: readonly Group[], state: LeaseState, from: From): void {
  const { count, peers, node, but } = from;
  if (count === 0) return;
  const { nodes, prng } = members;
  const rack = from.place !== zoneOf(from.place);
  // One more than needed, for the requester may come up; where it does not, the last one's turn is spent for nothing.
  const drawn: number[] = [];
  const all = (rack ? 2 * count : count) + but.length + 1;
  for (const [group, some] of spread(groups, state, { count: all, prng })) group.members[state].draw(some, prng, drawn);
  const found = drawn.filter((member) => member !== node).map((member) => nodes.address(member));
  const free = but.length === 0 ? found : found.filter((peer) => !but.includes(peer));
  peers.push(...(rack ? rackFirst(free, from.place, count) : free.slice(0, count)));
}

/** How many of `count` are drawn from each group. */
function spread(
  groups: readonly Group[],
  state: LeaseState,
  { count, prng }: { count: number; prng: Prng },
): readonly (readonly [Group, number])[] {
  const [only] = groups;
  if (groups.length === 1 && only !== undefined) return [[only, count]];
  const left = groups.map((group) => group.members[state].size);
  const taken = groups.map(() => 0);
  let total = left.reduce((sum, size) => sum + size, 0);
  for (let i = 0; i < count && total > 0; i++, total--) {
    let at = prng.below(total);
    let group = 0;
    while (at >= (left[group] as number)) at -= left[group++] as number;
    left[group] = (left[group] as number) - 1;
    taken[group] = (taken[group] as number) + 1;
  }
  return groups.map((group, i) => [group, taken[i] as number] as const);
}

/** Half of them at most, where there are others, of the same rack. */
function rackFirst(found: readonly PeerAddress[], place: string, count: number): PeerAddress[] {
  const same = found.filter((peer) => peer.zone === place);
  const others = found.filter((peer) => peer.zone !== place);
  const first = same.slice(0, Math.max(count >> 1, count - others.length));
  return [...first, ...others.slice(0, count - first.length)];
}

/** Origins that a lookup found and that did not announce the blob themselves. */
function unannounced({ nodes, leases }: Handing, swarm: SwarmOfMembers, node: number): PeerAddress[] {
  return swarm.located.filter((peer) => {
    const other = nodes.find(peer.node);
    return other === none || (other !== node && leases.find(swarm.no, other) === none);
  });
}

function shuffle(peers: PeerAddress[], prng: Prng): void {
  for (let i = peers.length - 1; i > 0; i--) {
    const j = below(prng, i + 1);
    const peer = peers[i] as PeerAddress;
    peers[i] = peers[j] as PeerAddress;
    peers[j] = peer;
  }
}

function below(prng: Prng, bound: number): number {
  return bound === 0 ? 0 : prng.below(bound);
}
