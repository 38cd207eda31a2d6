/** DNS as this process asks it: the system's resolvers, or those that are named. */

import { Resolver } from 'node:dns/promises';

export type DnsResolver = Pick<Resolver, 'resolve4' | 'resolve6' | 'resolveSrv' | 'cancel'>;

/** For one question. `servers`: `address` or `address:port`; none: the system's. */
export function dnsResolver(o: {
  readonly servers: readonly string[];
  readonly timeoutMs: number;
  readonly tries: number;
}): DnsResolver {
  const resolver = new Resolver({ timeout: o.timeoutMs, tries: o.tries });
  if (o.servers.length > 0) resolver.setServers(o.servers);
  return resolver;
}
