/**
 * An object is written: a small one by one request, a large one in parts (multipart.ts).
 *
 * Rule: it is there once the server has confirmed its size and checksum: by the sum that it computed itself, or by a HEAD
 *       with the digest that went along as metadata.
 */

import { HeadObjectCommand, type HeadObjectCommandOutput, PutObjectCommand } from '@aws-sdk/client-s3';
import { type Digest, parseDigest } from '../../../core/digest.ts';
import type { BackendObject, ObjectSource, WriteCondition } from '../backend.ts';
import type { PartRoom } from '../parts/room.ts';
import { partsOf, WrongSource } from '../parts/source.ts';
import type { Sum, SumKind } from '../parts/sums.ts';
import { confirms, sumInput } from './checksums.ts';
import type { S3Settings } from './config.ts';
import { looking } from './errors.ts';
import type { S3Requests } from './requests.ts';

export type S3Writing = {
  readonly requests: S3Requests;
  readonly settings: S3Settings;
  readonly room: PartRoom;
  readonly sums: SumKind;
  /** Nobody else writes there: an upload that is found is one that we, or another origin, left. */
  readonly alone: boolean;
};

/** As a header: `x-amz-meta-shoal-digest`. */
const digestField = 'shoal-digest';

export function digestMetadata(digest: Digest): Record<string, string> {
  return { [digestField]: digest };
}

/** What is stored with each object, whoever writes it. */
export function storing({ storageClass, encryption }: S3Settings) {
  return {
    ...(storageClass !== undefined && { StorageClass: storageClass as 'STANDARD' }),
    ...(encryption === 's3' && { ServerSideEncryption: 'AES256' as const }),
    ...(typeof encryption === 'object' && {
      ServerSideEncryption: 'aws:kms' as const,
      SSEKMSKeyId: encryption.kms,
      BucketKeyEnabled: encryption.bucketKey,
    }),
  };
}

/** What the server says of it; throws where there is none. */
export async function head(requests: S3Requests, key: string, signal: AbortSignal): Promise<BackendObject> {
  const asked = { doing: looking, key, signal };
  return objectOf(
    await requests.ask(asked, (client, options) =>
      client.send(new HeadObjectCommand({ Bucket: requests.bucket, Key: key }), options),
    ),
  );
}

function objectOf({ ContentLength, ETag, Metadata }: HeadObjectCommandOutput): BackendObject {
  return {
    size: ContentLength ?? 0,
    digest: parseDigest(Metadata?.[digestField] ?? ''),
    version: ETag ?? '',
  };
}

/** An object of one request. */
export async function writeAtOnce(
  { requests, room, sums, settings }: S3Writing,
  key: string,
  source: ObjectSource,
  signal: AbortSignal,
): Promise<BackendObject> {
  const { size, digest } = source;
  try {
    for await (const { bytes, sum, done } of partsOf(source, { size: Math.max(1, size), sums, room }, signal)) {
      try {
        const { version } = await putWhole({ requests, settings }, { key, bytes, sum, digest }, signal);
        return { size, digest, version };
      } finally {
        done();
      }
    }
  } catch (error) {
    if (error instanceof WrongSource) throw wrongSource(requests, key, error);
    throw error;
  }
  throw requests.wrong('damaged', key, 'was not written: its source gave nothing');
}

export function wrongSource(requests: S3Requests, key: string, { message }: WrongSource) {
  return requests.wrong(
    'damaged',
    key,
    `was not written, as its source ${message}: mend the copy that it was read from`,
  );
}

type Whole = {
  readonly key: string;
  readonly bytes: Uint8Array;
  readonly sum: Sum;
  readonly digest?: Digest;
  readonly condition?: WriteCondition | undefined;
};

/** The version that it got, and whether the server told its own sum; where it did not, a HEAD has confirmed the size. */
export async function putWhole(
  { requests, settings }: Pick<S3Writing, 'requests' | 'settings'>,
  { key, bytes, sum, digest, condition }: Whole,
  signal: AbortSignal,
): Promise<{ readonly version: string; readonly told: boolean }> {
  const asked = { doing: 'write', key, signal };
  const answer = await requests.ask(asked, (client, options) =>
    client.send(
      new PutObjectCommand({
        Bucket: requests.bucket,
        Key: key,
        Body: bytes,
        ContentLength: bytes.length,
        ...(digest !== undefined && { Metadata: digestMetadata(digest) }),
        ...sumInput(sum),
        ...storing(settings),
        ...(condition?.version === null && { IfNoneMatch: '*' }),
        ...(typeof condition?.version === 'string' && { IfMatch: condition.version }),
      }),
      options,
    ),
  );
  const confirmed = confirms(answer, sum);
  if (confirmed === 'no')
    throw requests.wrong('damaged', key, 'was written, and the server has another checksum: it is written again');
  const told = confirmed === 'yes';
  if (!told) await confirmByHead(requests, { key, size: bytes.length, digest }, signal);
  return { version: answer.ETag ?? '', told };
}

/** Throws unless the server has it in this size, and with this digest as its writer recorded it. */
export async function confirmByHead(
  requests: S3Requests,
  { key, size, digest }: { key: string; size: number; digest?: Digest | undefined },
  signal: AbortSignal,
): Promise<BackendObject> {
  const found = await head(requests, key, signal);
  if (found.size !== size || (digest !== undefined && found.digest !== digest))
    throw requests.wrong(
      'damaged',
      key,
      `was written with ${size} bytes, and the server says ${found.size} of ${found.digest ?? 'no digest'}: it is written again`,
    );
  return found;
}
