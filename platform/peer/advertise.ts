/** Under which address peers can dial us, where the configuration does not say. */

import { createSocket } from 'node:dgram';
import { networkInterfaces } from 'node:os';

/** The local address of the route to `host:port`. Sends nothing: a UDP socket only looks the route up. */
export async function localAddressTowards(host: string, port: number): Promise<string> {
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.connect(port, host, resolve);
    });
    return socket.address().address;
  } finally {
    socket.close();
  }
}

/** `host` itself, or for a wildcard the first address of this machine that others can reach. */
export function reachableHost(host: string): string {
  if (host !== '0.0.0.0' && host !== '::' && host !== '') return host;
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  return addresses.find((a) => !a.internal && a.family === 'IPv4')?.address ?? '127.0.0.1';
}
