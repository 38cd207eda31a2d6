/**
 * What must not be left behind even where the run is interrupted: undone with the stack, or, should the process end
 * before, on its way out.
 */

/** `undo` runs exactly once: when the stack is disposed, or at exit. It is synchronous, since exits are. */
export function undoneAtExit(stack: DisposableStack | AsyncDisposableStack, undo: () => void): void {
  process.once('exit', undo);
  stack.defer(() => {
    process.off('exit', undo);
    undo();
  });
}

/** A signal ends the process by `exit`, so that what is above runs. */
export function exitOnSignals(): void {
  process.once('SIGINT', () => process.exit(130));
  process.once('SIGTERM', () => process.exit(143));
}
