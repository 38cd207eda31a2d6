/**
 * GET over a plain socket that reads into one buffer again and again: a reader that costs next to nothing, so that
 * twelve of them do not take the cores from those who are measured. Knows HTTP no further than a head and a length.
 */

import { connect } from 'node:net';

const bufferBytes = 256 * 1024;
const headBytesMax = 16 * 1024;

export type Reading = {
  /** Milliseconds since the epoch. */
  readonly firstMs: number;
  readonly halfMs: number;
  readonly doneMs: number;
  readonly bytes: number;
};

/** Reads the body of `url` to its end, or only to its first byte. Rejects unless the status is 200. */
export function readBody(url: string, until: 'end' | 'first' = 'end'): Promise<Reading> {
  const { hostname, port, pathname } = new URL(url);
  const { promise, resolve, reject } = Promise.withResolvers<Reading>();
  const buffer = Buffer.alloc(bufferBytes);
  const body = new Body();
  const socket = connect({
    host: hostname,
    port: Number(port),
    noDelay: true,
    onread: {
      buffer,
      callback: (bytes) => {
        try {
          body.take(buffer, bytes);
        } catch (error) {
          reject(error as Error);
          socket.destroy();
          return false;
        }
        if (!body.done && !(until === 'first' && body.bytes > 0)) return true;
        resolve(body.reading());
        socket.destroy();
        return false;
      },
    },
  });
  socket.once('error', reject);
  socket.once('close', () => reject(new Error(`${url}: closed after ${body.bytes} bytes`)));
  socket.write(`GET ${pathname} HTTP/1.1\r\nhost: ${hostname}:${port}\r\n\r\n`);
  return promise;
}

class Body {
  #head = '';
  #length = -1;
  #bytes = 0;
  #firstMs = 0;
  #halfMs = 0;

  get bytes(): number {
    return this.#bytes;
  }

  get done(): boolean {
    return this.#bytes === this.#length;
  }

  take(buffer: Buffer, bytes: number): void {
    const payload = this.#length >= 0 ? bytes : this.#takeHead(buffer, bytes);
    if (payload === 0) return;
    if (this.#bytes === 0) this.#firstMs = Date.now();
    this.#bytes += payload;
    if (this.#halfMs === 0 && this.#bytes >= this.#length / 2) this.#halfMs = Date.now();
  }

  reading(): Reading {
    return { firstMs: this.#firstMs, halfMs: this.#halfMs, doneMs: Date.now(), bytes: this.#bytes };
  }

  /** Bytes of the body that came with the end of the head. */
  #takeHead(buffer: Buffer, bytes: number): number {
    const before = this.#head.length;
    this.#head += buffer.toString('latin1', 0, Math.min(bytes, headBytesMax));
    const end = this.#head.indexOf('\r\n\r\n');
    if (end < 0) {
      if (this.#head.length >= headBytesMax) throw new Error('a head without an end');
      return 0;
    }
    const length = /\r\ncontent-length: (\d+)\r\n/i.exec(this.#head.slice(0, end + 2))?.[1];
    if (!this.#head.startsWith('HTTP/1.1 200 ') || length === undefined)
      throw new Error(`an answer that is no blob: ${this.#head.slice(0, 500)}`);
    this.#length = Number(length);
    return bytes - (end + 4 - before);
  }
}
