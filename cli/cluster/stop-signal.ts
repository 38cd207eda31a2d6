/**
 * Ctrl-C for commands that run a cluster: the first asks to stop, the second ends at once.
 */

/** Ctrl-C under npm or a wrapper arrives twice: once from the terminal, once passed on. */
const sameSignalMs = 200;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** The command was told to stop. */
export class Stopped extends Error {
  override readonly name = 'Stopped';
}

/** `first` is aborted with Stopped by the first signal; `second` is called by the next. Dispose to listen no more. */
export function onStop(second: () => void): { readonly first: AbortSignal; [Symbol.dispose](): void } {
  const controller = new AbortController();
  let firstMs = 0;
  const heard = () => {
    if (!controller.signal.aborted) {
      firstMs = performance.now();
      controller.abort(new Stopped('stopped'));
    } else if (performance.now() - firstMs > sameSignalMs) {
      second();
    }
  };
  for (const signal of SIGNALS) process.on(signal, heard);
  return {
    first: controller.signal,
    [Symbol.dispose]() {
      for (const signal of SIGNALS) process.off(signal, heard);
    },
  };
}
