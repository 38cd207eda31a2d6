/** Waiting for a database, until a signal: its library heeds none. */

/** What `answer` gives; where the signal comes first, `end` is called, and nobody waits for the answer. */
export async function untilEnded<T>(answer: Promise<T>, signal: AbortSignal, end: () => void): Promise<T> {
  const { promise: ended, reject } = Promise.withResolvers<never>();
  const abort = (): void => {
    end();
    reject(signal.reason);
  };
  answer.catch(() => undefined);
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await Promise.race([answer, ended]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
