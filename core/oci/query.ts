/**
 * The query of a registry request. A plus sign stays one: media types (`+json`) contain it, and
 * nothing that we take contains a space.
 *
 * Rule: a pair that is not percent-encoded UTF-8 is as absent; where the parameter is needed, its absence is told.
 */

export type Query = { first(name: string): string | undefined; all(name: string): string[] };

export function parseQuery(text: string): Query {
  const pairs = text.split('&').flatMap(pairOf);
  return {
    first: (name) => pairs.find(([key]) => key === name)?.[1],
    all: (name) => pairs.filter(([key]) => key === name).map(([, value]) => value),
  };
}

/** None, or one. */
function pairOf(pair: string): [string, string][] {
  const equals = pair.indexOf('=');
  const name = decode(equals < 0 ? pair : pair.slice(0, equals));
  const value = equals < 0 ? '' : decode(pair.slice(equals + 1));
  return name === undefined || value === undefined ? [] : [[name, value]];
}

function decode(text: string): string | undefined {
  if (!text.includes('%')) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
