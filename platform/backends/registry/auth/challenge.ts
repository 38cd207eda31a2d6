/** What a server wants to be shown: the header `WWW-Authenticate`, by RFC 9110, 11.6.1. */

export type AuthChallenge = {
  /** In lower case. */
  readonly scheme: string;
  /** Names in lower case. */
  readonly params: Readonly<Record<string, string | undefined>>;
};

/** A scheme or a parameter; the comma before it belongs to none of them. */
const PART = /\s*,?\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*)))?/y;
/** Of a header: what is longer is none of a registry. */
const charactersMax = 8_192;

/** Several, whether in one header or in several that were joined by commas. What cannot be read ends it. */
export function challengesIn(header: string | undefined): AuthChallenge[] {
  const text = (header ?? '').slice(0, charactersMax);
  const found: { scheme: string; params: Record<string, string | undefined> }[] = [];
  PART.lastIndex = 0;
  for (let at = 0; at < text.length; at = PART.lastIndex) {
    PART.lastIndex = at;
    const match = PART.exec(text);
    if (match === null) break;
    const [, name = '', quoted, plain] = match;
    const value = quoted?.replace(/\\(.)/g, '$1') ?? plain;
    const last = found.at(-1);
    if (value === undefined) found.push({ scheme: name.toLowerCase(), params: Object.create(null) });
    else if (last !== undefined) last.params[name.toLowerCase()] = value;
  }
  return found;
}
