/**
 * TLS 1.3, both sides with a certificate of an authority that the other one believes: whoever has none does not get as far
 * as a connection. What comes in is deciphered in OpenSSL's memory, copied to one record's memory that all connections share,
 * and from there at once to where the reader says: Node's streams, with a buffer of their own for each record, took a third of
 * all CPU of who pulls.
 *
 * Rule: who somebody is, is in the certificate; under which name or address it was dialled tells nothing.
 */

import { createServer as createTcpServer, type Server } from 'node:net';
import { createServer, type TLSSocket } from 'node:tls';
import type { Credentials } from './credentials.ts';
import type { Door, Ears, Endpoint, Net } from './net.ts';
import { type Inlet, keepAliveMs, listenOn, mayConnect, SocketConnection, welcome } from './tcp.ts';

/** Who greets for longer holds a socket in vain; a handshake takes milliseconds. */
export const handshakeMs = 5_000;

/** As much as comes at once: a record (RFC 8446, 5.1). Filled and emptied within one call. */
const record = new Uint8Array(16 * 1024);

/** New connections go by what the credentials are then. */
export function tls(credentials: Credentials): Net {
  const whoIs = (socket: TLSSocket) => () => credentials.whoIs(socket);
  return {
    dial(to: Endpoint, ears: Ears) {
      const inlet: Inlet = { take: () => true };
      const callback = (bytes: number): boolean => inlet.take(record.subarray(0, bytes));
      const socket = credentials.dial(to, 'link', { buffer: record, callback });
      socket.setNoDelay(true);
      socket.setKeepAlive(true, keepAliveMs);
      return new SocketConnection(socket, to, ears, { ready: 'secureConnect', whoIs: whoIs(socket), inlet });
    },

    async listen(at: Endpoint, door: Door) {
      const server = createServer({
        ...credentials.options,
        requestCert: true,
        rejectUnauthorized: true,
        handshakeTimeout: handshakeMs,
        noDelay: true,
        keepAlive: true,
        keepAliveInitialDelay: keepAliveMs,
      });
      server.on('secureConnection', (socket) => {
        credentials.came(socket, 'link');
        welcome(socket, door, whoIs(socket));
      });
      // A stranger: its own socket is closed, and nothing else happens.
      server.on('tlsClientError', (_, socket) => socket.destroy());
      const following = credentials.onChange(() => server.setSecureContext(credentials.options));
      server.once('close', () => following[Symbol.dispose]());
      return await listenOn(door.letsIn === undefined ? server : letting(server, door), at, door);
    },
  };
}

/** Who may not connect does not get as far as a handshake. */
function letting(secure: Server, door: Door): Server {
  const taking = createTcpServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay: keepAliveMs }, (socket) => {
    if (mayConnect(socket, door)) secure.emit('connection', socket);
  });
  return taking.once('close', () => secure.emit('close'));
}
