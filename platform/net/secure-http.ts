/**
 * HTTP's connections between processes that show certificates (credentials.ts): TLS 1.3 at every one that is dialled, be the
 * URL `https:` or `http:`, so that nothing is said in clear by mistake.
 *
 * Rule 1: who is called must be of the role that is called, by its certificate, and where that names addresses, or names of
 *         DNS, one of those that it was called by must be among them: else one that was taken over answers for another.
 * Rule 2: who calls may show none, as those do who ask whether a process lives; what it may ask is the door's to say.
 */

import { createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { createServer, type Server as TlsServer } from 'node:tls';
import type { CallerRole } from '../../core/access/identity.ts';
import type { Credentials, SecureOptions } from './credentials.ts';
import { bind, type Dial, DialledHttp, type HttpDoors, type HttpTransport, letting } from './http.ts';
import { handshakeMs } from './tls.ts';

const keepAliveMs = 60_000;
/** Who says nothing for longer holds a socket in vain; a client speaks first. */
const firstByteMs = 30_000;
/** The first byte of a TLS connection: a record with a handshake (RFC 8446, 5.1). No method of HTTP begins so. */
const tlsHandshake = 22;
const standardPorts: Readonly<Record<string, number>> = { 'https:': 443, 'http:': 80 };

/** `code` of a connection to somebody who is not whom we called. */
export const notWhomWeCalled = 'NOT_WHOM_WE_CALLED';

/** Calls processes of these roles. `anyName`: for an operator, who may call through a tunnel. */
export function secureHttp(
  credentials: Credentials,
  roles: readonly CallerRole[],
  o: { readonly anyName?: boolean } = {},
): HttpTransport {
  const dialling =
    (name: string | undefined): Dial =>
    (to, made) => {
      const host = to.hostname;
      const socket = credentials.dial({ host, port: Number(to.port) || (standardPorts[to.protocol] ?? 443) }, 'http');
      const names = o.anyName === true ? [] : [host, ...(name === undefined ? [] : [name])];
      socket.setNoDelay(true);
      socket.setKeepAlive(true, keepAliveMs);
      const failed = (error: Error): void => made(inWords(error), null);
      socket.once('error', failed);
      socket.once('secureConnect', () => {
        socket.off('error', failed);
        const why = credentials.refusal(socket, roles, names);
        if (why === undefined) return made(null, socket);
        socket.destroy();
        made(
          Object.assign(new Error(`who answers there is not whom we called: ${why}`), { code: notWhomWeCalled }),
          null,
        );
      });
      return socket;
    };
  return { to: (origin, how) => new DialledHttp(dialling(how.name)).to(origin, how) };
}

/** `plainToo`: for clients that know no certificates, who may speak plain HTTP. */
export function secureDoors(credentials: Credentials, { plainToo }: { readonly plainToo: boolean }): HttpDoors {
  return {
    async listen(server, at, letsIn) {
      const secure = secureServer(credentials, server, plainToo);
      const inner = plainToo ? either(secure, server) : secure;
      const taking = letsIn === undefined || 'socket' in at ? inner : letting(inner, letsIn);
      const port = await bind(taking, at);
      // Node's server looks after slow clients once it listens, as it does in effect.
      if (!server.listening) server.emit('listening');
      const closed = (): Promise<void> => new Promise((resolve) => taking.close(() => resolve()));
      taking.once('close', () => secure.emit('gone'));
      return { port, close: closed };
    },
  };
}

/** `users`: whose clients may show certificates of theirs. */
function secureServer(credentials: Credentials, server: Server, users: boolean): TlsServer {
  const options = (): SecureOptions => (users ? credentials.optionsForUsers : credentials.options);
  const secure = createServer({
    ...options(),
    requestCert: true,
    rejectUnauthorized: false,
    handshakeTimeout: handshakeMs,
    noDelay: true,
  });
  secure.on('secureConnection', (socket) => {
    credentials.came(socket, 'http', users);
    server.emit('connection', socket);
  });
  secure.on('tlsClientError', (_, socket) => socket.destroy());
  const following = credentials.onChange(() => secure.setSecureContext(options()));
  secure.once('gone', () => following[Symbol.dispose]());
  return secure;
}

/** Looks at the first byte, and hands the connection to the one or the other. */
function either(secure: TlsServer, plain: Server): Server {
  return createTcpServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    const gone = (): void => void socket.destroy();
    socket.on('error', gone);
    socket.setTimeout(firstByteMs, gone);
    socket.once('readable', () => {
      const first = firstOf(socket);
      socket.setTimeout(0);
      socket.off('timeout', gone);
      if (first === undefined) return gone();
      socket.off('error', gone);
      if (first !== tlsHandshake) return void plain.emit('connection', socket);
      socket.allowHalfOpen = false;
      secure.emit('connection', socket);
    });
  });
}

/** What was read is put back. */
function firstOf(socket: Socket): number | undefined {
  const bytes: Buffer | null = socket.read(1);
  if (bytes === null) return undefined;
  socket.unshift(bytes);
  return bytes[0];
}

function inWords(error: Error): Error {
  const { code } = error as NodeJS.ErrnoException;
  const plain = code === 'ERR_SSL_WRONG_VERSION_NUMBER' || code === 'ERR_SSL_PACKET_LENGTH_TOO_LONG';
  return plain ? Object.assign(new Error('it speaks no TLS: set `tls` there as well'), { code }) : error;
}
