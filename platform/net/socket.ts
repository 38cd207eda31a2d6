/** A connection over a socket of Node's, whichever way its bytes come in (tcp.ts, tls.ts). */

import type { Server, Socket } from 'node:net';
import type { Connection, Door, Ears, Endpoint, Listener } from './net.ts';
import { Pour } from './pour.ts';

/** Probes on a silent connection begin after this. */
export const keepAliveMs = 10_000;

type How = {
  /** The event that says that it is made; none: it is already. */
  readonly ready?: 'connect' | 'secureConnect' | undefined;
  /** The socket writes to the reader's buffer itself. */
  readonly direct?: boolean;
};

export class SocketConnection implements Connection {
  readonly remote: Endpoint;
  readonly #socket: Socket;
  readonly #ears: Ears;
  readonly #pour: Pour | undefined;
  #made: boolean;
  #over = false;

  constructor(socket: Socket, remote: Endpoint, ears: Ears, how: How = {}) {
    this.#socket = socket;
    this.remote = remote;
    this.#ears = ears;
    this.#made = how.ready === undefined;
    if (how.direct !== true) this.#pour = this.#pourInto(ears);
    socket.on('error', (error) => this.#closed(error.message));
    socket.on('close', () => this.#closed('closed by the peer'));
    socket.once('finish', () => {
      if (!this.#over) ears.finished?.();
    });
    if (how.ready !== undefined) socket.once(how.ready, () => this.#ready());
  }

  get connecting(): boolean {
    return !this.#made;
  }

  write(bytes: Uint8Array, done: () => void): void {
    this.#socket.write(bytes, (error) => {
      if (!error && !this.#over) done();
    });
  }

  cork(): void {
    this.#socket.cork();
  }

  uncork(): void {
    this.#socket.uncork();
  }

  end(): void {
    this.#socket.end();
  }

  pause(): void {
    this.#socket.pause();
    this.#pour?.pause();
  }

  resume(): void {
    if (this.#pour === undefined) this.#socket.resume();
    else this.#pour.resume();
  }

  destroy(): void {
    this.#over = true;
    this.#pour?.close();
    this.#socket.destroy();
  }

  #pourInto(ears: Ears): Pour {
    const pour = new Pour(ears, { later: setImmediate, empty: () => this.#socket.resume() });
    this.#socket.on('data', (bytes: Buffer) => {
      if (!pour.push({ bytes })) this.#socket.pause();
    });
    return pour;
  }

  #ready(): void {
    this.#made = true;
    if (!this.#over) this.#ears.connected?.();
  }

  #closed(why: string): void {
    if (this.#over) return;
    this.#over = true;
    this.#pour?.close();
    this.#ears.closed(why);
  }
}

/** Listens from now on; what goes wrong before is the promise's, and afterwards the door's. */
export async function listenOn(server: Server, at: Endpoint, door: Door): Promise<Listener> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host: at.host, port: at.port }, () => {
      server.off('error', reject);
      resolve();
    });
  });
  server.on('error', (error) => door.failed(error));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error(`no port on ${at.host}:${at.port}`);
  const close = (): Promise<void> => new Promise((resolve) => server.close(() => resolve()));
  return { port: address.port, close };
}

export function remoteOf(socket: Socket): Endpoint {
  return { host: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 };
}
