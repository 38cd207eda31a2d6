/** An object of any size that is nowhere: its bytes are made as they are read, from any place. */

import { createHash, randomBytes } from 'node:crypto';
import { digestOf } from '../../../core/digest.ts';
import type { ObjectSource } from '../../../platform/backends/backend.ts';

const blockBytes = 1 << 20;

/** No two of its blocks are equal, so that one in another's place is seen. */
export class Generated {
  readonly size: number;
  readonly #block = randomBytes(blockBytes);

  constructor(size: number) {
    this.size = size;
  }

  /** `end` is exclusive. Each chunk is the reader's until it asks for the next one. */
  *bytes(start: number, end: number): Generator<Buffer> {
    const chunk = Buffer.from(this.#block);
    for (let at = start; at < end; ) {
      const number = Math.floor(at / blockBytes);
      chunk.writeDoubleLE(number, 0);
      const from = at - number * blockBytes;
      const to = Math.min(blockBytes, end - number * blockBytes);
      yield chunk.subarray(from, to);
      at = number * blockBytes + to;
    }
  }

  source(): ObjectSource {
    const hash = createHash('sha256');
    for (const chunk of this.bytes(0, this.size)) hash.update(chunk);
    const make = (start: number, end: number): Generator<Buffer> => this.bytes(start, end);
    return {
      size: this.size,
      digest: digestOf('sha256', hash.digest('hex')),
      async *read(start, end, signal) {
        for (const chunk of make(start, end)) {
          signal.throwIfAborted();
          yield chunk;
        }
      },
    };
  }
}
