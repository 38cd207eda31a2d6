/**
 * What is whole here, walked through in the order of digests, or summed up for comparing with others.
 *
 * Rule 1: no list of everything is made: a page keeps what it answers and as much again, whatever is here.
 * Rule 2: a walk gives way to everything else every few hundred blobs.
 * Rule 3: questions that come at the same time, or just after another, share one walk.
 */

import type { Digest } from '../../core/digest.ts';
import type { Metainfo } from '../../core/piece.ts';
import { type BucketMask, bucketOf, inMask, orderOf, Sums } from '../../core/repair/sums.ts';
import type { Time } from '../../platform/net/clock.ts';
import type { RepairRing } from './ring.ts';

/** Looked at in one go: below a millisecond. */
const sliceBlobs = 500;
/** Sums serve whoever asks within this: all others ask at about the same time, after the same change. */
export const sumsFreshMs = 2_000;

export type HeldHere = { readonly digest: Digest; readonly meta: Metainfo };
export type HeldHerePage = { readonly blobs: readonly HeldHere[]; readonly more: boolean };
export type PageAsked = {
  /** Only these buckets. */
  readonly mask?: BucketMask | undefined;
  readonly after: Digest | undefined;
  readonly max: number;
};

export type ListingOptions = {
  /** Of the store; walked while the store changes. */
  readonly blobs: () => Iterable<HeldHere & { readonly complete: boolean }>;
  readonly ring: RepairRing;
  readonly clock: Time;
  /** Lets everything else run. */
  readonly breathe: () => Promise<void>;
};

type Walk = { readonly begunMs: number; readonly sums: Promise<ReadonlyMap<string, Sums>> };

export class BlobListing {
  readonly #o: ListingOptions;
  #walk: Walk | undefined;

  constructor(options: ListingOptions) {
    this.#o = options;
  }

  /** The ring has changed, or what is here has. */
  forget(): void {
    this.#walk = undefined;
  }

  /** By place: of what is whole here of the blobs that it and this origin own. */
  sums(): Promise<ReadonlyMap<string, Sums>> {
    const nowMs = this.#o.clock.nowMs();
    if (this.#walk === undefined || nowMs - this.#walk.begunMs > sumsFreshMs)
      this.#walk = { begunMs: nowMs, sums: this.#sum() };
    return this.#walk.sums;
  }

  /** Whether the blob is owned by this origin and by `place`. */
  shares(place: string, { digest }: HeldHere): boolean {
    const owners = this.#o.ring.owners(digest);
    return owners.includes(place) && owners.includes(this.#o.ring.self);
  }

  /** The first ones after `after` that are whole here and for which `of` says yes. `more`: there may be more. */
  async page(of: (blob: HeldHere) => boolean, { mask, after, max }: PageAsked): Promise<HeldHerePage> {
    const from = after === undefined ? '' : orderOf(after);
    let kept: HeldHere[] = [];
    let limit: string | undefined;
    await this.#each((blob) => {
      if (mask !== undefined && !inMask(mask, bucketOf(blob.digest))) return;
      const order = orderOf(blob.digest);
      if (order <= from || (limit !== undefined && order > limit) || !of(blob)) return;
      kept.push({ digest: blob.digest, meta: blob.meta });
      if (kept.length <= 2 * max) return;
      kept = inOrder(kept).slice(0, max + 1);
      limit = orderOf((kept[max] as HeldHere).digest);
    });
    kept = inOrder(kept);
    return { blobs: kept.slice(0, max), more: kept.length > max };
  }

  async #sum(): Promise<ReadonlyMap<string, Sums>> {
    const { ring } = this.#o;
    const sums = new Map<string, Sums>();
    await this.#each(({ digest }) => {
      const owners = ring.owners(digest);
      if (!owners.includes(ring.self)) return;
      for (const place of owners) {
        if (place === ring.self) continue;
        const of = sums.get(place) ?? new Sums();
        sums.set(place, of);
        of.add(digest);
      }
    });
    return sums;
  }

  async #each(visit: (blob: HeldHere) => void): Promise<void> {
    let looked = 0;
    for (const blob of this.#o.blobs()) {
      if (++looked % sliceBlobs === 0) await this.#o.breathe();
      if (blob.complete) visit(blob);
    }
  }
}

function inOrder(blobs: readonly HeldHere[]): HeldHere[] {
  return blobs.toSorted((a, b) => (orderOf(a.digest) < orderOf(b.digest) ? -1 : 1));
}
