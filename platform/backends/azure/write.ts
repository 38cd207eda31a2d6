/**
 * A blob of one request: it carries the MD5 of its bytes, by which the server refuses others, and counts once the answer
 * has the same one.
 */

import { type Digest, parseDigest } from '../../../core/digest.ts';
import type { BackendObject, ObjectSource, WriteCondition } from '../backend.ts';
import type { PartRoom } from '../parts/room.ts';
import { partsOf, WrongSource } from '../parts/source.ts';
import { type Sum, sumOf } from '../parts/sums.ts';
import type { WebAnswer } from '../web/answer.ts';
import type { AzureRequests } from './requests.ts';

export type AzureWriting = {
  readonly requests: AzureRequests;
  readonly room: PartRoom;
  readonly parts: { readonly size: number; readonly parallel: number };
};

/** Azure takes names of metadata as of variables. */
const digestHeader = 'x-ms-meta-shoal_digest';

export function digestHeaders(digest: Digest | undefined): Record<string, string> {
  return digest === undefined ? {} : { [digestHeader]: digest };
}

/** What the server says of it; throws where there is none. */
export async function lookUpAzure(requests: AzureRequests, key: string, signal: AbortSignal): Promise<BackendObject> {
  const answer = await requests.ask({ method: 'HEAD', doing: 'look up', key, signal });
  await answer.discard();
  const { etag = '', 'content-length': size = '' } = answer.headers;
  if (etag === '' || !/^\d{1,16}$/.test(size)) throw answer.wrong('unavailable', 'answers without ETag or length');
  return { size: Number(size), digest: parseDigest(answer.headers[digestHeader] ?? ''), version: etag };
}

export async function writeAzure(
  { requests, room }: AzureWriting,
  key: string,
  source: ObjectSource,
  signal: AbortSignal,
): Promise<BackendObject> {
  const { size, digest } = source;
  try {
    for await (const { bytes, sum, done } of partsOf(source, { size: Math.max(1, size), sums: 'md5', room }, signal)) {
      try {
        return await putAzure(requests, { key, bytes, sum, digest }, signal);
      } finally {
        done();
      }
    }
  } catch (error) {
    throw error instanceof WrongSource ? azureSourceError(requests, key, error) : error;
  }
  throw requests.wrong('damaged', key, 'was not written: its source gave nothing');
}

export function azureSourceError(requests: AzureRequests, key: string, { message }: WrongSource) {
  const words = `was not written, as its source ${message}: mend the copy that it was read from`;
  return requests.wrong('damaged', key, words);
}

type Whole = {
  readonly key: string;
  readonly bytes: Buffer;
  readonly sum?: Sum;
  readonly digest?: Digest;
  readonly condition?: WriteCondition | undefined;
};

export async function putAzure(requests: AzureRequests, whole: Whole, signal: AbortSignal): Promise<BackendObject> {
  const { key, bytes, sum = sumOf('md5', bytes), digest, condition } = whole;
  const answer = await requests.ask({
    ...{ method: 'PUT', doing: 'write', key, body: bytes, signal },
    headers: {
      'x-ms-blob-type': 'BlockBlob',
      'content-md5': sum.base64,
      'content-type': 'application/octet-stream',
      ...digestHeaders(digest),
      ...(condition?.version === null && { 'if-none-match': '*' }),
      ...(typeof condition?.version === 'string' && { 'if-match': condition.version }),
    },
  });
  await answer.discard();
  confirmSum({ requests, key }, answer, sum);
  return { size: bytes.length, digest, version: answer.headers['etag'] ?? '' };
}

/** Throws where the server has another sum than we have, or tells none. */
export function confirmSum(
  { requests, key }: { requests: AzureRequests; key: string },
  { headers }: WebAnswer,
  sum: Sum,
): void {
  const told = headers['content-md5'];
  if (told === sum.base64) return;
  if (told === undefined) throw requests.wrong('unsupported', key, 'was written, and the server confirms no MD5 of it');
  throw requests.wrong('damaged', key, 'was written, and the server has another MD5: it is written again');
}

export async function removeAzure(requests: AzureRequests, key: string, signal: AbortSignal): Promise<void> {
  const answer = await requests.ask({ method: 'DELETE', doing: 'remove', key, signal });
  await answer.discard();
}
