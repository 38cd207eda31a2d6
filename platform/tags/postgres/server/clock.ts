/**
 * The database's clock, as a process knows it: what it said last, and how long that is ago by a clock that only runs on. So
 * all processes on one database go by the same one, and none by its host's.
 */

/** An answer that took longer says when it was given too badly, while there is a better one. */
const badMs = 50;

export class EngineClock {
  #offsetMs: number | undefined;

  /** `askedAt`: by the monotonic clock. */
  said(nowMs: number, askedAt: number): void {
    const at = performance.now();
    if (this.#offsetMs !== undefined && at - askedAt > badMs) return;
    this.#offsetMs = nowMs - (askedAt + at) / 2;
  }

  nowMs = (): number => {
    // Before it ever said anything nothing is read or written.
    return Math.round(performance.now() + (this.#offsetMs ?? 0));
  };
}
