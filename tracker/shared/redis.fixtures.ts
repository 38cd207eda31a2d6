/** What a tracker asks of Redis, answered by whatever a test makes of it: a server of the wire protocol, and no store. */

import { createServer, type Socket } from 'node:net';

type Reply = number | string | Buffer | readonly Reply[];

export class ScriptedRedis {
  /** Commands with their arguments, in order; those together that came together. */
  readonly asked: (readonly string[])[][] = [];
  readonly #answer: (command: readonly string[]) => Reply;
  readonly #listeners = new Set<Socket>();
  url = '';

  constructor(answer: (command: readonly string[]) => Reply) {
    this.#answer = answer;
  }

  get listeners(): number {
    return this.#listeners.size;
  }

  /** Ends with the stack. */
  async start(stack: AsyncDisposableStack): Promise<this> {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => undefined);
      let text = '';
      socket.on('data', (chunk) => {
        this.asked.push([]);
        text = this.#serve(socket, text + String(chunk));
      });
    });
    const listening = Promise.withResolvers<void>();
    server.listen(0, '127.0.0.1', listening.resolve);
    await listening.promise;
    const at = server.address();
    if (at === null || typeof at === 'string') throw new Error('it has no port');
    this.url = `redis://127.0.0.1:${at.port}`;
    stack.defer(() => {
      for (const socket of sockets) socket.destroy();
      server.close();
    });
    return this;
  }

  publish(channel: string, message: Buffer): void {
    for (const socket of this.#listeners) socket.write(bytesOf(['message', channel, message]));
  }

  /** What is left of `text` behind its whole commands. */
  #serve(socket: Socket, text: string): string {
    for (;;) {
      const [head = ''] = /^\*\d+\r\n/.exec(text) ?? [];
      const parts = text.slice(head.length).split('\r\n');
      const count = Number(head.slice(1));
      if (head === '' || parts.length <= 2 * count) return text;
      const command = parts.slice(0, 2 * count).filter((_, i) => i % 2 === 1);
      this.asked.at(-1)?.push(command);
      if (command[0] === 'subscribe') this.#listeners.add(socket);
      socket.write(bytesOf(command[0] === 'subscribe' ? ['subscribe', command[1] ?? '', 1] : this.#answer(command)));
      text = parts.slice(2 * count).join('\r\n');
    }
  }
}

function bytesOf(reply: Reply): Buffer {
  if (typeof reply === 'number') return Buffer.from(`:${reply}\r\n`);
  if (typeof reply === 'string' || Buffer.isBuffer(reply)) {
    const bytes = Buffer.from(reply as string);
    return Buffer.concat([Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n')]);
  }
  return Buffer.concat([Buffer.from(`*${reply.length}\r\n`), ...reply.map(bytesOf)]);
}
