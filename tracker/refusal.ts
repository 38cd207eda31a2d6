/** What a host, and its operator, is told where a limit keeps some of its leases out. */

import type { HandoutLimits } from '../core/handout/limits.ts';
import type { Limit } from '../core/handout/room.ts';
import type { Refused } from '../core/handout/types.ts';

const whatToDo: Record<Limit, string> = {
  leases: 'raise it, or add a tracker',
  swarms: 'raise it, or add a tracker',
  nodes: 'raise it, or add a tracker',
  'client.leases': 'raise it; where many hosts share that address, name what is between in `trustedProxies`',
  'client.nodes': 'raise it; where many hosts share that address, name what is between in `trustedProxies`',
};

/** `client`: as limits know it. */
export function refusalText({ limit, leases }: Refused, limits: HandoutLimits, client: string): string {
  const most = {
    leases: limits.leases,
    swarms: limits.swarms,
    nodes: limits.nodes,
    'client.leases': limits.client.leases,
    'client.nodes': limits.client.nodes,
  }[limit];
  const whose = limit.startsWith('client.') ? ` of the client ${client}` : '';
  return `${leases} leases are not kept: the tracker's limits.${limit} (${most})${whose} is reached: ${whatToDo[limit]}`;
}

/** `most`: at once. */
export function lookupsText(client: string, most: number): string {
  const why = `the client ${client} asked for more blobs that no origin has than limits.client.lookups (${most})`;
  return `${why} of the tracker: ask for what there is, or raise it`;
}
