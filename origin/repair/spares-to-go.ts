/**
 * Which of the copies here that only others own may go when room is needed: those that each of their owners has.
 *
 * Rule 1: an owner has a blob if it says so now, after a look at its bytes, and keeps it from then on. One that does not
 *         answer, drains, or does not count itself among the owners by its own list, has not: the copy stays.
 * Rule 2: how many owners there are is asked of the index anew, where there is one: a rule that it was not heard of yet may want
 *         this copy. No answer: it stays.
 * Rule 3: what is an owner's here when all have answered stays: the members may be others by then.
 * Rule 4: few at a time, as each costs its owners a look at the disk; what was not on all of them is left alone for a while.
 */

import { ApiError } from '../../core/contracts/errors.ts';
import type { Digest } from '../../core/digest.ts';
import { CallContext } from '../../platform/clients/context.ts';
import type { Time } from '../../platform/net/clock.ts';
import type { HeldHere } from './listing.ts';
import type { RepairRing } from './ring.ts';
import { heldByOwners, type SpareOptions } from './spare.ts';

/** Of one question of the store. */
const askedMax = 16;
/** Below the time after which the store does not act on an answer any more (store/room/let-go.ts). */
const answerMsMax = 2_000;
const leftAloneMs = 60_000;
/** About 100 bytes each; beyond it the oldest are asked of again. */
const leftAloneMax = 10_000;

export type SparesToGoOptions = Omit<SpareOptions, 'listing'> & {
  readonly ring: RepairRing;
  /** Undefined: it is not whole here. */
  readonly find: (digest: Digest) => HeldHere | undefined;
  /** How many are to own each, as the index says now (0: it does not say). Undefined: no index is configured. */
  readonly counts: ((digests: readonly Digest[], ctx: CallContext) => Promise<readonly number[]>) | undefined;
  /** It is known already that some owner lacks it. */
  readonly underReplicated: (digest: Digest) => boolean;
  readonly leaving: () => boolean;
  readonly clock: Time;
};

export class SparesToGo {
  readonly #o: SparesToGoOptions;
  /** Since when. */
  readonly #leftAlone = new Map<Digest, number>();

  constructor(options: SparesToGoOptions) {
    this.#o = options;
  }

  /** Of `digests`, those that may go now. Never rejects. */
  async of(digests: readonly Digest[], signal: AbortSignal): Promise<readonly Digest[]> {
    const { ring, find, underReplicated, leaving } = this.#o;
    // One that drains keeps what it has until it may be switched off.
    if (leaving() || ring.others().length === 0) return [];
    const spares: HeldHere[] = [];
    for (const digest of digests) {
      if (spares.length === askedMax) break;
      const held = this.#spare(digest) && !underReplicated(digest) && !this.#isLeftAlone(digest) && find(digest);
      if (held) spares.push(held);
    }
    if (spares.length === 0) return [];
    try {
      const late = AbortSignal.any([signal, AbortSignal.timeout(answerMsMax)]);
      return await this.#safe(spares, CallContext.begin({ signal: late }));
    } catch (error) {
      if (!(error instanceof ApiError) && !signal.aborted && !isTimeout(error)) throw error;
      return [];
    }
  }

  async #safe(spares: readonly HeldHere[], ctx: CallContext): Promise<readonly Digest[]> {
    const { counts, ring, clock } = this.#o;
    const told = await counts?.(
      spares.map(({ digest }) => digest),
      ctx,
    );
    const wanted = new Map(spares.map(({ digest }, no) => [digest, told?.[no] ?? 0]));
    const batch = spares.filter(({ digest }) => this.#spare(digest, wanted.get(digest)));
    const owners = (digest: Digest): readonly string[] => ring.owners(digest, wanted.get(digest));
    const safe = await heldByOwners({ ...this.#o, ring: { ...ring, owners } }, { batch, sample: true }, ctx);
    for (const { digest } of batch) if (!safe.has(digest)) this.#leaveAlone(digest, clock.nowMs());
    return [...safe].filter((digest) => this.#spare(digest, wanted.get(digest)));
  }

  #spare(digest: Digest, wanted = 0): boolean {
    const { ring } = this.#o;
    return !ring.owners(digest, wanted).includes(ring.self);
  }

  #isLeftAlone(digest: Digest): boolean {
    return this.#o.clock.nowMs() - (this.#leftAlone.get(digest) ?? Number.NEGATIVE_INFINITY) < leftAloneMs;
  }

  #leaveAlone(digest: Digest, nowMs: number): void {
    this.#leftAlone.delete(digest);
    this.#leftAlone.set(digest, nowMs);
    for (const oldest of this.#leftAlone.keys()) {
      if (this.#leftAlone.size <= leftAloneMax) return;
      this.#leftAlone.delete(oldest);
    }
  }
}

function isTimeout(error: unknown): boolean {
  return error instanceof Error && error.name === 'TimeoutError';
}
