/**
 * Waiting for a file system that may hang for ever. A call cannot be taken back, and holds one of the process's few threads
 * for such calls (libuv has four, and everything else in the process that touches a disk needs them too).
 *
 * Rule 1: at most `turnsMax` calls of all directories are under way; the others wait for their turn, which ends with the
 *         call itself and not with who waited for it.
 * Rule 2: who waits leaves with its signal; what comes later is given to `late`, which closes it.
 */

/** Half of libuv's threads. With a chunk a call, two are enough for any network's file system. */
const turnsMax = 2;

let free = turnsMax;
const waiting = new Set<() => void>();

/** What `call` gives, in its turn. */
export async function inTurn<T>(
  signal: AbortSignal,
  call: () => Promise<T>,
  late: (given: T) => unknown = () => undefined,
): Promise<T> {
  signal.throwIfAborted();
  const left = Promise.withResolvers<never>();
  const turn = Promise.withResolvers<void>();
  const leave = (): void => {
    waiting.delete(turn.resolve);
    left.reject(signal.reason);
  };
  signal.addEventListener('abort', leave);
  try {
    await Promise.race([taken(turn), left.promise]);
    const given = call().finally(passOn);
    // Whoever left has been told; what it gave is closed.
    given.then(
      (value) => signal.aborted && late(value),
      () => undefined,
    );
    return await Promise.race([given, left.promise]);
  } finally {
    signal.removeEventListener('abort', leave);
    left.promise.catch(() => undefined);
  }
}

function taken({ promise, resolve }: PromiseWithResolvers<void>): Promise<void> {
  if (free > 0) {
    free -= 1;
    return Promise.resolve();
  }
  waiting.add(resolve);
  return promise;
}

function passOn(): void {
  const [next] = waiting;
  if (next === undefined) {
    free += 1;
    return;
  }
  waiting.delete(next);
  next();
}
