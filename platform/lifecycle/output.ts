/**
 * What is printed may have no reader any more (`shoal ls | head -1`), or no room (a full disk).
 *
 * Rule 1: without a reader a command ends, quietly and in order: as by Ctrl-C where it listens for that (a cluster is
 *         stopped, a transfer leaves its part), else at once.
 * Rule 2: whoever only prints a list has not failed then; anybody else has not finished.
 */

/** 128 and the number of SIGPIPE, which is what ends most programs then. */
const exitPipe = 141;

export type OutputState = {
  /** Nobody reads any more: what is printed now goes nowhere. */
  readonly broken: boolean;
  /** Of a command that was ended by it. */
  readonly exitCode: number;
  /** From now on there is something to finish, of which nobody will have been told. */
  mustFinish(): void;
};

/** Listens on standard output and standard error, for as long as the process lives. */
export function heedOutput(): OutputState {
  const state = { broken: false, exitCode: 0 };
  const failed = (name: string, error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') {
      process.stderr.write(`shoal: ${name} cannot be written: ${error.message}\n`, () => process.exit(1));
      return;
    }
    if (state.broken) return;
    state.broken = true;
    if (!process.emit('SIGHUP')) process.exit(state.exitCode);
  };
  process.stdout.on('error', (error) => failed('standard output', error));
  process.stderr.on('error', (error) => failed('standard error', error));
  return {
    get broken() {
      return state.broken;
    },
    get exitCode() {
      return state.exitCode;
    },
    mustFinish() {
      state.exitCode = exitPipe;
    },
  };
}
