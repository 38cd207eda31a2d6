/**
 * Where an answer sends us, and what may go along.
 *
 * Rule 1: who asks says how often it lets itself be sent elsewhere; without a word, never.
 * Rule 2: to another origin goes what says how to answer, and what the policy names; never a credential by itself.
 * Rule 3: never from https to http, nor to anything else.
 */

export type RedirectPolicy = {
  readonly max: number;
  /** Headers that may go to another origin as well, in lower case. */
  readonly carries?: readonly string[];
};

export type Hop = { readonly url: URL; readonly method: string; readonly headers: Readonly<Record<string, string>> };

const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
const PLAIN: ReadonlySet<string> = new Set([
  ...['accept', 'accept-encoding', 'content-length', 'content-type', 'user-agent'],
  ...['range', 'if-match', 'if-none-match', 'if-range', 'if-modified-since', 'if-unmodified-since'],
]);

export function redirects(status: number): boolean {
  return REDIRECTS.has(status);
}

/** The next request; text: why there is none. */
export function nextHop(
  from: Hop,
  { status, location }: { readonly status: number; readonly location: string | undefined },
  policy: RedirectPolicy,
): Hop | string {
  const url = location === undefined || location === '' ? null : URL.parse(location, from.url.href);
  if (url === null) return 'it sends us elsewhere without saying where';
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return `it sends us to an address of ${url.protocol}`;
  if (url.protocol === 'http:' && from.url.protocol === 'https:') return 'it sends us from https to http';
  url.username = '';
  url.password = '';
  url.hash = '';
  const safe = from.method === 'GET' || from.method === 'HEAD';
  // A 307 or 308 keeps the method; the others are followed with a GET, as everybody does.
  const method = safe || status === 307 || status === 308 ? from.method : 'GET';
  const same = url.origin === from.url.origin;
  const headers = Object.entries(from.headers).filter(([name]) => {
    const lower = name.toLowerCase();
    if (method !== from.method && lower.startsWith('content-')) return false;
    return same || PLAIN.has(lower) || policy.carries?.includes(lower) === true;
  });
  return { url, method, headers: Object.fromEntries(headers) };
}
