/** For tests: a server that hangs, as a process does under SIGSTOP, and goes on. */

import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { PROBES } from '../../core/contracts/probes.ts';

/** While it is stopped, connections are accepted and nothing is answered. */
export class Stoppable {
  readonly server: Server;
  pings = 0;
  /** How long the answer to one takes, milliseconds. */
  pingMs = 0;
  /** Beside pings. */
  requests = 0;
  #stopped = false;
  #held: (() => void)[] = [];

  constructor(listener: RequestListener) {
    this.server = createServer((request, response) => {
      if (request.url !== PROBES.health.pattern) this.requests += 1;
      const serve = (): void => {
        if (request.url === PROBES.health.pattern) {
          this.pings += 1;
          setTimeout(() => response.end('{}'), this.pingMs);
        } else listener(request, response);
      };
      if (this.#stopped) this.#held.push(serve);
      else serve();
    });
  }

  static async start(listener: RequestListener): Promise<Stoppable> {
    const far = new Stoppable(listener);
    await new Promise<void>((resolve) => far.server.listen(0, '127.0.0.1', resolve));
    return far;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  stop(): void {
    this.#stopped = true;
  }

  goOn(): void {
    this.#stopped = false;
    for (const serve of this.#held.splice(0)) serve();
  }

  [Symbol.dispose](): void {
    this.server.closeAllConnections();
    this.server.close();
  }
}
