/**
 * What a store that keeps may remove to make room: whole blobs that somebody else, asked each time, says nobody needs.
 *
 * Rule 1: an answer counts for `answerMs` from the question on, and is acted on in one synchronous step: only what has
 *   been neither claimed nor pinned since it was asked about goes. Whoever claims a blob may rely on that.
 * Rule 2: no answer: nothing goes.
 * Rule 3: the least recently used are asked about first, `batchMax` at a time; one round at a time, whoever waits for it.
 * Rule 4: what was claimed is not asked about for `claimMs`: that spares pushes a detour, nothing depends on it.
 * Rule 5: a damaged blob takes as much room as a whole one, and goes as one: that it is to be mended keeps nothing here.
 */

import type { Digest } from '../../../core/digest.ts';

export type UnneededAnswer = {
  /** Nobody needs these: they may go now. */
  readonly unneeded: readonly Digest[];
  /** So many more may go in a while. */
  readonly waiting: number;
};

/** Asks which of `digests` nobody needs any more. Rejects where there is no answer in `answerMs`, by whose signal it ends. */
export type AskUnneeded = (digests: readonly Digest[], signal: AbortSignal) => Promise<UnneededAnswer>;

export type LetGoHost = {
  readonly ask: AskUnneeded;
  readonly nowMs: () => number;
  /** Blobs that are or were whole here and that nobody uses, least recently used first; they may change meanwhile. */
  readonly candidates: (volume?: number) => Iterable<Digest>;
  /** Whether it is one now. */
  readonly mayGo: (digest: Digest) => boolean;
  /** Where it still is one: uncounts it at once, and removes it. Whoever was mending it does so no longer. */
  readonly release: (digest: Digest) => { readonly bytes: number; readonly gone: Promise<void> } | undefined;
};

/** What went by one question. `failure`: why nothing could. */
type LetGoOutcome = {
  readonly blobs: number;
  readonly bytes: number;
  readonly waiting: number;
  readonly failure?: string | undefined;
};

export const noneGone: LetGoOutcome = { blobs: 0, bytes: 0, waiting: 0 };

/** Who is asked answers from a database: what takes longer is too old to act on. */
export const answerMs = 3_000;
/** In one question. */
export const batchMax = 500;
/** More is removed than was asked for: uploads ask for room slot by slot. */
export const atLeastBytes = 64 * 1024 * 1024;
/** After a round in vain nobody asks again for so long. */
export const againMs = 5_000;
/** A push is linked one call after its commit. Where that takes longer it has to be proved, and is among the last to go. */
export const claimMs = 5_000;

type Round = { readonly gone: Promise<void>[]; freed: number; waiting: number; failure: string | undefined };

export class LetGo {
  readonly #host: LetGoHost;
  /** When a blob was claimed last, the earliest first. */
  readonly #claimed = new Map<Digest, number>();
  /** Of the question that is open: what was claimed since it was put. */
  #claimedSince: Set<Digest> | undefined;
  #round: Promise<number> | undefined;
  #vainUntilMs = Number.NEGATIVE_INFINITY;
  #why = '';

  constructor(host: LetGoHost) {
    this.#host = host;
  }

  /** Why the last round removed nothing. */
  get why(): string {
    return this.#why;
  }

  /** It was pushed, or somebody relies on it: no answer that is on its way counts for it. */
  claim(digest: Digest): void {
    this.#claimedSince?.add(digest);
    this.#claimed.delete(digest);
    this.#claimed.set(digest, this.#host.nowMs());
  }

  /** It is here anew: an answer that is on its way is about another one. */
  came(digest: Digest): void {
    this.#claimedSince?.add(digest);
  }

  /** Removes `bytes` or more, if it can, of one volume where that is named. False: nothing went. */
  async make(bytes: number, volume?: number): Promise<boolean> {
    if (this.#round === undefined && this.#host.nowMs() < this.#vainUntilMs) return false;
    this.#round ??= this.#run(Math.max(bytes, atLeastBytes), volume).finally(() => {
      this.#round = undefined;
    });
    return (await this.#round) > 0;
  }

  /** Of `digests`, at most `batchMax`, removes what may go. Why others stayed. */
  async those(digests: readonly Digest[]): Promise<string> {
    const { failure, waiting } = await this.by(digests, this.#host.ask);
    return failure ?? reasonOf(waiting);
  }

  /** The same by somebody else's word. */
  async by(digests: readonly Digest[], ask: AskUnneeded): Promise<LetGoOutcome> {
    while (this.#round !== undefined) await this.#round;
    this.#forgetClaims();
    const batch = digests.filter((digest) => !this.#claimed.has(digest) && this.#host.mayGo(digest));
    const round: Round = { gone: [], freed: 0, waiting: 0, failure: undefined };
    if (batch.length === 0) return noneGone;
    this.#round = this.#askAndAct(batch, round, ask)
      .then(() => Promise.all(round.gone))
      .then(() => round.freed)
      .finally(() => {
        this.#round = undefined;
      });
    await this.#round;
    const { gone, freed, waiting, failure } = round;
    return { blobs: gone.length, bytes: freed, waiting, failure };
  }

  async #run(bytes: number, volume: number | undefined): Promise<number> {
    this.#forgetClaims();
    const round: Round = { gone: [], freed: 0, waiting: 0, failure: undefined };
    let batch: Digest[] = [];
    for (const digest of this.#host.candidates(volume)) {
      if (!this.#claimed.has(digest)) batch.push(digest);
      if (batch.length < batchMax) continue;
      await this.#askAndAct(batch, round);
      batch = [];
      if (round.freed >= bytes || round.failure !== undefined) break;
    }
    if (batch.length > 0) await this.#askAndAct(batch, round);
    await Promise.all(round.gone);
    if (round.gone.length > 0) return Math.max(1, round.freed);
    this.#vainUntilMs = this.#host.nowMs() + againMs;
    this.#why = round.failure ?? reasonOf(round.waiting);
    return 0;
  }

  async #askAndAct(digests: readonly Digest[], round: Round, ask = this.#host.ask): Promise<void> {
    const { nowMs } = this.#host;
    const since = new Set<Digest>();
    this.#claimedSince = since;
    const askedMs = nowMs();
    const late = AbortSignal.timeout(answerMs);
    try {
      const { unneeded, waiting } = await ask(digests, late);
      // From here to the last one that goes nothing else runs: nobody can claim one in between.
      if (nowMs() - askedMs > answerMs) round.failure = 'the answer came too late to act on';
      else this.#act(digests, new Set(unneeded).difference(since), round);
      round.waiting += waiting;
    } catch (error) {
      round.failure = late.aborted ? `no answer within ${answerMs / 1000} s` : (error as Error).message;
    } finally {
      this.#claimedSince = undefined;
    }
  }

  #act(digests: readonly Digest[], named: ReadonlySet<Digest>, round: Round): void {
    for (const digest of digests) {
      const released = named.has(digest) ? this.#host.release(digest) : undefined;
      if (released === undefined) continue;
      round.freed += released.bytes;
      round.gone.push(released.gone);
    }
  }

  /** What was claimed long enough ago. */
  #forgetClaims(): void {
    const before = this.#host.nowMs() - claimMs;
    for (const [digest, atMs] of this.#claimed) {
      if (atMs > before) break;
      this.#claimed.delete(digest);
    }
  }
}

function reasonOf(waiting: number): string {
  return waiting > 0
    ? `nothing links to ${waiting} of the blobs here, but not for long enough yet: try again later`
    : 'something links to every blob here, or it was pushed just now';
}
