/**
 * Blobs that are whole here and that others own: their owners are told, until each holds them. What is on its way so is the
 * only copy in places where there is one.
 *
 * Rule: an owner holds a blob if it says so itself, owns it by its own list, and keeps it from then on.
 */

import { type NamedBlob, offeredMax } from '../../core/contracts/origin-repair.ts';
import type { Digest } from '../../core/digest.ts';
import type { PeerAddress } from '../../core/wire/messages.ts';
import type { CallContext } from '../../platform/clients/context.ts';
import type { BlobListing, HeldHere } from './listing.ts';
import type { OtherOrigin, RepairRing } from './ring.ts';

/** A walk through all that is here for each. */
const pageMax = 10_000;

export type SpareOptions = {
  readonly ring: RepairRing;
  readonly listing: BlobListing;
  readonly peer: PeerAddress;
  /** With what is owed to backends. */
  readonly named: (blobs: readonly HeldHere[]) => Promise<readonly NamedBlob[]>;
  /** Who is asked; undefined: an owner that cannot be. */
  readonly reach: (place: string) => OtherOrigin | undefined;
};

/** What is not on each of its owners, as it is found. */
export type EachUnsafe = (unsafe: readonly HeldHere[]) => Promise<void>;

/**
 * Asks whoever can be asked; who cannot holds nothing. Each that some owner does not hold is named. Resolves with the number of
 * all that only others own. `sample`: owners look at the bytes.
 */
export async function offerSpares(
  o: SpareOptions,
  { sample, each }: { readonly sample: boolean; readonly each: EachUnsafe },
  ctx: CallContext,
): Promise<number> {
  const { ring, listing } = o;
  let blobs = 0;
  const others = ({ digest }: HeldHere): boolean => !ring.owners(digest).includes(ring.self);
  for (let after: Digest | undefined; ; ) {
    const page = await listing.page(others, { after, max: pageMax });
    for (let at = 0; at < page.blobs.length; at += offeredMax) {
      ctx.signal.throwIfAborted();
      const batch = page.blobs.slice(at, at + offeredMax);
      const safe = await heldByOwners(o, { batch, sample }, ctx);
      blobs += batch.length;
      const unsafe = batch.filter(({ digest }) => !safe.has(digest));
      if (unsafe.length > 0) await each(unsafe);
    }
    after = page.blobs.at(-1)?.digest;
    if (!page.more || after === undefined) return blobs;
  }
}

/** Of the batch, offered to them, those that each owner holds. */
export async function heldByOwners(
  { ring, peer, named, reach }: Omit<SpareOptions, 'listing'>,
  { batch, sample }: { readonly batch: readonly HeldHere[]; readonly sample: boolean },
  ctx: CallContext,
): Promise<ReadonlySet<Digest>> {
  const ownersOf = new Map(batch.map(({ digest }) => [digest, ring.owners(digest)]));
  const places = new Set([...ownersOf.values()].flat());
  const blobs = await named(batch);
  const holders = new Map<string, ReadonlySet<Digest>>();
  const ask = async (place: string): Promise<void> => {
    const other = reach(place);
    if (other?.client === undefined) return;
    const theirs = blobs.filter(({ digest }) => ownersOf.get(digest)?.includes(place));
    const body = { place: ring.self, from: peer, blobs: theirs, ...(sample && { sample }) };
    holders.set(place, await other.client.offer(body, ctx));
  };
  // One that fails holds nothing, as far as we know.
  await Promise.allSettled([...places].map(ask));
  const safe = (owners: readonly string[], digest: Digest): boolean =>
    owners.length > 0 && owners.every((place) => holders.get(place)?.has(digest) === true);
  return new Set([...ownersOf].filter(([digest, owners]) => safe(owners, digest)).map(([digest]) => digest));
}
