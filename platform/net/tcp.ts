/**
 * TCP. What a dialled connection reads, the kernel writes where the reader says (`onread`); what an accepted one reads
 * is small, and comes in memory of Node's.
 */

import { connect, createServer, type Socket } from 'node:net';
import type { Door, Ears, Endpoint, Net } from './net.ts';
import { keepAliveMs, listenOn, remoteOf, SocketConnection } from './socket.ts';

const options = { noDelay: true, keepAlive: true, keepAliveInitialDelay: keepAliveMs } as const;

export const tcp: Net = {
  dial(to: Endpoint, ears: Ears) {
    // The socket asks for its first buffer from within connect; no byte comes before the connection is made.
    const onread = ears.buffer && {
      buffer: () => (ears.buffer as () => Uint8Array)(),
      callback: (bytes: number, into: Uint8Array) => ears.received(bytes, into),
    };
    const socket = connect({ host: to.host, port: to.port, ...options, ...(onread && { onread }) });
    return new SocketConnection(socket, to, ears, { ready: 'connect', direct: onread !== undefined });
  },

  async listen(at: Endpoint, door: Door) {
    const server = createServer(options);
    server.on('connection', (socket) => welcome(socket, door));
    return await listenOn(server, at, door);
  },
};

/** A connection that came: taken, or destroyed. */
export function welcome(socket: Socket, door: Door): void {
  const remote = remoteOf(socket);
  let taken = false;
  door.accept({
    remote,
    take: (ears) => {
      taken = true;
      return new SocketConnection(socket, remote, ears);
    },
    refuse: () => undefined,
  });
  if (!taken) socket.destroy();
}
