/**
 * When a tracker is asked again how far a blob is that an origin still receives: often at first, when a reader waits
 * for its first byte, later each time that the blob has got older by a share of its age; sooner where somebody is known
 * to be further, since then the answer is worth something; and when it should be whole, as it has gone so far, or a
 * neighbour says so.
 *
 * Rule: never more often than `refreshMsMin`, save in the first second.
 */

import type { Digest } from '../digest.ts';
import { type Growth, pieceCount } from '../piece.ts';

/** Ten times a second at most: a tracker carries a hundred thousand of these a second and core. */
const refreshMsMin = 100;
/** Of a blob's age since we heard of it: what comes later than it could does so by this share of the whole at most. */
const share = 0.05;
/** Readers are served as it grows, and clients give up on what does not move for some tens of seconds. */
const refreshMsMax = 2_000;
/** The same where somebody is further. */
const hurriedShare = 0.02;
const hurriedMsMax = 1_000;
/** In the first second; and in the first of those in which only the last piece is not known, which comes when all is right. */
const youngMs = 1_000;
const youngMsMin = 30;
const youngShare = 0.35;
/** Who is whole has told its trackers by then: an origin's news wait 10 ms for others, and go one way. */
const wholeMs = 12;

type Refresh = {
  /** When it was heard of; then, when all but the last piece was known, or somebody was whole. */
  sinceMs: number;
  near: boolean;
  whole: boolean;
  askedMs: number;
  hurried: boolean;
  dueMs: number;
  /** How much was known first, and when; and when all will be, if it goes on like that. */
  first: { readonly atMs: number; readonly known: number } | undefined;
  endMs: number;
};

export class Refreshes {
  readonly #of = new Map<Digest, Refresh>();

  get deadlineMs(): number {
    let deadlineMs = Number.POSITIVE_INFINITY;
    for (const { dueMs } of this.#of.values()) deadlineMs = Math.min(deadlineMs, dueMs);
    return deadlineMs;
  }

  has(digest: Digest): boolean {
    return this.#of.has(digest);
  }

  /** It grows, whoever said so. */
  begin(digest: Digest, nowMs: number): void {
    if (this.#of.has(digest)) return;
    const unknown = { near: false, whole: false, first: undefined, endMs: Number.POSITIVE_INFINITY };
    const refresh: Refresh = { sinceMs: nowMs, askedMs: nowMs, hurried: false, dueMs: 0, ...unknown };
    this.#of.set(digest, refresh);
    this.#schedule(refresh, 1);
  }

  /** A tracker told of it: again after a while. `unit` in [0, 1) spreads hosts that began together. */
  told(digest: Digest, growth: Growth, at: { readonly nowMs: number; readonly unit: number }): void {
    const { nowMs, unit } = at;
    this.begin(digest, nowMs);
    const refresh = this.#of.get(digest) as Refresh;
    refresh.hurried = false;
    if (!refresh.near && growth.known >= pieceCount(growth) - 1) {
      refresh.near = true;
      refresh.sinceMs = nowMs;
    }
    const { first } = refresh;
    if (first === undefined) refresh.first = { atMs: nowMs, known: growth.known };
    else if (growth.known > first.known) {
      const perMs = (growth.known - first.known) / (nowMs - first.atMs);
      refresh.endMs = nowMs + (pieceCount(growth) - growth.known) / perMs;
    }
    this.#schedule(refresh, 0.8 + 0.2 * unit);
  }

  /** Somebody is further than we know. */
  hurry(digest: Digest, nowMs: number): void {
    const refresh = this.#of.get(digest);
    if (refresh === undefined || refresh.hurried) return;
    refresh.hurried = true;
    this.#schedule(refresh, 1);
    refresh.dueMs = Math.max(refresh.dueMs, nowMs);
  }

  /** Somebody says to have all of it: only the tracker's word is lacking. Believed once: it may lie. */
  whole(digest: Digest, nowMs: number): void {
    const refresh = this.#of.get(digest);
    if (refresh === undefined || refresh.whole) return;
    refresh.whole = true;
    refresh.near = true;
    refresh.sinceMs = nowMs;
    refresh.dueMs = Math.min(refresh.dueMs, nowMs + wholeMs);
  }

  end(digest: Digest): void {
    this.#of.delete(digest);
  }

  clear(): void {
    this.#of.clear();
  }

  /** Those to ask for now; each counts as asked. */
  take(nowMs: number): Digest[] {
    const due: Digest[] = [];
    for (const [digest, refresh] of this.#of) {
      if (refresh.dueMs > nowMs) continue;
      due.push(digest);
      refresh.askedMs = nowMs;
      this.#schedule(refresh, 1);
    }
    return due;
  }

  #schedule(refresh: Refresh, jitter: number): void {
    const { askedMs, sinceMs, endMs, hurried } = refresh;
    const dueMs = askedMs + everyMs(Math.max(0, askedMs - sinceMs), hurried) * jitter;
    // What comes last is asked for when it is there, and not by the age.
    refresh.dueMs = Math.min(dueMs, Math.max(endMs, askedMs + refreshMsMin * jitter));
  }
}

function everyMs(ageMs: number, hurried: boolean): number {
  if (ageMs < youngMs) return Math.min(refreshMsMin, Math.max(youngMsMin, ageMs * youngShare));
  const [of, most] = hurried ? [hurriedShare, hurriedMsMax] : [share, refreshMsMax];
  return Math.min(most, Math.max(refreshMsMin, ageMs * of));
}
