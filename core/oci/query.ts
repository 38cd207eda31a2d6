/**
 * The query of a registry request. A plus sign stays one: media types (`+json`) contain it, and
 * nothing that we take contains a space.
 */

import { ApiError } from '../contracts/errors.ts';

export type Query = { first(name: string): string | undefined; all(name: string): string[] };

/** Throws ApiError REQUEST_INVALID where the encoding is broken. */
export function parseQuery(text: string): Query {
  const pairs = text === '' ? [] : text.split('&').map(pairOf);
  return {
    first: (name) => pairs.find(([key]) => key === name)?.[1],
    all: (name) => pairs.filter(([key]) => key === name).map(([, value]) => value),
  };
}

function pairOf(pair: string): [string, string] {
  const equals = pair.indexOf('=');
  return equals < 0 ? [decode(pair), ''] : [decode(pair.slice(0, equals)), decode(pair.slice(equals + 1))];
}

function decode(text: string): string {
  if (!text.includes('%')) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    throw new ApiError('REQUEST_INVALID', 'the query is not percent-encoded UTF-8');
  }
}
