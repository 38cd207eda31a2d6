/**
 * Asks several that can give the same answer, one after the other, without waiting long for any.
 *
 * Rule 1: the next one is asked when the last one failed, said that it has nothing, or was silent for `hedgeMs`.
 * Rule 2: the first answer wins; whoever is still being asked then is told to stop (its signal is aborted).
 */

export type Hedging<C> = {
  readonly hedgeMs: number;
  readonly signal?: AbortSignal | undefined;
  /** `candidate` was silent for so long that the next one is asked beside it. */
  readonly onSilent?: ((candidate: C) => void) | undefined;
};

export type Hedged<C, T> =
  | { readonly kind: 'answer'; readonly from: C; readonly answer: T }
  /** Nobody has it (undefined), as far as no one failed. */
  | { readonly kind: 'none'; readonly failures: readonly unknown[] };

/** `ask` answers undefined where the candidate has nothing. Its signal stays unaborted for the winner, unless the caller's is. */
export function firstAnswer<C, T>(
  candidates: readonly C[],
  ask: (candidate: C, signal: AbortSignal) => Promise<T | undefined>,
  options: Hedging<C>,
): Promise<Hedged<C, T>> {
  return new Promise((resolve) => {
    const failures: unknown[] = [];
    const running = new Map<C, AbortController>();
    let asked = 0;
    let timer: NodeJS.Timeout | undefined;

    function next(): void {
      clearTimeout(timer);
      const candidate = candidates[asked];
      if (candidate === undefined) {
        if (running.size === 0) resolve({ kind: 'none', failures });
        return;
      }
      asked += 1;
      const stop = new AbortController();
      running.set(candidate, stop);
      if (asked < candidates.length) timer = setTimeout(() => hedge(candidate), options.hedgeMs);
      const signal = options.signal === undefined ? stop.signal : AbortSignal.any([options.signal, stop.signal]);
      ask(candidate, signal).then(
        (answer) => settle(candidate, answer),
        (error: unknown) => {
          if (!stop.signal.aborted) failures.push(error);
          settle(candidate, undefined);
        },
      );
    }

    function hedge(silent: C): void {
      options.onSilent?.(silent);
      next();
    }

    function settle(candidate: C, answer: T | undefined): void {
      if (!running.delete(candidate)) return;
      if (answer === undefined) return next();
      clearTimeout(timer);
      const others = [...running.values()];
      running.clear();
      for (const stop of others) stop.abort(new Error('another one answered first'));
      resolve({ kind: 'answer', from: candidate, answer });
    }

    next();
  });
}
