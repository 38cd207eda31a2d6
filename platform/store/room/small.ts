/**
 * Small blobs of a cache that no disk takes now: whole, in memory.
 *
 * Rule: bounded; the least recently made one that nobody uses goes first.
 */

import type { Digest } from '../../../core/digest.ts';
import type { BlobEntry } from '../pieces/entry.ts';

/** Manifests and configs of a thousand pulls. */
export const inMemoryBytesMax = 16 * 1024 * 1024;

export class SmallBlobs {
  readonly #evicted: (entry: BlobEntry) => void;
  readonly #entries = new Map<Digest, BlobEntry>();
  #bytes = 0;

  constructor(evicted: (entry: BlobEntry) => void) {
    this.#evicted = evicted;
  }

  get(digest: Digest): BlobEntry | undefined {
    return this.#entries.get(digest);
  }

  all(): BlobEntry[] {
    return [...this.#entries.values()];
  }

  /** False: so many are in use that it has no room. */
  add(entry: BlobEntry): boolean {
    const { length } = entry.meta;
    for (const old of this.#entries.values()) {
      if (this.#bytes + length <= inMemoryBytesMax) break;
      if (old.pinned) continue;
      this.close(old);
      this.#evicted(old);
    }
    if (this.#bytes + length > inMemoryBytesMax) return false;
    this.#entries.set(entry.digest, entry);
    this.#bytes += length;
    return true;
  }

  close(entry: BlobEntry): boolean {
    if (this.#entries.get(entry.digest) !== entry) return false;
    this.#entries.delete(entry.digest);
    this.#bytes -= entry.meta.length;
    entry.becomeGone(undefined);
    return true;
  }
}
