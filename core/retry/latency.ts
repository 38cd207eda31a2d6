/**
 * How long answers took lately, so that "late" can be told from "usual".
 *
 * Rule: pure; the caller has the clock.
 */

/** Answers that are remembered: a second or so of a busy process, and few enough to sort at each question. */
export const latencySamplesMax = 128;
/** Fewer say nothing about a 99th percentile. */
export const latencySamplesMin = 16;

export class Latency {
  readonly #samples: number[] = [];
  #next = 0;

  add(ms: number): void {
    this.#samples[this.#next] = ms;
    this.#next = (this.#next + 1) % latencySamplesMax;
  }

  /** The recent 99th percentile, within [minMs, maxMs]; maxMs while too little is known. */
  p99(minMs: number, maxMs: number): number {
    const count = this.#samples.length;
    if (count < latencySamplesMin) return maxMs;
    const sorted = this.#samples.toSorted((a, b) => a - b);
    return Math.min(maxMs, Math.max(minMs, sorted[Math.ceil(count * 0.99) - 1] as number));
  }
}
