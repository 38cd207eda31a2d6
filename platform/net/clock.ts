/**
 * What time it is, and being woken later: an argument of whatever waits, so that the same code runs in virtual time.
 *
 * Rule 1: times are monotonic, in milliseconds, and mean nothing outside of this clock.
 * Rule 2: a call comes once, from the event loop and never from within `after`, and not at all once it was disposed of.
 */

export type Clock = {
  nowMs(): number;
  /** Calls when `ms` have passed, as soon as it can; beyond `afterMsMax` earlier than that. */
  after(ms: number, call: () => void): Disposable;
  /** Calls once what happens now has ended, before any time passes. */
  soon(call: () => void): void;
};

/** For who asks what time it is, and never waits. */
export type Time = Pick<Clock, 'nowMs'>;

/** setTimeout takes 31 bits, and would call at once for more. */
export const afterMsMax = 2 ** 31 - 1;

/** This machine's. What waits keeps the process alive. */
export const realClock: Clock = {
  nowMs: () => performance.now(),
  after: (ms, call) => setTimeout(call, Math.min(ms, afterMsMax)),
  soon: (call) => void setImmediate(call),
};
