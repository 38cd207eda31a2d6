/** Servers for the tests of whoever speaks HTTP to servers of others: of HTTP, of TLS, of bytes, and a proxy. */

import { execFileSync } from 'node:child_process';
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createSecure, type ServerOptions } from 'node:https';
import {
  type AddressInfo,
  connect,
  createServer as createPlain,
  type Server as NetServer,
  type Socket,
} from 'node:net';
import { join } from 'node:path';
import * as z from 'zod';
import { realClock } from '../../net/clock.ts';
import { type WebTls, webTls } from './config.ts';
import { type WebOpening, WebRequester } from './requester.ts';

export const never = new AbortController().signal;

const schema = z.strictObject(webTls);

/** Requests of a backend `main`. */
export function requester(more: Partial<WebOpening> = {}, tls: WebTls = {}): WebRequester {
  return new WebRequester({ name: 'main', stallMs: 5_000, env: {}, clock: realClock, ...more }, schema.parse(tls));
}

async function listening(server: NetServer, stack: AsyncDisposableStack): Promise<number> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  stack.defer(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return (server.address() as AddressInfo).port;
}

/** `http://127.0.0.1:PORT`. */
export async function httpServer(stack: AsyncDisposableStack, listener: RequestListener): Promise<string> {
  return `http://127.0.0.1:${await listening(createServer(listener), stack)}`;
}

/** `https://localhost:PORT`. */
export async function httpsServer(
  stack: AsyncDisposableStack,
  options: ServerOptions,
  listener: RequestListener,
): Promise<string> {
  return `https://localhost:${await listening(createSecure(options, listener), stack)}`;
}

/** What is done with each connection. */
export async function rawServer(stack: AsyncDisposableStack, taken: (socket: Socket) => void): Promise<string> {
  return `http://127.0.0.1:${await listening(createPlain(taken), stack)}`;
}

/** A proxy, and what went through it: `CONNECT host:port`, `GET http://…`. */
export async function proxyServer(stack: AsyncDisposableStack, refuse?: number) {
  const asked: string[] = [];
  const server: Server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    response.writeHead(refuse ?? 200).end('from the proxy');
  });
  server.on('connect', ({ url = '' }, client: Socket) => {
    asked.push(`CONNECT ${url}`);
    if (refuse !== undefined) return void client.end(`HTTP/1.1 ${refuse} No\r\n\r\n`);
    const there = connect(Number(url.split(':')[1]), '127.0.0.1', () => {
      client.write('HTTP/1.1 200 OK\r\n\r\n');
      client.pipe(there).pipe(client);
    });
    there.on('error', () => client.destroy());
    client.on('error', () => there.destroy());
  });
  return { url: `http://127.0.0.1:${await listening(server, stack)}`, asked };
}

/** Makes `NAME.key` and `NAME.pem` in `dir`: a certificate of its own, for `hosts`. */
export function certificate(
  dir: string,
  name: string,
  hosts = 'DNS:localhost,IP:127.0.0.1',
): { readonly cert: string; readonly key: string } {
  const [key, cert] = [join(dir, `${name}.key`), join(dir, `${name}.pem`)];
  const made = ['-keyout', key, '-out', cert, '-days', '2', '-subj', `/CN=${name}`];
  const names = ['-addext', `subjectAltName=${hosts}`];
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  execFileSync('openssl', ['req', '-x509', ...curve, ...made, ...names], { stdio: 'ignore' });
  return { cert, key };
}
