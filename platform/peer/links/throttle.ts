/**
 * A limit on bytes a second that all links of a process share: a bucket that fills with time.
 *
 * Rule 1: who may go on pays for a portion at once, and afterwards for what it really moved; who has to
 *   wait is called in its turn, and nobody overtakes.
 * Rule 2: time lost by a timer that fires late is made up for, up to `burstMs`; more is never saved up.
 *   So the rate holds over any longer time, from below and from above.
 */

import type { Clock } from '../../net/clock.ts';

/** What may be moved at once beyond the rate, as time: longer than timers are late on a busy machine. */
export const burstMs = 10;
/** A timer every millisecond would cost more than the smoothness is worth. */
const sleepMsMin = 2;
/** At slow rates a portion is what this time moves: so that many links get their turn before any looks dead. */
const portionMs = 4;
const portionBytesMin = 16 * 1024;
const portionBytesMax = 256 * 1024;

/** Called in its turn: asks `enter` again, and may go on. */
export type Waiting = () => void;

export class Throttle {
  #portion = 0;
  #perMs = 0;
  readonly #clock: Clock;
  readonly #waiting = new Set<Waiting>();
  /** When all that was paid for has had its time. */
  #paidMs = Number.NEGATIVE_INFINITY;
  #turn: Waiting | undefined;
  #asleep = false;

  constructor(bytesPerS: number, clock: Clock) {
    this.#clock = clock;
    this.limit(bytesPerS);
  }

  /** Another rate from now on. Who waits is woken when the old one would have. */
  limit(bytesPerS: number): void {
    this.#perMs = bytesPerS / 1000;
    this.#portion = Math.max(portionBytesMin, Math.min(portionBytesMax, Math.floor(this.#perMs * portionMs)));
  }

  /** Bytes to move at most before asking again. */
  get portion(): number {
    return this.#portion;
  }

  /** Bytes that `who` may move now, and has paid for; 0: it is called once it may. */
  enter(who: Waiting): number {
    const first = this.#waiting.size === 0 && this.#turn === undefined && this.#open;
    if (first || this.#turn === who) {
      this.#turn = undefined;
      this.pay(this.portion);
      return this.portion;
    }
    this.#waiting.add(who);
    this.#sleep();
    return 0;
  }

  /** So many bytes more were moved than had been paid for; negative: fewer. */
  pay(bytes: number): void {
    this.#paidMs = Math.max(this.#paidMs, this.#clock.nowMs() - burstMs) + bytes / this.#perMs;
  }

  /** Wants nothing any more. */
  leave(who: Waiting): void {
    this.#waiting.delete(who);
  }

  get #open(): boolean {
    return this.#paidMs <= this.#clock.nowMs();
  }

  #sleep(): void {
    if (this.#asleep) return;
    this.#asleep = true;
    this.#clock.after(Math.max(sleepMsMin, Math.ceil(this.#paidMs - this.#clock.nowMs())), () => this.#wake());
  }

  #wake(): void {
    this.#asleep = false;
    for (const who of this.#waiting) {
      if (!this.#open) break;
      this.#waiting.delete(who);
      this.#turn = who;
      who();
      this.#turn = undefined;
    }
    if (this.#waiting.size > 0) this.#sleep();
  }
}
