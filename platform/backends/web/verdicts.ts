/** What a status of HTTP, and what a socket, a name server or TLS says, means for a backend: the cause, and what to do. */

import type { BackendCause } from '../backend.ts';
import { headBytesMax } from './limits.ts';

export type WebVerdict = {
  readonly why: BackendCause;
  readonly remedy: string;
  /** What it says, where that is not its body as it stands. */
  readonly words?: string;
};

const later: WebVerdict = { why: 'unavailable', remedy: 'it is asked again; look whether the server is up' };
const throttled: WebVerdict = { why: 'throttled', remedy: 'it is asked again later, and less at once' };
const refused: WebVerdict = { why: 'refused', remedy: 'another attempt does not change it' };
const unsupported: WebVerdict = {
  why: 'unsupported',
  remedy: 'this server lacks what is needed: see docs/backends.md',
};

const BY_STATUS: Readonly<Record<number, WebVerdict>> = {
  401: { why: 'credentials', remedy: 'it wants credentials, or others: look at those of this rule' },
  403: { why: 'denied', remedy: 'allow it to these credentials' },
  404: { why: 'missing', remedy: 'there is no such object' },
  405: unsupported,
  407: { why: 'credentials', remedy: 'it is the proxy that wants credentials: give them in HTTPS_PROXY or HTTP_PROXY' },
  408: later,
  410: { why: 'missing', remedy: 'there is no such object any more' },
  412: { why: 'changed', remedy: 'somebody else wrote it meanwhile: read it again' },
  416: { why: 'damaged', remedy: 'the object is shorter than it was said to be: look at it' },
  425: later,
  429: throttled,
  501: unsupported,
  507: { why: 'full', remedy: 'give the server more room' },
};

/** `pause`: the server says when to come again. */
export function verdictOf(status: number, pause: boolean): WebVerdict {
  const known = BY_STATUS[status];
  if (known !== undefined) return known;
  if (status === 503 && pause) return throttled;
  if (status >= 500) return later;
  if (status >= 300 && status < 400)
    return { why: 'refused', remedy: 'it sends us elsewhere, which is not followed here: name the right address' };
  return status < 300
    ? { why: 'unavailable', remedy: 'what answers there may be something else: look at it' }
    : refused;
}

type Fault = WebVerdict & { readonly words: string };

const WORDS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'the connection was refused',
  ECONNRESET: 'the connection was cut',
  EPIPE: 'the connection was cut',
  ENOTFOUND: 'there is no host of this name',
  EAI_AGAIN: 'the name of the host cannot be resolved now',
  ETIMEDOUT: 'the host does not answer',
  EHOSTUNREACH: 'there is no way to the host',
  ENETUNREACH: 'there is no way to the host',
  SHOAL_STALE: 'the connection was cut',
};
const AUTHORITY = /^(CERT_|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO)/;

/** Of an error of the network, by its `code`; undefined: it is none. */
export function faultOf(error: unknown): Fault | undefined {
  const { code, message } = error as { code?: unknown; message?: unknown };
  if (typeof code !== 'string') return undefined;
  const words = `${WORDS[code] ?? String(message)} (${code})`;
  if (code === 'HPE_HEADER_OVERFLOW')
    return {
      why: 'unavailable',
      words: `the head of its answer has more than ${headBytesMax} bytes`,
      remedy: elsewhere,
    };
  if (code.startsWith('HPE_'))
    return { why: 'unavailable', words: `it does not answer with HTTP: ${words}`, remedy: elsewhere };
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return { why: 'unavailable', words, remedy: 'its certificate is for another name: use that one as the address' };
  if (code === 'CERT_HAS_EXPIRED')
    return { why: 'unavailable', words, remedy: 'renew its certificate, or set the clock' };
  if (AUTHORITY.test(code))
    return { why: 'unavailable', words, remedy: 'name the file of the authority that signed its certificate in `ca`' };
  if (/^ERR_SSL_.*CERTIFICATE/.test(code))
    return { why: 'credentials', words, remedy: 'it wants a certificate of ours: look at `clientCertificate`' };
  if (/^(ERR_SSL|EPROTO)/.test(code))
    return { why: 'unavailable', words, remedy: 'it does not speak TLS as we do: https may be wrong for this address' };
  if (/PROXY/.test(code))
    return { why: 'unavailable', words, remedy: 'look at the proxy of HTTPS_PROXY or HTTP_PROXY, and at NO_PROXY' };
  if (code === 'ENOTFOUND') return { why: 'unavailable', words, remedy: 'look at the address in this rule' };
  return /^E[A-Z0-9]{2,}$/.test(code) || WORDS[code] !== undefined ? { ...later, words } : undefined;
}

const elsewhere = 'what answers there may be something else: look at the address in this rule';
