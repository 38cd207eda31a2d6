/**
 * The paths that Kraken's origins have for their users, so that scripts written for them keep working. A namespace that is
 * a repository's name is that repository; any other names none.
 *
 * Rule: statuses and headers are Kraken's; where something fails, the body is an error of ours.
 */

import { byteCount, inPlainDigest } from './fields.ts';
import { truth } from './kraken/fields.ts';
import { digits, listOf, Malformed, optional, type Parser, record, text, textThat, whole } from './parse.ts';
import { type Param, route } from './route.ts';

const inNamespace: Param<string> = { parser: text(1024, 1), refused: 'NAME_INVALID' };
/** Drawn by us. */
const inUid: Param<string> = {
  parser: textThat((uid) => /^[0-9a-f-]{36}$/.test(uid), 'is no upload of ours: begin a new one'),
  refused: 'BLOB_UPLOAD_INVALID',
};
const percent: Parser<number> = (value) => {
  const read = digits(100)(value);
  if (read > 0) return read;
  throw new Malformed('is no whole number from 1 to 100');
};
const hours = digits(1_000_000);
/** CRC-32 of each piece; null of an empty blob. */
const sums: Parser<readonly number[] | null> = (value) => (value === null ? null : sumsOf(value));
const sumsOf = listOf(whole(2 ** 32 - 1), 1_000_000);

const ofBlob = { params: { digest: inPlainDigest } };
const ofNamespace = { params: { ns: inNamespace, digest: inPlainDigest } };
const ofUpload = { params: { ...ofNamespace.params, uid: inUid } };
const namespacePath = '/namespace/:ns/blobs/:digest';
const uploadPath = `${namespacePath}/uploads/:uid`;

export const KRAKEN_ORIGIN = {
  /** 200 with the header Origin-Locations: host:port of the digest's owners, those that answer first. */
  locations: route('GET', '/blobs/:digest/locations', ofBlob),
  /** 200 with the bare id as Location; 409 where the blob is here already (it is written back again if need be). */
  begin: route('POST', `${namespacePath}/uploads`, { ...ofNamespace, query: { size: optional(digits(2 ** 53)) } }),
  /** The body belongs at Content-Range: start-end, the end exclusive. 409 where the upload stands elsewhere. */
  append: route('PATCH', uploadPath, ofUpload),
  commit: route('PUT', uploadPath, ofUpload),
  /** 200 with the bytes; 202 while they come from elsewhere; 404; 503 where too many come at a time. */
  read: route('GET', namespacePath, ofNamespace),
  /** 200 it is here; 202 it is on its way. */
  prefetch: route('POST', `${namespacePath}/prefetch`, ofNamespace),
  remote: route('POST', `${namespacePath}/remote/:remote`, {
    params: { ...ofNamespace.params, remote: { parser: text(1024, 1), refused: 'NAME_INVALID' } },
  }),
  /** Content-Length is the blob's; `local`: only if it is here. */
  stat: route('HEAD', `/internal${namespacePath}`, { ...ofNamespace, query: { local: truth } }),
  /** Kraken's torrent metainfo; 202 while the bytes come from elsewhere. */
  metainfo: route('GET', `/internal${namespacePath}/metainfo`, {
    ...ofNamespace,
    reply: record({
      Info: record({
        PieceLength: byteCount,
        PieceSums: sums,
        Name: text(128),
        Length: byteCount,
      }),
    }),
  }),
  remove: route('DELETE', '/internal/blobs/:digest', ofBlob),
  /** Whole blobs that are older than so many hours, or not this origin's, and may go. */
  cleanup: route('POST', '/forcecleanup', { query: { ttl_hr: hours } }),
  cleanupTo: route('POST', '/forcecleanup/v2', {
    query: { target_util_percent: percent, respect_eviction_ban: truth },
  }),
} as const;
