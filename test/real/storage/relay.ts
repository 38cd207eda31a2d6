/** A relay of TCP in front of a server: counts bytes both ways, cuts a connection where it is told to, and may be slow. */
import { connect, createServer, type Server, type Socket } from 'node:net';

export class Relay implements AsyncDisposable {
  up = 0;
  down = 0;
  /** The next connection that has brought so many bytes to the client is cut; then none is. */
  cutAfter: number | undefined;
  /** Bytes a second of what each connection brings to the server; undefined: as they come. */
  upRate: number | undefined;
  readonly #server: Server;
  readonly #open = new Set<Socket>();

  private constructor(to: URL) {
    this.#server = createServer((client) => this.#relay(client, Number(to.port)));
  }

  static async start(to: string): Promise<Relay> {
    const relay = new Relay(new URL(to));
    await new Promise<void>((resolve) => relay.#server.listen(0, '127.0.0.1', resolve));
    return relay;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as { port: number }).port}`;
  }

  #relay(client: Socket, port: number): void {
    const server = connect({ host: '127.0.0.1', port });
    for (const [one, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#open.add(one);
      one.once('error', () => other.destroy());
      one.once('close', () => {
        this.#open.delete(one);
        other.destroy();
      });
    }
    client.on('data', (chunk) => {
      this.up += chunk.length;
      const full = !server.write(chunk);
      if (this.upRate !== undefined) {
        client.pause();
        setTimeout(() => client.resume(), (1_000 * chunk.length) / this.upRate).unref();
      } else if (full) {
        client.pause();
        server.once('drain', () => client.resume());
      }
    });
    client.once('end', () => server.end());
    let came = 0;
    server.on('data', (chunk) => {
      came += chunk.length;
      this.down += chunk.length;
      if (this.cutAfter !== undefined && came >= this.cutAfter) {
        this.cutAfter = undefined;
        client.destroy();
      } else if (!client.write(chunk)) {
        server.pause();
        client.once('drain', () => server.resume());
      }
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#open) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
