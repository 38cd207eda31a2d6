/**
 * One connection of a load: HTTP/1.1, one question at a time, on a socket of its own.
 *
 * Why not a client: the side that makes the load must cost less than the side that takes it. A request is text that was
 * made before, and of an answer its status, length and body are read, nothing else.
 *
 * Rule: what is no answer with a status of 2xx is an error, and never one that counts.
 */

import { connect, type Socket } from 'node:net';

type Waiter = { readonly resolve: (body: string) => void; readonly reject: (error: Error) => void };

const headEnd = '\r\n\r\n';
/** Where the status stands: after `HTTP/1.1 `. */
const statusAt = 9;
const shownMax = 300;

export class Connection implements Disposable {
  readonly #socket: Socket;
  #waiter: Waiter | undefined;
  #got = '';

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => this.#take(text));
    socket.on('error', (error) => this.#fail(error));
    socket.on('close', () => this.#fail(new Error('the connection was closed before its answer')));
  }

  static open(port: number): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host: '127.0.0.1', port, noDelay: true });
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.off('error', reject);
        resolve(new Connection(socket));
      });
    });
  }

  /** The body of its answer. */
  ask(request: string): Promise<string> {
    return new Promise((resolve, reject) => {
      this.#waiter = { resolve, reject };
      this.#socket.write(request, 'latin1');
    });
  }

  [Symbol.dispose](): void {
    this.#waiter = undefined;
    this.#socket.destroy();
  }

  #take(text: string): void {
    const all = this.#got + text;
    this.#got = all;
    const head = all.indexOf(headEnd);
    if (head < 0) return;
    const length = lengthOf(all, head);
    if (length === undefined) return this.#fail(new Error(`an answer of unknown length: ${all.slice(0, shownMax)}`));
    const from = head + headEnd.length;
    if (all.length < from + length) return;
    this.#got = '';
    const waiter = this.#waiter;
    this.#waiter = undefined;
    if (all[statusAt] === '2') waiter?.resolve(all.slice(from));
    else waiter?.reject(new Error(`refused: ${all.slice(0, shownMax)}`));
  }

  #fail(error: Error): void {
    const waiter = this.#waiter;
    this.#waiter = undefined;
    waiter?.reject(error);
  }
}

/** Of the body; undefined: it is not said. */
function lengthOf(answer: string, head: number): number | undefined {
  const said = /\r\ncontent-length: *(\d+)\r\n/i.exec(answer.slice(0, head + 2))?.[1];
  if (said !== undefined) return Number(said);
  return answer.startsWith('204', statusAt) ? 0 : undefined;
}
