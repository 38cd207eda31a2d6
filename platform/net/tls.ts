/**
 * TLS, both sides with a certificate of one authority: whoever has none does not get as far as a connection. What comes
 * in is deciphered in OpenSSL's memory and copied once to where the reader says.
 */

import { connect, createServer } from 'node:tls';
import type { Door, Ears, Endpoint, Net } from './net.ts';
import { keepAliveMs, listenOn, SocketConnection, welcome } from './tcp.ts';

/** Who greets for longer holds a socket in vain; a handshake takes milliseconds. */
const handshakeMs = 5_000;

/** All of them PEM. */
export type TlsIdentity = {
  /** Whose certificates are believed. */
  readonly authority: string;
  /** Names the hosts under which this process is dialled. */
  readonly certificate: string;
  readonly key: string;
};

export function tls(identity: TlsIdentity): Net {
  const { authority: ca, certificate: cert, key } = identity;
  const trust = { ca, cert, key, minVersion: 'TLSv1.3' } as const;
  return {
    dial(to: Endpoint, ears: Ears) {
      const socket = connect({ host: to.host, port: to.port, ...trust });
      socket.setNoDelay(true);
      socket.setKeepAlive(true, keepAliveMs);
      return new SocketConnection(socket, to, ears, { ready: 'secureConnect' });
    },

    async listen(at: Endpoint, door: Door) {
      const server = createServer({
        ...trust,
        requestCert: true,
        rejectUnauthorized: true,
        handshakeTimeout: handshakeMs,
        noDelay: true,
        keepAlive: true,
        keepAliveInitialDelay: keepAliveMs,
      });
      server.on('secureConnection', (socket) => welcome(socket, door));
      // A stranger: its own socket is closed, and nothing else happens.
      server.on('tlsClientError', (_, socket) => socket.destroy());
      return await listenOn(server, at, door);
    },
  };
}
