/**
 * Sees to it that the owners of a blob, by rendezvous hash, hold it.
 *
 * An upload lands on the origins of its upload id, since the client names the digest last. These
 * offer the blob to the digest's owners until each of them says that it holds it. Meanwhile an
 * origin that does not own the blob announces it to the trackers, so that it can be found.
 *
 * Rule 1: an owner is asked again, with back-off, until it holds the blob or the blob is removed, for about a minute; what is
 *         left then, and what a restart forgets, is found by comparing (repair/).
 * Rule 2: what a backend is still owed goes along with the blob: each copy has the promise beside it, so that one that is
 *         left alone by the loss of others keeps it.
 * Rule 3: at most `asksMax` calls at a time, however many blobs are waiting.
 */

import type { FetchRequest } from '../core/contracts/origin.ts';
import type { Digest } from '../core/digest.ts';
import { backoffMs } from '../core/retry/retry.ts';
import type { PeerAddress } from '../core/wire/messages.ts';
import { CallContext } from '../platform/clients/context.ts';
import type { Tracking } from '../platform/clients/tracking.ts';
import type { BlobEntry } from '../platform/store/store.ts';
import type { Logger } from '../platform/telemetry/log.ts';

export const asksMax = 8;
/** Blobs on their way to their owners; about 300 bytes each. */
export const offeredBlobsMax = 10_000;
/** Of one owner: some 70 s. */
export const attemptsMax = 10;
/** An owner that pulls it needs a while; one that is down, longer. */
export const askAgain = { delayMs: 250, delayMsMax: 30_000 };

/** Asks the origin of that id to take a blob over; true once it holds it. */
export type Ask = (id: string, digest: Digest, request: FetchRequest, ctx: CallContext) => Promise<boolean>;

export type HandoverOptions = {
  /** All origins of the cluster: whose a blob is. */
  readonly origins: {
    owners(digest: Digest, count: number): readonly { readonly id: string }[];
    owns(digest: Digest, id: string, count: number): boolean;
  };
  /** This origin's id among them. */
  readonly self: string;
  /** How many owners a blob has. */
  readonly replicas: (digest: Digest) => number;
  readonly peer: PeerAddress;
  /** Also one that lacks pieces, which are being fetched again. */
  readonly find: (digest: Digest) => BlobEntry | undefined;
  /** It was whole when it was offered, and is not now: sees to it that it comes back. Often is as good as once. */
  readonly mend: (entry: BlobEntry) => void;
  readonly ask: Ask;
  /** What this origin was promised to write to a backend and has not: whoever takes the blob over is told. Absent: no backend. */
  readonly owed?: ((digest: Digest) => Promise<readonly string[]>) | undefined;
  readonly tracking: Pick<Tracking, 'set' | 'unset'>;
  readonly log: Logger;
};

type Offered = Pick<BlobEntry, 'digest' | 'meta' | 'complete'>;
type Offer = { readonly digest: Digest; readonly owner: string; readonly ctx: CallContext; attempts: number };

export class Handover {
  readonly #options: HandoverOptions;
  readonly #due: Offer[] = [];
  readonly #timers = new Set<NodeJS.Timeout>();
  /** Owners that have yet to hold a blob. */
  readonly #waiting = new Map<Digest, Set<string>>();
  /** Some blob is left to be found by comparing. */
  left: () => void = () => undefined;
  #asking = 0;
  #closed = false;

  constructor(options: HandoverOptions) {
    this.#options = options;
  }

  /** Blobs that came here and were to be offered, since the start. */
  offered = 0;

  /** Blobs that some owner does not hold yet, as far as known. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** The blob is here, synced: offer it to its owners, on behalf of the call that brought it. */
  offer(entry: Offered, call: CallContext = CallContext.begin()): void {
    const { origins, self, replicas, tracking } = this.#options;
    const owners = origins.owners(entry.digest, replicas(entry.digest)).map(({ id }) => id);
    this.offered++;
    const others = owners.filter((owner) => owner !== self);
    if (others.length === 0 || this.#waiting.has(entry.digest)) return;
    if (this.#waiting.size >= offeredBlobsMax) return this.left();
    this.#waiting.set(entry.digest, new Set(others));
    if (!owners.includes(self)) tracking.set(entry.digest, 'have', entry.meta);
    const ctx = call.detached();
    for (const owner of others) this.#due.push({ digest: entry.digest, owner, ctx, attempts: 0 });
    this.#go();
  }

  /** More origins own it than did. */
  more(digest: Digest): void {
    this.#waiting.delete(digest);
    const entry = this.#options.find(digest);
    if (entry?.complete === true) this.offer(entry);
  }

  /** Whether some owner does not hold it yet. */
  waits(digest: Digest): boolean {
    return this.#waiting.has(digest);
  }

  /** The members are others: what is on its way may have other owners. */
  relist(): void {
    for (const digest of [...this.#waiting.keys()]) {
      this.#waiting.delete(digest);
      const entry = this.#options.find(digest);
      if (entry === undefined) this.#options.tracking.unset(digest);
      else this.offer(entry);
    }
  }

  /** The blob was removed: nobody needs to take it over. */
  forget(digest: Digest): void {
    if (this.#waiting.delete(digest)) this.#options.tracking.unset(digest);
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }

  #go(): void {
    while (!this.#closed && this.#asking < asksMax) {
      const offer = this.#due.shift();
      if (offer === undefined) return;
      this.#asking++;
      void this.#make(offer).finally(() => {
        this.#asking--;
        this.#go();
      });
    }
  }

  async #make(offer: Offer): Promise<void> {
    const { find, ask, peer, log, origins, replicas } = this.#options;
    const { digest, owner, ctx } = offer;
    const entry = find(digest);
    if (entry === undefined) {
      // Whoever removed it told the trackers; a pull of it that has begun since is not ours to end.
      this.#waiting.delete(digest);
      return;
    }
    if (!entry.complete) {
      this.#options.mend(entry);
      return this.#again(offer);
    }
    // The list is another one than it was (relist).
    if (!this.#waiting.get(digest)?.has(owner) || !origins.owns(digest, owner, replicas(digest))) return;
    try {
      const owed = this.#options.owed === undefined ? [] : await this.#options.owed(digest);
      const request = { from: peer, meta: entry.meta, ...(owed.length > 0 && { owed }) };
      if (await ask(owner, digest, request, ctx)) return this.#done(offer);
    } catch (error) {
      log.debug({ ...ctx.ids, digest, owner, why: (error as Error).message }, 'hand-over: owner asked in vain');
    }
    this.#again(offer);
  }

  #again(offer: Offer): void {
    if (this.#closed) return;
    offer.attempts++;
    if (offer.attempts >= attemptsMax) {
      this.forget(offer.digest);
      return this.left();
    }
    const timer = setTimeout(
      () => {
        this.#timers.delete(timer);
        this.#due.push(offer);
        this.#go();
      },
      backoffMs(askAgain, offer.attempts),
    );
    this.#timers.add(timer);
  }

  #done({ digest, owner }: Offer): void {
    const { origins, self, replicas, find, tracking, log } = this.#options;
    const left = this.#waiting.get(digest);
    left?.delete(owner);
    if (left === undefined || left.size > 0) return;
    this.#waiting.delete(digest);
    // What is being mended is wanted, whoever else holds it.
    if (!origins.owns(digest, self, replicas(digest)) && find(digest)?.complete) tracking.unset(digest);
    log.info({ digest }, 'hand-over: every owner holds the blob');
  }
}
