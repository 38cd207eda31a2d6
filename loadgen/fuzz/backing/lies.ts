/**
 * Wrong bytes that the backend gave, which the product cannot know for wrong before all of the blob has come: what it may
 * pass on meanwhile, and nothing else.
 *
 * Rule: each byte of a lie is the right one, or that one with `flipped` bits turned over.
 */

import type { Digest } from '../../../core/digest.ts';
import type { Slot } from '../../../platform/workers/arena.ts';
import { type Content, pieceOf } from '../content.ts';

export const flipped = 0x55;

export class Lies {
  /** Of some blob it told another size than it has: nodes that were told so contradict those that know. */
  sized = false;
  readonly #told = new Set<Digest>();
  readonly #contents: ReadonlyMap<Digest, Content>;

  constructor(contents: ReadonlyMap<Digest, Content>) {
    this.#contents = contents;
  }

  tell(digest: Digest): void {
    this.#told.add(digest);
  }

  get any(): boolean {
    return this.#told.size > 0;
  }

  /** Whether `text` names a blob of which it did: two origins may have got two lists of it, and know nothing of each other's. */
  namedIn(text: string): boolean {
    return [...this.#told].some((digest) => text.includes(digest));
  }

  /** Whether the backend may have given `bytes` where it should have given `right`. */
  given(digest: Digest, bytes: Uint8Array, right: Uint8Array): boolean {
    return this.#told.has(digest) && bytes.length <= right.length && lieOf(bytes, right, 0);
  }

  /** Whether a piece came so. */
  givenIn(slot: Slot): boolean {
    for (const digest of this.#told) {
      const content = this.#contents.get(digest);
      for (let piece = 0; piece < (content?.pieces ?? 0); piece++)
        if (fits(slot, pieceOf(content as Content, piece))) return true;
    }
    return false;
  }
}

function fits(slot: Slot, right: Uint8Array): boolean {
  let at = 0;
  for (const part of slot.parts()) {
    if (at + part.length > right.length || !lieOf(part, right, at)) return false;
    at += part.length;
  }
  return at === right.length;
}

function lieOf(bytes: Uint8Array, right: Uint8Array, from: number): boolean {
  return bytes.every((byte, i) => byte === right[from + i] || byte === ((right[from + i] as number) ^ flipped));
}
