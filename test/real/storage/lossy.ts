/** A way to PostgreSQL on which a COMMIT, or its answer, can be lost: what a network does at the worst moment. */
import { connect, createServer, type Socket } from 'node:net';
import { freePort } from '../../../platform/testing/ports.ts';

/** before: the server never hears of it. after: it is done, and nobody hears of that. */
export type Losing = 'before' | 'after' | undefined;

export class Lossy implements AsyncDisposable {
  readonly port: number;
  /** Of the next COMMIT. */
  lose: Losing;
  lost = 0;
  readonly #server;

  private constructor(port: number, to: number) {
    this.port = port;
    this.#server = createServer((near) => this.#join(near, connect(to, '127.0.0.1')));
  }

  static async to(port: number): Promise<Lossy> {
    const lossy = new Lossy(await freePort(), port);
    await new Promise<void>((resolve) => lossy.#server.listen(lossy.port, '127.0.0.1', resolve));
    return lossy;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
  }

  #join(near: Socket, far: Socket): void {
    let deaf = false;
    const end = (): void => {
      near.destroy();
      far.destroy();
    };
    for (const socket of [near, far]) socket.on('error', end).on('close', end);
    near.on('data', (bytes) => {
      const { lose } = this;
      if (lose !== undefined && bytes.includes('COMMIT\0')) {
        this.lose = undefined;
        this.lost += 1;
        if (lose === 'before') return end();
        deaf = true;
      }
      far.write(bytes);
    });
    let unheard = Buffer.alloc(0);
    far.on('data', (bytes) => {
      if (!deaf) return void near.write(bytes);
      unheard = Buffer.concat([unheard, bytes]);
      // The server has answered, so it is done: that is where the way breaks.
      if (unheard.includes('COMMIT\0')) end();
    });
  }
}
