/**
 * Whether a client may have one more lease or node.
 *
 * Rule 1: a client has its own limit, whatever room there is.
 * Rule 2: the last eighth of a table is for clients that hold little: many that hold much keep nobody out.
 */

import type { Client } from './clients.ts';
import { type HandoutLimits, littleShare, reservedShare } from './limits.ts';

/** The limit that is reached, as the tracker's configuration has it. */
export type Limit = 'leases' | 'swarms' | 'nodes' | 'client.leases' | 'client.nodes';

/** What there is of all clients. */
export type Taken = { readonly leases: number; readonly swarms: number; readonly nodes: number };

/** What keeps `client` from another lease; `opens`: of a blob that nobody has one of. */
export function leaseLimit(
  limits: HandoutLimits,
  taken: Taken,
  { client, opens }: { readonly client: Client; readonly opens: boolean },
): Limit | undefined {
  if (client.leases >= limits.client.leases) return 'client.leases';
  const little = client.leases < Math.max(1, limits.leases * littleShare);
  if (taken.leases >= roomOf(limits.leases, little)) return 'leases';
  return opens && taken.swarms >= roomOf(limits.swarms, little) ? 'swarms' : undefined;
}

/** What keeps `client` from another node. */
export function nodeLimit(limits: HandoutLimits, taken: Taken, client: Client): Limit | undefined {
  if (client.nodes >= limits.client.nodes) return 'client.nodes';
  const little = client.nodes < Math.max(1, limits.nodes * littleShare);
  return taken.nodes >= roomOf(limits.nodes, little) ? 'nodes' : undefined;
}

function roomOf(limit: number, little: boolean): number {
  return little ? limit : limit - Math.floor(limit * reservedShare);
}
