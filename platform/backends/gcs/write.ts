/**
 * An object of one request, with what is said of it before its bytes: the server refuses bytes of another MD5, and what
 * it answers is compared here once more.
 */

import { randomUUID } from 'node:crypto';
import type { Digest } from '../../../core/digest.ts';
import type { BackendObject, ObjectSource, WriteCondition } from '../backend.ts';
import type { PartRoom } from '../parts/room.ts';
import { partsOf, WrongSource } from '../parts/source.ts';
import { type Sum, sumOf } from '../parts/sums.ts';
import type { WebAnswer } from '../web/answer.ts';
import { describing, type GcsObject, gcsObjectOf, objectFields } from './object.ts';
import { changed, isGeneration } from './read.ts';
import type { GcsRequests } from './requests.ts';

export type GcsWriting = {
  readonly requests: GcsRequests;
  readonly room: PartRoom;
  /** Larger ones are written by an upload that can be gone on with. */
  readonly wholeBytesMax: number;
  /** Others write there as well: nothing is removed. */
  readonly shared: boolean;
};

export async function writeGcs(
  { requests, room }: GcsWriting,
  key: string,
  source: ObjectSource,
  signal: AbortSignal,
): Promise<BackendObject> {
  const { size, digest } = source;
  try {
    for await (const { bytes, sum, done } of partsOf(source, { size: Math.max(1, size), sums: 'md5', room }, signal)) {
      try {
        return await putGcs(requests, { key, bytes, sum, digest }, signal);
      } finally {
        done();
      }
    }
  } catch (error) {
    throw error instanceof WrongSource ? gcsSourceError(requests, key, error) : error;
  }
  throw requests.wrong('damaged', key, 'was not written: its source gave nothing');
}

export function gcsSourceError(requests: GcsRequests, key: string, { message }: WrongSource) {
  return requests.wrong(
    'damaged',
    key,
    `was not written, as its source ${message}: mend the copy that it was read from`,
  );
}

export type Whole = {
  readonly key: string;
  readonly bytes: Uint8Array;
  readonly sum?: Sum;
  readonly digest?: Digest;
  readonly condition?: WriteCondition | undefined;
};

export async function putGcs(requests: GcsRequests, whole: Whole, signal: AbortSignal): Promise<BackendObject> {
  const { key, bytes, sum = sumOf('md5', bytes), digest, condition } = whole;
  const version = condition?.version;
  // No object has such a generation, and the server would refuse the question.
  if (typeof version === 'string' && !isGeneration(version)) throw changed({ requests, key });
  const boundary = `shoal-${randomUUID()}`;
  const json = describing(key, { digest, md5: sum.base64 });
  const answer = await requests.ask({
    ...{ method: 'POST', doing: 'write', key, at: 'upload', signal },
    query: {
      uploadType: 'multipart',
      name: key,
      ifGenerationMatch: version === null ? '0' : version,
      fields: objectFields,
    },
    headers: { 'content-type': `multipart/related; boundary=${boundary}` },
    body: Buffer.concat([
      Buffer.from(`--${boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n${json}\r\n`),
      Buffer.from(`--${boundary}\r\nContent-Type: application/octet-stream\r\n\r\n`),
      bytes,
      Buffer.from(`\r\n--${boundary}--\r\n`),
    ]),
  });
  const made = await objectIn(answer);
  if (made.size !== bytes.length || made.md5 !== sum.base64)
    throw requests.wrong(
      'damaged',
      key,
      `was written with ${bytes.length} bytes of MD5 ${sum.base64}, and the server says ${made.size} of ${made.md5 ?? 'none'}: it is written again`,
    );
  return { size: made.size, digest, version: made.version };
}

/** What the server says of an object that was made, or asked for. */
export async function objectIn(answer: WebAnswer): Promise<GcsObject> {
  const object = gcsObjectOf(await answer.json());
  if (object === undefined) throw answer.wrong('unavailable', 'answers with no description of an object');
  return object;
}

/** What the server says of it; throws where there is none. */
export async function lookUp(requests: GcsRequests, key: string, signal: AbortSignal): Promise<GcsObject> {
  const query = { fields: objectFields };
  return await objectIn(await requests.ask({ method: 'GET', doing: 'look up', key, query, signal }));
}

/** `generation`: that one, and no other. */
export async function removeGcs(
  requests: GcsRequests,
  { key, generation }: { readonly key: string; readonly generation?: string },
  signal: AbortSignal,
): Promise<void> {
  const answer = await requests.ask({
    ...{ method: 'DELETE', doing: 'remove', key, signal },
    query: { ifGenerationMatch: generation },
  });
  await answer.discard();
}
