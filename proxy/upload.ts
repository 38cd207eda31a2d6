/**
 * An upload, of which no proxy remembers anything: what its Location carries (upload id, digest algorithm, bytes
 * acknowledged so far, the origins that receive it), where it stands, from what those origins say, and what a client is
 * answered of it. Pure, but for the drawing of ids.
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
import { DIGEST_ALGORITHMS, type Digest, type DigestAlgorithm } from '../core/digest.ts';
import { OCI_PATHS } from '../core/oci/paths.ts';
import { uploadRange } from '../core/oci/range.ts';
import type { OriginClient } from '../platform/clients/origin.ts';
import type { Headers } from '../platform/http/content.ts';
import type { OciReply } from '../platform/registry/reply.ts';

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
/** Enough that another's is not taken for one's own by chance. */
const markHexDigits = 8;
const sessionPattern = /^([0-9a-f]{12}-[0-9a-f]{32})\.([a-z0-9]+)\.(\d{1,15})((?:\.[0-9a-f]{12}){1,8})$/;

/** A new upload id of `repo`; 128 random bits, 96 where it tells who began it, so that nobody guesses another's. */
export function drawUploadId(repo: string, by?: string): string {
  const drawn = randomBytes(idHexDigits / 2).toString('hex');
  return `${short(repo)}-${by === undefined ? drawn : markedBy(drawn, by)}`;
}

/** Whether that upload was begun by that user, as its id tells. */
export function uploadBegunBy(text: string, name: string): boolean {
  const id = sessionPattern.exec(text)?.[1]?.slice(keyHexDigits + 1);
  return id !== undefined && markedBy(id, name) === id;
}

/** The same digits, the last ones as they are of an upload of that user. */
function markedBy(digits: string, name: string): string {
  const rest = digits.slice(0, -markHexDigits);
  const mark = createHash('sha256').update(`${rest} ${name}`).digest('hex').slice(0, markHexDigits);
  return rest + mark;
}

/** All origins that this proxy knows, and what each is called: its id, be it that only its URL is known. */
export type Called = {
  readonly clients: readonly OriginClient[];
  idOf(client: OriginClient): string;
};

/** The session of an upload that these have, all that was acknowledged of it. */
export function sessionAt(
  about: Pick<Session, 'id' | 'algorithm' | 'acked'>,
  origins: readonly OriginClient[],
  called: Called,
): Session {
  const { id, algorithm, acked } = about;
  return { id, algorithm, acked, origins, keys: origins.map((origin) => short(called.idOf(origin))) };
}

function formatSession({ id, algorithm, acked, keys }: Session): string {
  return [id, algorithm, acked, ...keys].join('.');
}

/** Throws BLOB_UPLOAD_UNKNOWN for whatever is not an upload of `repo`. */
export function parseSession(text: string, repo: string, called: Called): Session {
  const match = sessionPattern.exec(text);
  const [, id, algorithm, acked, named] = match ?? [];
  if (id === undefined || algorithm === undefined || acked === undefined || named === undefined) throw unknown(text);
  if (!id.startsWith(`${short(repo)}-`) || !Object.hasOwn(DIGEST_ALGORITHMS, algorithm)) throw unknown(text);
  const keys = [...new Set(named.slice(1).split('.'))];
  // A proxy of the release before, or one that does not know an id yet, names a URL.
  const names = (origin: OriginClient): string[] => [short(called.idOf(origin)), short(origin.url)];
  const known = called.clients.filter((origin) => names(origin).some((name) => keys.includes(name)));
  // One that left the list, or whose id is not known yet: whoever has the upload says so.
  const lanes = known.length >= keys.length ? known : [...new Set([...known, ...called.clients])];
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

export function gone(session: Session, kind: 'unknown' | 'silent'): ApiError {
  if (kind === 'unknown')
    return new ApiError('BLOB_UPLOAD_UNKNOWN', `upload ${session.id} is not known any more: begin a new one`);
  return new ApiError('UNAVAILABLE', `the origins of upload ${session.id} do not answer: try again`);
}

function locate(repo: string, session: Session): string {
  return OCI_PATHS.upload(repo, formatSession(session));
}

/** Where the client goes on, and what it has been told of. */
export function progress(repo: string, session: Session, at: number): Headers {
  return {
    location: locate(repo, { ...session, acked: at }),
    range: uploadRange(at),
    'docker-upload-uuid': session.id,
  };
}

export function accepted(repo: string, session: Session): OciReply {
  return { kind: 'empty', status: 202, headers: progress(repo, session, session.acked) };
}

export function misfit(repo: string, session: Session, at: number): OciReply {
  const error = new ApiError('BLOB_UPLOAD_RANGE', `the upload stands at ${at}: continue there`, { offset: at });
  return { kind: 'error', error, headers: progress(repo, session, at) };
}

export function created(repo: string, digest: Digest): OciReply {
  const headers = { location: OCI_PATHS.blob(repo, digest), 'docker-content-digest': digest };
  return { kind: 'empty', status: 201, headers };
}
