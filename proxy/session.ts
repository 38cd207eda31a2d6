/**
 * What an upload's Location carries, so that any proxy can go on with it and none has to remember it:
 * upload id, digest algorithm, bytes acknowledged so far, and the origins that receive it.
 *
 * Rule 1: written by us, returned by a stranger: the grammar is strict, an origin must be one of ours,
 *         and the id belongs to one repository.
 * Rule 2: nothing here is trusted for content: the digest decides at the end.
 */

import { createHash, randomBytes } from 'node:crypto';
import { ApiError } from '../core/contracts/errors.ts';
import { DIGEST_ALGORITHMS, type DigestAlgorithm } from '../core/digest.ts';
import type { OriginClient } from '../platform/clients/origin.ts';

export type Session = {
  readonly id: string;
  readonly algorithm: DigestAlgorithm;
  /** Bytes that the client was told are here; an origin with fewer has lost some. */
  readonly acked: number;
  readonly origins: readonly OriginClient[];
};

const idHexDigits = 32;
const keyHexDigits = 12;
const sessionPattern = /^([0-9a-f]{12}-[0-9a-f]{32})\.([a-z0-9]+)\.(\d{1,15})((?:\.[0-9a-f]{12}){1,8})$/;

/** A new upload id of `repo`; 128 random bits, so that nobody guesses another's. */
export function drawUploadId(repo: string): string {
  return `${short(repo)}-${randomBytes(idHexDigits / 2).toString('hex')}`;
}

export function formatSession(session: Session): string {
  const origins = session.origins.map((origin) => short(origin.url));
  return [session.id, session.algorithm, session.acked, ...origins].join('.');
}

/** Throws BLOB_UPLOAD_UNKNOWN for whatever is not an upload of `repo` to some of `origins`. */
export function parseSession(text: string, repo: string, origins: readonly OriginClient[]): Session {
  const match = sessionPattern.exec(text);
  const [, id, algorithm, acked, keys] = match ?? [];
  if (id === undefined || algorithm === undefined || acked === undefined || keys === undefined) throw unknown(text);
  if (!id.startsWith(`${short(repo)}-`) || !Object.hasOwn(DIGEST_ALGORITHMS, algorithm)) throw unknown(text);
  const wanted = new Set(keys.slice(1).split('.'));
  const named = origins.filter((origin) => wanted.has(short(origin.url)));
  if (named.length !== wanted.size) throw unknown(text);
  return { id, algorithm: algorithm as DigestAlgorithm, acked: Number(acked), origins: named };
}

/** A key of a repository or an origin that tells nothing and fits a path. */
function short(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, keyHexDigits);
}

function unknown(text: string): ApiError {
  return new ApiError(
    'BLOB_UPLOAD_UNKNOWN',
    `there is no upload ${text.slice(0, 80)} in this repository: begin a new one`,
  );
}
