/** Why a process could not start, in one line that names the thing and the remedy. Exit code 2. */
export class StartError extends Error {
  override readonly name = 'StartError';
}
