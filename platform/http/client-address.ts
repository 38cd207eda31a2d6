/**
 * Who a request comes from, for limits that are per client.
 *
 * Rule 1: an address that somebody claims counts only where who claims it is trusted to know.
 * Rule 2: whoever has one address of an IPv6 network has all of its /64: they are one client.
 */

import type { IncomingMessage } from 'node:http';
import { BlockList, isIP } from 'node:net';

export type Trusted = BlockList;

/** `addresses`: of proxies, or networks of them, as 10.0.0.0/8. */
export function trustedOf(addresses: readonly string[]): Trusted {
  const list = new BlockList();
  for (const one of addresses) {
    const [address = '', bits] = one.split('/');
    if (bits === undefined) list.addAddress(address, family(address));
    else list.addSubnet(address, Number(bits), family(address));
  }
  return list;
}

/** The nearest address that no trusted proxy has. */
export function clientOf(request: IncomingMessage, trusted: Trusted): string {
  const forwarded = request.headers['x-forwarded-for'];
  const hops = (Array.isArray(forwarded) ? forwarded.join(',') : (forwarded ?? '')).split(',');
  let client = plain(request.socket.remoteAddress ?? '');
  while (isIP(client) !== 0 && trusted.check(client, family(client))) {
    const before = plain(hops.pop()?.trim() ?? '');
    if (isIP(before) === 0) break;
    client = before;
  }
  return isIP(client) === 6 ? network(client) : client;
}

function family(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 6 ? 'ipv6' : 'ipv4';
}

/** IPv4 as it is; without brackets, port, and zone. */
function plain(address: string): string {
  const [, bracketed] = /^\[([^\]]*)\](?::\d+)?$/.exec(address) ?? [];
  const bare = (bracketed ?? address).split('%', 1)[0] as string;
  const [, mapped, withPort] = /^(?:::ffff:)?(\d+\.\d+\.\d+\.\d+)(:\d+)?$/i.exec(bare) ?? [];
  return mapped === undefined || (withPort !== undefined && bare.startsWith(':')) ? bare : mapped;
}

/** The first 64 bits of an IPv6 address. */
function network(address: string): string {
  const [head = '', tail] = address.split('::');
  const first = head === '' ? [] : head.split(':');
  const last = tail === undefined || tail === '' ? [] : tail.split(':');
  const groups = [...first, ...new Array<string>(Math.max(0, 8 - first.length - last.length)).fill('0'), ...last];
  const numbers = groups.slice(0, 4).map((group) => Number.parseInt(group, 16).toString(16));
  return `${numbers.join(':')}::/64`;
}
