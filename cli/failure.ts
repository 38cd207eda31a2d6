/** A command that ran and failed: its message is for the user, the exit code is 1. */
export class Failure extends Error {
  override readonly name = 'Failure';
}
