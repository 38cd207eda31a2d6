/** Something that may be had so many times at once, and so many times a millisecond after that. */

export class Budget {
  #left: number;
  #sinceMs: number;
  readonly #most: number;
  readonly #perMs: number;

  constructor(most: number, perMs: number, nowMs: number) {
    this.#left = most;
    this.#most = most;
    this.#perMs = perMs;
    this.#sinceMs = nowMs;
  }

  /** More was spent than there was, when last something was. */
  get overdrawn(): boolean {
    return this.#left < 0;
  }

  /** False where there is less than that. */
  spend(count: number, nowMs: number): boolean {
    this.#left = Math.min(this.#most, this.#left + (nowMs - this.#sinceMs) * this.#perMs) - count;
    this.#sinceMs = nowMs;
    return this.#left >= 0;
  }
}
