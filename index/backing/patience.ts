/** Work that is given up once nothing of it has moved for so long: a signal that is aborted then, or with the caller's. */

export class StepPatience implements Disposable {
  readonly signal: AbortSignal;
  readonly #timer: NodeJS.Timeout;

  /** `reason`: why the signal is aborted then. */
  constructor(ms: number, caller: AbortSignal, reason: () => Error) {
    const given = new AbortController();
    this.signal = AbortSignal.any([caller, given.signal]);
    this.#timer = setTimeout(() => given.abort(reason()), ms);
  }

  moved(): void {
    this.#timer.refresh();
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}
