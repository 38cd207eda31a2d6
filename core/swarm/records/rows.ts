/**
 * Numbers of many records side by side, a row for each. What is looked at of many of them in one go, as to find whom to
 * grant to, then lies in a few cache lines: as a field of its own object each number is a line of memory, and two where it
 * is no small integer, which thousands of nodes in one process do not have in any cache (loadgen/README.md, "Cost").
 *
 * Rule 1: a row is one record's until that gives it back; from then on the record has row 0, which nobody looks at.
 * Rule 2: `numbers` is replaced as more rows are taken, so it is read anew in every step.
 */

/** Rows that there is room for at first. */
const rowsMin = 16;

export class Rows {
  numbers: Float64Array;
  readonly #width: number;
  readonly #free: number[] = [];
  #end: number;

  /** `width`: numbers of a row; eight are a cache line. */
  constructor(width: number) {
    this.#width = width;
    this.#end = width;
    this.numbers = new Float64Array(width * rowsMin);
  }

  /** Where a new row begins; all of it is 0. */
  take(): number {
    const at = this.#free.pop() ?? this.#append();
    this.numbers.fill(0, at, at + this.#width);
    return at;
  }

  giveBack(at: number): void {
    this.#free.push(at);
  }

  #append(): number {
    const at = this.#end;
    this.#end += this.#width;
    if (this.#end > this.numbers.length) {
      const more = new Float64Array(2 * this.numbers.length);
      more.set(this.numbers);
      this.numbers = more;
    }
    return at;
  }
}
