/**
 * Work of which there may be thousands at once, done in the order in which it came, so much of it in a turn of the event loop:
 * whatever else has come has its turn in between.
 *
 * Rule: what is added never throws.
 */

/** Done ones are let go of this often: it is a copy of what is left. */
const doneMax = 1_000;

export class Portions {
  readonly #most: number;
  /** Those before `#next` are done. */
  readonly #work: (() => void)[] = [];
  #next = 0;
  #scheduled = false;

  /** `most`: in a turn. */
  constructor(most: number) {
    this.#most = most;
  }

  /** What it holds on to. */
  get size(): number {
    return this.#work.length;
  }

  /** Done once all that has come with it was looked at, at the earliest. */
  add(work: () => void): void {
    this.#work.push(work);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled || this.#next === this.#work.length) return;
    this.#scheduled = true;
    setImmediate(() => this.#turn());
  }

  #turn(): void {
    const until = Math.min(this.#next + this.#most, this.#work.length);
    while (this.#next < until) this.#work[this.#next++]?.();
    if (this.#next === this.#work.length || this.#next >= doneMax) {
      this.#work.splice(0, this.#next);
      this.#next = 0;
    }
    this.#scheduled = false;
    this.#schedule();
  }
}
