/**
 * What this origin and the others that own the same blobs hold, side by side, in the order of digests: only where their sums
 * differ, a page of each at a time.
 */

import type { NamedBlob } from '../../core/contracts/origin-repair.ts';
import type { Digest } from '../../core/digest.ts';
import { type BucketMask, bucketOf, eitherMask, inMask, orderOf } from '../../core/repair/sums.ts';
import type { PeerAddress } from '../../core/wire/messages.ts';
import type { BlobListing } from './listing.ts';
import type { RepairRing } from './ring.ts';

/** Of our own: a page costs a walk through all that is here. About 250 bytes each. */
const ownPageMax = 10_000;

type Page = { readonly blobs: readonly NamedBlob[]; readonly more: boolean };

/** Another origin that answered with its sums. */
export type CoOwner = {
  readonly place: string;
  readonly peer: PeerAddress;
  /** Buckets in which it holds something else than this origin, of what both own. */
  readonly mask: BucketMask;
  readonly page: (after: Digest | undefined) => Promise<Page>;
};

/** One blob that not all owners hold, as far as they answered. */
export type Difference = NamedBlob & {
  readonly here: boolean;
  readonly holders: readonly CoOwner[];
  /** Owners that answered and do not hold it, this origin not counted. */
  readonly lackers: readonly CoOwner[];
};

export async function* differences(
  { ring, listing }: { readonly ring: RepairRing; readonly listing: BlobListing },
  sides: readonly CoOwner[],
): AsyncGenerator<Difference> {
  const mask = eitherMask(sides.map((side) => side.mask));
  const shared = ({ digest }: { digest: Digest }): boolean => {
    const owners = ring.owners(digest);
    return owners.includes(ring.self) && sides.some(({ place }) => owners.includes(place));
  };
  const own = new Reading((after) => listing.page(shared, { mask, after, max: ownPageMax }));
  const theirs = sides.map((side) => ({ side, reading: new Reading(side.page) }));
  for (;;) {
    const heads = await Promise.all([own, ...theirs.map(({ reading }) => reading)].map((reading) => reading.head()));
    const first = heads.reduce((least, head) => (before(head, least) ? head : least), undefined);
    if (first === undefined) return;
    const { digest } = first;
    const here = own.take(digest) !== undefined;
    const named = new Map(theirs.map(({ side, reading }) => [side, reading.take(digest)]));
    const told = Math.max(0, ...[...named.values()].map((one) => one?.owners ?? 0));
    const owners = ring.owners(digest, told);
    // Lists differ for a while: what is not ours to hold is not ours to judge.
    if (!owners.includes(ring.self)) continue;
    const asked = sides.filter(({ place }) => owners.includes(place));
    const holds = (side: CoOwner): boolean =>
      inMask(side.mask, bucketOf(digest)) ? named.get(side) !== undefined : here;
    const [holders, lackers] = [asked.filter(holds), asked.filter((side) => !holds(side))];
    if (here && lackers.length === 0) continue;
    yield { ...merged(first, [...named.values()]), ...(told > 0 && { owners: told }), here, holders, lackers };
  }
}

function before(one: NamedBlob | undefined, two: NamedBlob | undefined): boolean {
  return one !== undefined && (two === undefined || orderOf(one.digest) < orderOf(two.digest));
}

/** With whatever any of them still owes a backend. */
function merged({ digest, meta }: NamedBlob, named: readonly (NamedBlob | undefined)[]): NamedBlob {
  const owed = [...new Set(named.flatMap((one) => one?.owed ?? []))];
  return { digest, meta, ...(owed.length > 0 && { owed }) };
}

/** Pages one after the other. One that begins again where it was ends the reading: it would never. */
class Reading {
  readonly #page: (after: Digest | undefined) => Promise<Page>;
  #blobs: readonly NamedBlob[] = [];
  #at = 0;
  #more = true;
  #last: Digest | undefined;

  constructor(page: (after: Digest | undefined) => Promise<Page>) {
    this.#page = page;
  }

  async head(): Promise<NamedBlob | undefined> {
    if (this.#at >= this.#blobs.length && this.#more) {
      const { blobs, more } = await this.#page(this.#last);
      const from = this.#last === undefined ? '' : orderOf(this.#last);
      this.#blobs = blobs.filter(({ digest }) => orderOf(digest) > from);
      this.#at = 0;
      this.#more = more && this.#blobs.length > 0;
      this.#last = this.#blobs.at(-1)?.digest;
    }
    return this.#blobs[this.#at];
  }

  /** Its head, if that is `digest`; the next one is next. */
  take(digest: Digest): NamedBlob | undefined {
    const head = this.#blobs[this.#at];
    if (head?.digest !== digest) return undefined;
    this.#at++;
    return head;
  }
}
