/**
 * The bytes of an object on their way, each once under its digest and its MD5, however often a part of them is sent.
 *
 * Rule: a source that gives more or fewer bytes than were asked for, or others than its digest's, throws WrongSource.
 */

import { createHash } from 'node:crypto';
import { digestAlgorithm, digestHex } from '../../../core/digest.ts';
import type { ObjectSource } from '../backend.ts';
import { WrongSource } from '../parts/source.ts';

export class Hashing {
  readonly #source: ObjectSource;
  readonly #whole;
  readonly #md5 = createHash('md5');
  #at = 0;
  #sums: { readonly right: boolean; readonly md5: string } | undefined;

  constructor(source: ObjectSource) {
    this.#source = source;
    this.#whole = createHash(digestAlgorithm(source.digest));
  }

  /** Everything before `to` is under the sums. */
  async to(to: number, signal: AbortSignal): Promise<void> {
    if (this.#at >= to) return;
    for await (const _ of this.read({ from: this.#at, to }, signal));
  }

  /** What of it was not read before goes under the sums: `from` is at most where they are. */
  async *read({ from, to }: { from: number; to: number }, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    let at = from;
    for await (const chunk of this.#source.read(from, to, signal)) {
      signal.throwIfAborted();
      if (at + chunk.length > to) throw new WrongSource(`gave more than its ${this.#source.size} bytes`);
      const fresh = at + chunk.length <= this.#at ? undefined : chunk.subarray(Math.max(0, this.#at - at));
      at += chunk.length;
      if (fresh !== undefined) {
        this.#whole.update(fresh);
        this.#md5.update(fresh);
        this.#at = at;
      }
      yield chunk;
    }
    if (at < to) throw new WrongSource(`gave ${at} of its ${this.#source.size} bytes`);
  }

  check(): void {
    if (!this.#all().right) throw new WrongSource(`gave bytes that are not those of ${this.#source.digest}`);
  }

  /** Once all of it has been read; in base64. */
  md5(): string {
    return this.#all().md5;
  }

  #all() {
    this.#sums ??= {
      right: this.#whole.digest('hex') === digestHex(this.#source.digest),
      md5: this.#md5.digest('base64'),
    };
    return this.#sums;
  }
}
