/**
 * What a registry's errors mean for a backend: by the code in the body (OCI distribution 1.1, "Error codes", and docker's),
 * else by the status.
 *
 * Rule: what one repository is refused says nothing of the others: it is `refused`, and no outage of the backend.
 */

import type { BackendCause } from '../backend.ts';
import type { WebVerdict } from '../web/verdicts.ts';

const again = 'it is tried again from the start';
const noRegistry: WebVerdict = {
  why: 'unavailable',
  remedy: 'what answers there may be no registry: look at `address` of this rule',
};
const rights: WebVerdict = { why: 'refused', remedy: 'look at the rights of these credentials on this repository' };

const said = (why: BackendCause, remedy: string): WebVerdict => ({ why, remedy });

const BY_CODE: Readonly<Record<string, WebVerdict>> = {
  TOOMANYREQUESTS: said('throttled', 'it is asked again later, and less at once'),
  UNAUTHORIZED: rights,
  DENIED: rights,
  NAME_UNKNOWN: said('refused', 'make the repository there: this registry makes none by itself'),
  NAME_INVALID: said('refused', 'the registry has no such names: look at `namespace` of this rule'),
  MANIFEST_INVALID: said('refused', 'the registry takes no such manifest'),
  MANIFEST_UNVERIFIED: said('refused', 'the registry takes no such manifest'),
  MANIFEST_BLOB_UNKNOWN: said('refused', 'it lacks a blob of this manifest: it is written again once that is there'),
  BLOB_UNKNOWN: said('missing', 'there is no such blob'),
  MANIFEST_UNKNOWN: said('missing', 'there is no such manifest'),
  DIGEST_INVALID: said('damaged', 'bytes were damaged on the way, or are of another digest'),
  SIZE_INVALID: said('damaged', 'fewer or more bytes came there than were announced'),
  BLOB_UPLOAD_UNKNOWN: said('unavailable', again),
  BLOB_UPLOAD_INVALID: said('unavailable', again),
  BLOB_UPLOAD_RANGE: said('unavailable', again),
  RANGE_INVALID: said('unavailable', again),
  UNSUPPORTED: said(
    'unsupported',
    'this registry does not do it: where it only gives, say `readOnly: true` in this rule',
  ),
};
const BY_STATUS: Readonly<Record<number, WebVerdict>> = {
  403: rights,
  404: noRegistry,
  405: BY_CODE['UNSUPPORTED'] as WebVerdict,
  413: said('refused', 'something before the registry takes no body of this size: set `chunk` in this rule'),
};

export function registryVerdict(status: number, text: string): WebVerdict | undefined {
  // 5xx says more than what a proxy may have put into the body.
  const code = status < 500 ? errorCodeIn(text) : undefined;
  return BY_CODE[code ?? ''] ?? BY_STATUS[status];
}

/** '': it is an error of a registry that names none; undefined: it is none of a registry. */
export function errorCodeIn(text: string): string | undefined {
  try {
    const { errors } = JSON.parse(text) as { readonly errors?: unknown };
    if (!Array.isArray(errors)) return undefined;
    const [first] = errors as readonly { readonly code?: unknown }[];
    return typeof first?.code === 'string' ? first.code : '';
  } catch {
    return undefined;
  }
}
