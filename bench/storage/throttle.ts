/**
 * A relay of TCP in front of a server, at so many bytes a second over all connections together, towards the client; it
 * counts them. Unlimited it only counts.
 */

import { connect, createServer, type Server, type Socket } from 'node:net';

/** What goes at once after a pause: as a switch's queue would hold. */
const burstMs = 20;

export class Throttle implements AsyncDisposable {
  /** Towards the client. */
  bytes = 0;
  readonly #server: Server;
  readonly #bytesPerMs: number;
  readonly #open = new Set<Socket>();
  readonly #waiting = new Set<Socket>();
  #freeMs = 0;
  #timer: NodeJS.Timeout | undefined;

  private constructor(to: URL, bytesPerS: number) {
    this.#bytesPerMs = bytesPerS / 1000;
    this.#server = createServer((client) => this.#relay(client, to));
  }

  static async start(to: string, bytesPerS: number): Promise<Throttle> {
    const throttle = new Throttle(new URL(to), bytesPerS);
    await new Promise<void>((resolve) => throttle.#server.listen(0, '127.0.0.1', resolve));
    return throttle;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as { port: number }).port}`;
  }

  #relay(client: Socket, to: URL): void {
    const server = connect({ host: to.hostname, port: Number(to.port), noDelay: true });
    client.setNoDelay(true);
    for (const [one, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#open.add(one);
      one.once('error', () => other.destroy());
      one.once('close', () => {
        this.#open.delete(one);
        this.#waiting.delete(one);
        other.destroy();
      });
    }
    client.pipe(server);
    server.on('end', () => client.end());
    server.on('data', (chunk) => {
      this.bytes += chunk.length;
      const taken = client.write(chunk);
      this.#freeMs = Math.max(this.#freeMs, performance.now() - burstMs) + chunk.length / this.#bytesPerMs;
      if (taken && this.#freeMs <= performance.now()) return;
      server.pause();
      if (taken) this.#later(server);
      else client.once('drain', () => this.#later(server));
    });
  }

  /** Goes on once the rate allows it. */
  #later(server: Socket): void {
    this.#waiting.add(server);
    this.#timer ??= setTimeout(
      () => {
        this.#timer = undefined;
        const all = [...this.#waiting];
        this.#waiting.clear();
        for (const socket of all) socket.resume();
      },
      Math.max(0, this.#freeMs - performance.now()),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#timer);
    for (const socket of this.#open) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
