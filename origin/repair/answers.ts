/** What this origin answers others that compare with it, or that hold what it owns (core/contracts/origin-repair.ts). */

import { type NamedBlob, namedMax, type SharedPage } from '../../core/contracts/origin-repair.ts';
import type { Digest } from '../../core/digest.ts';
import type { BucketMask, Sums } from '../../core/repair/sums.ts';
import type { PeerAddress } from '../../core/wire/messages.ts';
import type { RepairOffer } from '../../platform/clients/origin-repair.ts';
import type { Want } from './fetching.ts';
import type { BlobListing, HeldHere } from './listing.ts';
import type { RepairRing } from './ring.ts';

export type AnswersOptions = {
  readonly ring: RepairRing;
  readonly listing: BlobListing;
  readonly peer: PeerAddress;
  /** With what is owed to backends. */
  readonly named: (blobs: readonly HeldHere[]) => Promise<readonly NamedBlob[]>;
  /** Whether it is whole here; kept from now on if so. `sample`: as far as a look at its bytes shows. */
  readonly keeps: (digest: Digest, sample: boolean) => Promise<boolean>;
  readonly want: (want: Want) => void;
  /** This origin is about to leave: it takes nothing over. */
  readonly leaving: () => boolean;
};

export class RepairAnswers {
  readonly #o: AnswersOptions;

  constructor(options: AnswersOptions) {
    this.#o = options;
  }

  async sums(place: string): Promise<{ readonly peer: PeerAddress; readonly sums: Sums | undefined }> {
    return { peer: this.#o.peer, sums: (await this.#o.listing.sums()).get(place) };
  }

  async shared(place: string, mask: BucketMask, after: Digest | undefined): Promise<SharedPage> {
    const { listing, named } = this.#o;
    const page = await listing.page((blob) => listing.shares(place, blob), { mask, after, max: namedMax });
    return { blobs: await named(page.blobs), more: page.more };
  }

  /** Of what is offered, what is ours and here; what is ours and not here is fetched by and by. */
  async offered({ from, blobs, sample = false }: RepairOffer): Promise<Digest[]> {
    const { ring, keeps, want, leaving } = this.#o;
    const ours = leaving() ? [] : blobs.filter(({ digest, owners }) => ring.owners(digest, owners).includes(ring.self));
    const held: Digest[] = [];
    for (const blob of ours) {
      if (await keeps(blob.digest, sample)) held.push(blob.digest);
      else want({ ...blob, from: [from], copies: 0 });
    }
    return held;
  }
}
