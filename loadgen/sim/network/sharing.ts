/**
 * How flows share links: max-min fair, exactly or nearly. Pure; reads `room` and `weight`, writes `share`.
 * Sources: progressive filling (Bertsekas and Gallager, Data Networks, 6.5.2); the advertised rate of
 * Charny, Clark and Jain (Congestion Control with Explicit Rate Indication, ICC 1995).
 */

import type { Flows, Links } from './flows.ts';

/**
 * Each flow gets what its tightest link gives it. In every pass the links that are the tightest for
 * all of their open flows are filled, and these flows are settled; about ten passes are seen.
 */
export function fill(flows: Flows, links: Links): void {
  const { count } = flows;
  const { room, weight, taken, level } = links;
  weight.fill(0, 0, links.count);
  taken.fill(0, 0, links.count);
  for (let f = 0; f < count; f++) {
    flows.share[f] = -1;
    for (let side = 0; side < 4; side++) {
      const l = linkOf(flows, f, side);
      weight[l] = (weight[l] as number) + (flows.weight[f] as number);
    }
  }
  for (let open = count; open > 0; ) {
    for (let l = 0; l < links.count; l++)
      level[l] = Math.max(0, (room[l] as number) - (taken[l] as number)) / (weight[l] as number);
    open -= settle(flows, links);
  }
}

/** Settles the flows of every link that no flow of it finds tighter ones than. How many. */
function settle(flows: Flows, links: Links): number {
  const { level, here, weight, taken } = links;
  const { share } = flows;
  // A link that some open flow is held back by another of is not filled yet.
  here.fill(1, 0, links.count);
  here[0] = 0;
  for (let f = 0; f < flows.count; f++) {
    if ((share[f] as number) >= 0) continue;
    const least = tightest(flows, links, f) * (1 + 1e-12);
    for (let side = 0; side < 4; side++) {
      const l = linkOf(flows, f, side);
      if ((level[l] as number) > least) here[l] = 0;
    }
  }
  let settled = 0;
  for (let f = 0; f < flows.count; f++) {
    if ((share[f] as number) >= 0) continue;
    let full = 0;
    for (let side = 0; side < 4; side++) full += here[linkOf(flows, f, side)] as number;
    if (full === 0) continue;
    const w = flows.weight[f] as number;
    const bytes = w * tightest(flows, links, f);
    share[f] = bytes;
    settled++;
    for (let side = 0; side < 4; side++) {
      const l = linkOf(flows, f, side);
      weight[l] = (weight[l] as number) - w;
      taken[l] = (taken[l] as number) + bytes;
    }
  }
  return settled;
}

function linkOf(flows: Flows, f: number, side: number): number {
  const links = side === 0 ? flows.up : side === 1 ? flows.down : side === 2 ? flows.out : flows.into;
  return links[f] as number;
}

function tightest(flows: Flows, { level }: Links, f: number): number {
  return Math.min(
    level[flows.up[f] as number] as number,
    level[flows.down[f] as number] as number,
    level[flows.out[f] as number] as number,
    level[flows.into[f] as number] as number,
  );
}

/**
 * Brings every link's level nearer to where max-min has it, by one pass over the flows: a link gives
 * those that it alone holds back equal parts of what the others, held back elsewhere, leave.
 * From the levels of the last tick a pass or two come close.
 */
export function approach(flows: Flows, links: Links, zoned: boolean): void {
  const { weight, taken, here, most } = links;
  weight.fill(0, 0, links.count);
  taken.fill(0, 0, links.count);
  here.fill(0, 0, links.count);
  most.fill(0, 0, links.count);
  if (zoned) for (let f = 0; f < flows.count; f++) countZoned(flows, links, f);
  else countAll(flows, links);
  const { room, capacity, level } = links;
  for (let l = 1; l < links.count; l++) {
    const all = weight[l] as number;
    if (all === 0) {
      level[l] = capacity[l] as number;
      continue;
    }
    const left = (room[l] as number) - (taken[l] as number);
    const held = here[l] as number;
    const wish = held > 0 ? left / held : left + (most[l] as number);
    // Max-min gives no flow less than an equal part of the link, and none more than the link has.
    level[l] = Math.min(capacity[l] as number, Math.max(wish, (room[l] as number) / all));
  }
}

function countAll(flows: Flows, links: Links): void {
  const { up, down, weight: weights } = flows;
  const { level, weight, taken, here, most } = links;
  for (let f = 0; f < flows.count; f++) {
    const u = up[f] as number;
    const d = down[f] as number;
    const w = weights[f] as number;
    const a = level[u] as number;
    const b = level[d] as number;
    weight[u] = (weight[u] as number) + w;
    weight[d] = (weight[d] as number) + w;
    if (a < b) {
      here[u] = (here[u] as number) + w;
      taken[d] = (taken[d] as number) + w * a;
      if (a > (most[d] as number)) most[d] = a;
    } else {
      here[d] = (here[d] as number) + w;
      if (a === b) here[u] = (here[u] as number) + w;
      else {
        taken[u] = (taken[u] as number) + w * b;
        if (b > (most[u] as number)) most[u] = b;
      }
    }
  }
}

function countZoned(flows: Flows, links: Links, f: number): void {
  const { level, weight, taken, here, most } = links;
  const least = tightest(flows, links, f);
  const w = flows.weight[f] as number;
  for (let side = 0; side < 4; side++) {
    const l = linkOf(flows, f, side);
    weight[l] = (weight[l] as number) + w;
    if ((level[l] as number) <= least) here[l] = (here[l] as number) + w;
    else {
      taken[l] = (taken[l] as number) + w * least;
      if (least > (most[l] as number)) most[l] = least;
    }
  }
}

/** Each flow's share at the levels of its links. */
export function shareOut(flows: Flows, links: Links, zoned: boolean): void {
  const { up, down, weight, share } = flows;
  const { level } = links;
  for (let f = 0; f < flows.count; f++) {
    const least = zoned
      ? tightest(flows, links, f)
      : Math.min(level[up[f] as number] as number, level[down[f] as number] as number);
    share[f] = (weight[f] as number) * least;
  }
}
