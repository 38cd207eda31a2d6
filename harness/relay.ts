/**
 * A relay of TCP that stands for a network which fails: it lets bytes through, holds them, or cuts all connections.
 *
 * Rule: what is held comes late, in order, and not at all where its connection has been cut meanwhile.
 */

import { connect, createServer, type Server, type Socket } from 'node:net';

export type RelayMode = 'through' | 'held' | 'cut';
export type Target = { readonly host: string; readonly port: number };

export class Relay implements AsyncDisposable {
  readonly #server: Server;
  readonly #open = new Set<Socket>();
  #to: Target | undefined;
  #mode: RelayMode = 'through';

  private constructor() {
    this.#server = createServer({ pauseOnConnect: true }, (client) => this.#relay(client));
  }

  static async start(to?: Target): Promise<Relay> {
    const relay = new Relay();
    relay.#to = to;
    await new Promise<void>((resolve) => relay.#server.listen(0, '127.0.0.1', resolve));
    return relay;
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port;
  }

  /** Where it relays to from now on; undefined: nobody is there. */
  to(target: Target | undefined): void {
    this.#to = target;
  }

  set(mode: RelayMode): void {
    this.#mode = mode;
    for (const socket of this.#open) {
      if (mode === 'cut') cut(socket);
      else if (mode === 'held') socket.pause();
      else socket.resume();
    }
  }

  #relay(client: Socket): void {
    if (this.#mode === 'cut' || this.#to === undefined) return void cut(client);
    const server = connect(this.#to);
    this.#join(client, server);
    this.#join(server, client);
    if (this.#mode === 'through') client.resume();
    else server.pause();
  }

  #join(one: Socket, other: Socket): void {
    this.#open.add(one);
    one.on('data', (chunk) => {
      if (other.write(chunk)) return;
      one.pause();
      other.once('drain', () => this.#mode === 'through' && one.resume());
    });
    one.once('end', () => other.end());
    one.once('error', () => cut(other));
    one.once('close', (failed) => {
      this.#open.delete(one);
      if (failed) cut(other);
      else other.end();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#open) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/**
 * Resets it. Not one whose `end` is under way: libuv refuses that (EINVAL), and Node takes the socket for closed all the same,
 * waits for it when the process is to exit, and turns in circles for ever.
 */
export function cut(socket: Socket): void {
  if (socket.writableEnded && !socket.writableFinished) socket.destroy();
  else socket.resetAndDestroy();
}
