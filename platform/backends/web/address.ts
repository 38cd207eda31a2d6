/**
 * An address as messages show it.
 *
 * Rule: no credentials of a URL, and nothing of its query, where tokens and signatures are.
 */

export function shown(url: URL): string {
  const query = url.search === '' ? '' : '?…';
  return `${url.protocol}//${url.host}${url.pathname}${query}`;
}
