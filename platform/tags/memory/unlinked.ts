/** As sqlite/unlinked.ts, in memory: the plain statement of it. */

import type { CondemnReply, UnlinkedReply } from '../../../core/contracts/index-api.ts';
import type { Digest } from '../../../core/digest.ts';
import { type CondemnAt, condemnedMs } from '../store.ts';
import { MemoryDoomed } from './doomed.ts';

type Unlinked = { sinceMs: number; told: { readonly generation: number; readonly atMs: number } | undefined };

/** Which database this is: none that is kept. */
export const memoryId = '0'.repeat(32);

export class MemoryUnlinked {
  readonly #unlinked = new Map<Digest, Unlinked>();
  readonly #linked: (digest: Digest) => boolean;
  readonly doomed: MemoryDoomed;
  #generation = 0;

  constructor(linked: (digest: Digest) => boolean) {
    this.#linked = linked;
    this.doomed = new MemoryDoomed({
      linked,
      next: () => ++this.#generation,
      tell: (digest, generation, atMs) => {
        this.#of(digest, atMs).told = { generation, atMs };
      },
      renew: (digest, generation) => {
        const known = this.#unlinked.get(digest);
        if (known?.told !== undefined) known.told = { ...known.told, generation };
      },
    });
  }

  lost(digests: Iterable<Digest>, nowMs: number): void {
    for (const digest of digests) {
      if (this.#linked(digest)) continue;
      this.#of(digest, nowMs);
      this.doomed.lost(digest, nowMs);
    }
  }

  link(digest: Digest, proof: number | undefined): number | undefined {
    const refused = this.doomed.refuses(digest, proof);
    if (refused !== undefined) return refused;
    const generation = this.#unlinked.get(digest)?.told?.generation;
    if (generation !== undefined && generation !== proof) return generation;
    this.#unlinked.delete(digest);
    this.doomed.saved(digest);
    return undefined;
  }

  referred(digests: Iterable<Digest>): void {
    for (const digest of digests) {
      if (this.#unlinked.get(digest)?.told === undefined) this.#unlinked.delete(digest);
      this.doomed.saved(digest);
    }
  }

  /** Whether it has none since then, or was condemned. */
  since(digest: Digest, beforeMs: number): boolean {
    const found = this.#unlinked.get(digest);
    return found !== undefined && (found.told !== undefined || found.sinceMs <= beforeMs);
  }

  among(digests: readonly Digest[]): UnlinkedReply {
    return { index: memoryId, unlinked: digests.filter((digest) => !this.#linked(digest)) };
  }

  condemn(digests: readonly Digest[], { nowMs, unlinkedMs }: CondemnAt): CondemnReply {
    for (const [digest, { told }] of this.#unlinked)
      if (told !== undefined && told.atMs < nowMs - condemnedMs) this.#unlinked.delete(digest);
    const generation = ++this.#generation;
    const condemned: Digest[] = [];
    let waiting = 0;
    for (const digest of new Set(digests)) {
      if (this.#linked(digest)) continue;
      const unlinked = this.#of(digest, nowMs);
      unlinked.sinceMs = Math.min(unlinked.sinceMs, nowMs);
      if (unlinked.told === undefined && nowMs - unlinked.sinceMs < unlinkedMs) {
        waiting += 1;
        continue;
      }
      unlinked.told = { generation, atMs: nowMs };
      this.doomed.told(digest, nowMs);
      condemned.push(digest);
    }
    return { index: memoryId, condemned, waiting };
  }

  #of(digest: Digest, nowMs: number): Unlinked {
    const known = this.#unlinked.get(digest) ?? { sinceMs: nowMs, told: undefined };
    this.#unlinked.set(digest, known);
    return known;
  }
}
