/**
 * Writes whose caller draws a name and says it with each try (`?write=`, platform/tags/named.ts).
 *
 * Rule: a no to a try that says that an earlier one may have been made (`again`) is remembered, and marked (`named`): it is
 *   the last word, which callers may tell. An index of the release before neither remembers nor marks it.
 */

import { ApiError } from '../core/contracts/errors.ts';
import type { NamedAt } from '../core/contracts/named.ts';
import type { NamedWrites, TagStore } from '../platform/tags/store.ts';

/** `answer`: what is thrown of an outcome that is a no. */
export async function byName<T, A>(
  store: NamedWrites & Pick<TagStore, 'named'>,
  { write: name, again }: NamedAt,
  { write, answer }: { write: (writes: NamedWrites) => Promise<T>; answer: (outcome: T) => A },
): Promise<A> {
  const outcome = await write(name === undefined ? store : store.named({ name, again }));
  try {
    return answer(outcome);
  } catch (error) {
    if (name === undefined || again !== true || !(error instanceof ApiError)) throw error;
    throw new ApiError(error.code, error.message, { ...(error.detail ?? {}), named: true });
  }
}
