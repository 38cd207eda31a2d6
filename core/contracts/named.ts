/**
 * Names of writes at the index: its caller draws one for a write, and says it in the query of each try, so that it is done
 * once. An index of the release before takes no notice of it, and may do it twice.
 */

import { ApiError } from './errors.ts';
import { Malformed, optional, type Parser, textThat } from './parse.ts';

/** `again`: an earlier try may have been done, or may be yet. */
export type NamedAt = { readonly write?: string | undefined; readonly again?: true | undefined };

const again: Parser<true | undefined> = (value) => {
  if (value === undefined) return undefined;
  if (value === 'true') return true;
  throw new Malformed('is not true');
};

/** The queries of a route whose writes have names. */
export const namedQuery = {
  write: optional(textThat((value) => /^[0-9a-f]{32}$/.test(value), 'is not 32 hex digits')),
  again,
};

/** A no that the index remembers by the write's name, as it would be without one; undefined: it does not. */
export function lastWordOf({ code, message, detail }: ApiError): ApiError | undefined {
  const { named, ...rest } = (typeof detail === 'object' && detail !== null ? detail : {}) as { named?: unknown };
  if (named !== true) return undefined;
  return new ApiError(code, message, Object.keys(rest).length === 0 ? undefined : rest);
}
