/**
 * TCP. What a dialled connection reads, the kernel writes where the reader says (`onread`); what an accepted one reads
 * is small, and comes in memory of Node's. TLS (tls.ts) has the same connections, over sockets of its own.
 */

import { connect, createServer, type Server, type Socket } from 'node:net';
import type { VerifiedCaller } from '../../core/access/identity.ts';
import type { Connection, Door, Ears, Endpoint, Listener, Net } from './net.ts';
import { Pour } from './pour.ts';

/** Probes on a silent connection begin after this. */
export const keepAliveMs = 10_000;

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
    server.on('connection', (socket) => {
      if (mayConnect(socket, door)) welcome(socket, door);
    });
    return await listenOn(server, at, door);
  },
};

/** One that may not is cut off. */
export function mayConnect(socket: Socket, { letsIn }: Door): boolean {
  if (letsIn?.(socket.remoteAddress ?? '') !== false) return true;
  socket.destroy();
  return false;
}

/** A connection that came: taken, or destroyed. */
export function welcome(socket: Socket, door: Door, whoIs?: () => VerifiedCaller | string): void {
  const remote = remoteOf(socket);
  let taken = false;
  if (typeof whoIs?.() === 'string') return void socket.destroy();
  door.accept({
    remote,
    whoIs,
    take: (ears) => {
      taken = true;
      return new SocketConnection(socket, remote, ears, { whoIs });
    },
    refuse: () => undefined,
  });
  if (!taken) socket.destroy();
}

/** Where a socket puts what it read, in memory that is its own again once that has returned. False: no more for now. */
export type Inlet = { take(bytes: Uint8Array): boolean };

type How = {
  /** The event that says that it is made; none: it is already. */
  readonly ready?: 'connect' | 'secureConnect' | undefined;
  /** The socket writes to the reader's buffer itself. */
  readonly direct?: boolean;
  /** Set to take what the socket reads, where it reads not as a stream. */
  readonly inlet?: Inlet;
  /** Of the other end, where it shows a certificate; text: why it is nobody. */
  readonly whoIs?: (() => VerifiedCaller | string) | undefined;
};

/** A connection over a socket of Node's, whichever way its bytes come in. */
export class SocketConnection implements Connection {
  readonly remote: Endpoint;
  readonly #socket: Socket;
  readonly #ears: Ears;
  readonly #pour: Pour | undefined;
  readonly whoIs: (() => VerifiedCaller | string) | undefined;
  /** Who wants to know that its bytes have gone, in the order in which a socket tells of them. */
  readonly #written: (() => void)[] = [];
  readonly #wrote = (error?: Error | null): void => {
    if (error || this.#over) this.#written.length = 0;
    else this.#written.shift()?.();
  };
  #made: boolean;
  #over = false;

  constructor(socket: Socket, remote: Endpoint, ears: Ears, how: How = {}) {
    this.#socket = socket;
    this.remote = remote;
    this.#ears = ears;
    this.whoIs = how.whoIs;
    this.#made = how.ready === undefined;
    if (how.direct !== true) this.#pour = this.#pourInto(ears, how.inlet);
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
    this.#written.push(done);
    this.#socket.write(bytes, this.#wrote);
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

  #pourInto(ears: Ears, inlet: Inlet | undefined): Pour {
    const pour = new Pour(ears, { later: setImmediate, empty: () => this.#socket.resume() });
    if (inlet !== undefined) {
      inlet.take = (bytes) => {
        const goesOn = pour.push(bytes);
        pour.keep(pour.waiting.length - 1);
        return goesOn;
      };
      return pour;
    }
    this.#socket.on('data', (bytes: Buffer) => {
      if (!pour.push(bytes)) this.#socket.pause();
    });
    return pour;
  }

  #ready(): void {
    this.#made = true;
    if (this.#over) return;
    const who = this.whoIs?.();
    if (typeof who !== 'string') return this.#ears.connected?.();
    this.#closed(who);
    this.destroy();
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

function remoteOf(socket: Socket): Endpoint {
  return { host: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 };
}
