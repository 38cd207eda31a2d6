/** Bare connections of an attacker, from an address of his own: what no client library would send. */

import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { type HeardCounts, readAnswers } from './heard.ts';

/** Who is attacked is busy: a connection comes late, or not at all. */
const connectMs = 5_000;
/** Nothing more is expected after so long without a byte. */
const quietMs = 1_000;
const answerBytesMax = 1024 * 1024;
/** Connections that are made at a time: more only wait in the kernel. */
const lanes = 64;

export class Wire {
  readonly heard: HeardCounts;
  readonly signal: AbortSignal;
  readonly #from: string;
  readonly #port: number;

  constructor(o: {
    readonly port: number;
    readonly from: string;
    readonly heard: HeardCounts;
    readonly signal: AbortSignal;
  }) {
    this.#port = o.port;
    this.#from = o.from;
    this.heard = o.heard;
    this.signal = o.signal;
  }

  /** undefined: none came about. */
  open(): Promise<Socket | undefined> {
    const socket = connect({ host: '127.0.0.1', port: this.#port, localAddress: this.#from });
    return new Promise((resolve) => {
      const failed = (): void => {
        socket.destroy();
        this.heard.refused += 1;
        resolve(undefined);
      };
      socket.setTimeout(connectMs, failed);
      socket.once('error', failed);
      socket.once('connect', () => {
        socket
          .setTimeout(0)
          .off('error', failed)
          .on('error', () => undefined);
        this.heard.opened += 1;
        resolve(socket);
      });
    });
  }

  /** Sends it on a connection of its own: what came until nothing more did, or the other side ended. */
  async say(text: string | Uint8Array, waitMs = quietMs): Promise<string> {
    const socket = await this.open();
    if (socket === undefined) return '';
    const said = this.#read(socket, waitMs);
    socket.write(text);
    const answer = await said;
    readAnswers(this.heard, answer, typeof text === 'string' ? text : `${text.length} bytes`);
    return answer;
  }

  /** Holds `count` connections until the signal: `first` on each, then `drip` on each again and again. */
  async hold(
    count: number,
    first: string | Uint8Array,
    drip?: { readonly text: string; readonly everyMs: number },
  ): Promise<void> {
    const held = new Set<Socket>();
    let made = 0;
    const lane = async (): Promise<void> => {
      while (made < count && !this.signal.aborted) {
        made += 1;
        const socket = await this.open();
        if (socket === undefined) continue;
        held.add(socket);
        socket.once('close', () => {
          if (held.delete(socket)) this.heard.ended += 1;
        });
        socket.on('data', (bytes: Buffer) => void readAnswers(this.heard, String(bytes), String(first).slice(0, 100)));
        if (first.length > 0) socket.write(first);
      }
    };
    await Promise.all(Array.from({ length: lanes }, lane));
    while (!this.signal.aborted) {
      await this.rest(drip?.everyMs ?? connectMs);
      if (drip !== undefined) for (const socket of held) socket.write(drip.text);
    }
    for (const socket of held) {
      held.delete(socket);
      socket.destroy();
    }
  }

  /** Or until the signal. */
  async rest(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.signal }).catch(() => undefined);
  }

  #read(socket: Socket, waitMs: number): Promise<string> {
    return new Promise((resolve) => {
      let text = '';
      const done = (): void => {
        socket.destroy();
        resolve(text);
      };
      socket.setTimeout(waitMs, done);
      socket.on('data', (bytes: Buffer) => {
        text += bytes.toString('latin1');
        if (text.length > answerBytesMax) done();
      });
      socket.once('close', () => {
        this.heard.ended += 1;
        done();
      });
    });
  }
}
