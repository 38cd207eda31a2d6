/** Why a benchmark cannot be run as asked: said in one line, exit code 2. Anything else is a failure with its stack. */
export class BenchError extends Error {
  override readonly name = 'BenchError';
}

/** Why a measure is left out on this machine, and what would bring it back: printed in its place. */
export class Skipped extends Error {
  override readonly name = 'Skipped';
}
