/**
 * An upload, of which no proxy remembers anything: what its Location carries (upload id, digest algorithm, bytes
 * acknowledged so far, the origins that receive it), and where it stands, from what those origins say. Pure, but for
 * the drawing of ids.
 *
 * Rule 1: a Location is written by us and returned by a stranger: the grammar is strict, only origins of ours are asked,
 *         and the id belongs to one repository.
 * Rule 2: nothing in it is trusted for content: the digest decides at the end.
 * Rule 3: origins receive the same stream at the same time, but a client that is cut, or an origin that fails, leaves
 *         them at different offsets. One that has less than was acknowledged has lost bytes and is out; one that has
 *         more than the others skips what it already holds.
 * Rule 4: it goes on with one origin that has every acknowledged byte, whatever became of the others; what then lacks of
 *         copies is made up for at its end (making-up.ts).
 * Rule 5: an origin that it names and nobody here knows may have another address: then all are asked.
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
  /** Those that may have it. */
  readonly origins: readonly OriginClient[];
  /** What its Location calls those that do. */
  readonly keys: readonly string[];
};

const idHexDigits = 32;
const keyHexDigits = 12;
const sessionPattern = /^([0-9a-f]{12}-[0-9a-f]{32})\.([a-z0-9]+)\.(\d{1,15})((?:\.[0-9a-f]{12}){1,8})$/;

/** A new upload id of `repo`; 128 random bits, so that nobody guesses another's. */
export function drawUploadId(repo: string): string {
  return `${short(repo)}-${randomBytes(idHexDigits / 2).toString('hex')}`;
}

/** The session of an upload that these have, all that was acknowledged of it. */
export function sessionAt(
  about: Pick<Session, 'id' | 'algorithm' | 'acked'>,
  origins: readonly OriginClient[],
): Session {
  const { id, algorithm, acked } = about;
  return { id, algorithm, acked, origins, keys: origins.map(({ url }) => short(url)) };
}

export function formatSession({ id, algorithm, acked, keys }: Session): string {
  return [id, algorithm, acked, ...keys].join('.');
}

/** Throws BLOB_UPLOAD_UNKNOWN for whatever is not an upload of `repo`. `origins`: all that this proxy knows. */
export function parseSession(text: string, repo: string, origins: readonly OriginClient[]): Session {
  const match = sessionPattern.exec(text);
  const [, id, algorithm, acked, named] = match ?? [];
  if (id === undefined || algorithm === undefined || acked === undefined || named === undefined) throw unknown(text);
  if (!id.startsWith(`${short(repo)}-`) || !Object.hasOwn(DIGEST_ALGORITHMS, algorithm)) throw unknown(text);
  const keys = [...new Set(named.slice(1).split('.'))];
  const known = origins.filter(({ url }) => keys.includes(short(url)));
  // One that left the list, or has another address: whoever has the upload says so.
  const lanes = known.length === keys.length ? known : [...new Set([...known, ...origins])];
  return { id, algorithm: algorithm as DigestAlgorithm, acked: Number(acked), origins: lanes, keys };
}

/** An origin's answer: its offset, `unknown` (no such upload there) or `silent` (it did not answer). */
export type Seen = number | 'unknown' | 'silent';

export type Standing =
  /** `at`: what every origin that is still good holds. `lanes`: their positions in the list. */
  | { readonly kind: 'open'; readonly at: number; readonly lanes: readonly number[] }
  /** Bytes that were acknowledged are nowhere any more. */
  | { readonly kind: 'unknown' }
  /** Some origin may have them, but does not answer. */
  | { readonly kind: 'silent' };

export function standing(seen: readonly Seen[], acked: number): Standing {
  const lanes: number[] = [];
  let at = Number.MAX_SAFE_INTEGER;
  seen.forEach((offset, lane) => {
    if (typeof offset !== 'number' || offset < acked) return;
    lanes.push(lane);
    at = Math.min(at, offset);
  });
  if (lanes.length > 0) return { kind: 'open', at, lanes };
  return seen.includes('silent') ? { kind: 'silent' } : { kind: 'unknown' };
}

/** A chunk goes to these lanes from `start` on; or it does not fit, and the upload stands `at`. */
export type Placed =
  | { readonly kind: 'fits'; readonly start: number; readonly lanes: readonly number[] }
  | { readonly kind: 'misfit'; readonly at: number };

/**
 * `start` is that of the client's Content-Range; undefined means "where we left off" (docker), which is
 * clear where all origins agree, or where the client was told of just that offset. `required`: origins that are to have
 * every byte where as many are left.
 */
export function place(
  seen: readonly Seen[],
  acked: number,
  start: number | undefined,
  required = 1,
): Placed | Standing {
  const now = standing(seen, acked);
  if (now.kind !== 'open') return now;
  const agreed = now.lanes.every((lane) => seen[lane] === now.at);
  const from = start ?? (agreed || acked === now.at ? now.at : -1);
  if (!now.lanes.some((lane) => seen[lane] === from)) return { kind: 'misfit', at: now.at };
  const lanes = now.lanes.filter((lane) => (seen[lane] as number) >= from);
  // What is missing elsewhere must come once more.
  if (lanes.length < required && now.lanes.length >= required) return { kind: 'misfit', at: now.at };
  return { kind: 'fits', start: from, lanes };
}

/** The lanes that hold most: those that can be committed when nothing more comes. */
export function fullest(seen: readonly Seen[], lanes: readonly number[]): readonly number[] {
  const most = Math.max(...lanes.map((lane) => seen[lane] as number));
  return lanes.filter((lane) => seen[lane] === most);
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
