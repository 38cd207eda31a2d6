/**
 * The one face of whatever keeps state in core/: inputs come with the time, outputs are taken, and it says when it
 * wants to be woken and what for. platform/drive runs it.
 */

/** Time has come; what is due by it is done. Any number of them does no harm. */
export type Tick = { readonly kind: 'tick' };

export interface Machine<Input, Output, Due extends string> {
  /** One step. Times never run backwards. */
  handle(input: Input | Tick, nowMs: number): void;
  /** What came of the steps since the last call, in order. */
  drain(): readonly Output[];
  /** When a tick is due, in the clock of `handle`; Infinity: never. Each step may move it. */
  readonly deadlineMs: number;
  /** What is due then; undefined: nothing ever. */
  readonly due: Due | undefined;
}
