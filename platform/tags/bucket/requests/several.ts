/** Several of a kind of request at once, so many and no more. */

/** Of one call: a push of 100 layers takes a few turns, and leaves room for others. */
const atOnceMax = 16;

/** In the order of `all`. The first failure ends it, once what is under way is done. */
export async function several<T, R>(all: readonly T[], act: (one: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let at = 0; at < all.length; at += atOnceMax) {
    const ended = await Promise.allSettled(all.slice(at, at + atOnceMax).map(act));
    for (const end of ended) {
      if (end.status === 'rejected') throw end.reason;
      results.push(end.value);
    }
  }
  return results;
}
