/** Questions of one origin to another about what both should hold: core/contracts/origin-repair.ts as methods. */

import { type NamedBlob, REPAIR, type SharedPage } from '../../core/contracts/origin-repair.ts';
import type { Digest } from '../../core/digest.ts';
import { type BucketMask, Sums } from '../../core/repair/sums.ts';
import type { PeerAddress } from '../../core/wire/messages.ts';
import type { CallContext } from './context.ts';
import type { HttpClient } from './http.ts';

/** It walks through all that it has for the answer, in small steps: a million blobs on a busy machine. */
const walkMsMax = 120_000;
const walks = { stallMs: walkMsMax, watched: true, tries: 1 } as const;

export type RepairOffer = {
  /** Of who offers. */
  readonly place: string;
  readonly from: PeerAddress;
  readonly blobs: readonly NamedBlob[];
  readonly sample?: boolean | undefined;
};

export class RepairClient {
  readonly #http: HttpClient;

  constructor(http: HttpClient) {
    this.#http = http;
  }

  /** Of what it holds of the blobs that it and `place` own. Throws NOT_FOUND where it is of the release before. */
  async sums(place: string, ctx: CallContext): Promise<{ readonly peer: PeerAddress; readonly sums: Sums }> {
    const answer = await this.#http.json('POST', REPAIR.sums.path({}), { ctx, body: { place }, ...walks });
    const { peer, sums } = REPAIR.sums.reply(answer, this.#http.base);
    return { peer, sums: Sums.of(Buffer.from(sums, 'base64')) ?? new Sums() };
  }

  /** The same by name, of these buckets, after `after` in the order of digests. */
  async shared(
    { place, mask, after }: { readonly place: string; readonly mask: BucketMask; readonly after: Digest | undefined },
    ctx: CallContext,
  ): Promise<SharedPage> {
    const body = { place, buckets: Buffer.from(mask).toString('base64'), after };
    return REPAIR.shared.reply(
      await this.#http.json('POST', REPAIR.shared.path({}), { ctx, body, ...walks }),
      this.#http.base,
    );
  }

  /** Which of the offered blobs it holds whole, owns, and keeps. */
  async offer(body: RepairOffer, ctx: CallContext): Promise<ReadonlySet<Digest>> {
    const answer = await this.#http.json('POST', REPAIR.offer.path({}), { ctx, body, ...walks });
    return new Set(REPAIR.offer.reply(answer, this.#http.base).held);
  }
}
