/**
 * What this server can do, found out by doing it: an object is written, read, listed and removed under a key of its own;
 * or not removed, where nothing may be.
 *
 * Rule: what it does not do is named. What it cannot be asked (it is down, it hangs, it refuses us) is thrown, and asked
 *       again the next time.
 */

import { DeleteObjectCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import { BackendError, type WriteCondition } from '../backend.ts';
import { type Sum, type SumKind, sumOf } from '../parts/sums.ts';
import type { S3Settings } from './config.ts';
import { readObject, type S3Reading } from './read.ts';
import type { S3Requests } from './requests.ts';
import { putWhole } from './write.ts';

export type Features = {
  readonly sums: SumKind;
  readonly conditions: boolean;
  readonly list: boolean;
  /** What it lacks, and what follows from that: a line each. */
  readonly lacks: readonly string[];
};

type Probe = {
  readonly plan: S3Reading;
  readonly settings: S3Settings;
  readonly key: string;
  /** The object stays, the same one each time: others write there as well, so that nothing is removed. */
  readonly stays: boolean;
};

const bytes = Buffer.from('written by shoal to see whether this bucket can be used; may be removed\n');
const otherBytes = Buffer.from('never to be seen: its checksum is that of something else\n');
/** No object has this version. */
const nobodysVersion = '"00000000000000000000000000000000"';

export async function probeFeatures(probe: Probe, signal: AbortSignal): Promise<Features> {
  const { plan, key, stays } = probe;
  const lacks: string[] = [];
  const sums = await sumsOf(probe, signal);
  const sum = sumOf(sums, bytes);
  try {
    // Whoever else probes the one that stays finds it as it always is.
    if (!stays && !(await refuses(probe, { sum, bytes: otherBytes }, signal)))
      lacks.push(
        'it does not compare bytes with the checksum that goes along: damage on the way is seen only by who reads',
      );
    const conditions =
      (await refuses(probe, { sum, condition: { version: null } }, signal)) &&
      (await refuses(probe, { sum, condition: { version: nobodysVersion } }, signal));
    if (!conditions)
      lacks.push(
        'it ignores If-None-Match or If-Match on writes: of two clusters on this bucket, one may undo the other',
      );
    await readBack(plan, key, signal);
    const list = await listed(plan.requests, key, signal);
    if (!list) lacks.push('it does not list objects (ListObjectsV2): nothing can be restored from it by reconcile');
    return { sums, conditions, list, lacks };
  } finally {
    if (!stays) await removeObject(plan.requests, key, signal).catch(() => undefined);
  }
}

/** Which sum it computes itself; the first object is written by this. */
async function sumsOf({ plan: { requests }, settings, key }: Probe, signal: AbortSignal): Promise<SumKind> {
  const put = (kind: SumKind) => putWhole({ requests, settings }, { key, bytes, sum: sumOf(kind, bytes) }, signal);
  if (settings.checksums !== 'auto') {
    await put(settings.checksums);
    return settings.checksums;
  }
  try {
    const { told } = await put('crc32');
    if (told) return 'crc32';
  } catch (error) {
    if (!(error instanceof BackendError) || !['unsupported', 'refused', 'damaged'].includes(error.why)) throw error;
  }
  await put('md5');
  return 'md5';
}

/** Does it refuse a write that it has to refuse? */
async function refuses(
  { plan: { requests }, settings, key }: Probe,
  wrong: { sum: Sum; bytes?: Uint8Array; condition?: WriteCondition },
  signal: AbortSignal,
): Promise<boolean> {
  try {
    await putWhole({ requests, settings }, { key, bytes, ...wrong }, signal);
    return false;
  } catch (error) {
    if (error instanceof BackendError && ['damaged', 'refused', 'changed', 'unsupported'].includes(error.why))
      return true;
    throw error;
  }
}

async function readBack(plan: S3Reading, key: string, signal: AbortSignal): Promise<void> {
  const part: Uint8Array[] = [];
  for await (const chunk of readObject(plan, key, { start: 1, end: 9 }, signal)) part.push(chunk);
  if (!Buffer.concat(part).equals(bytes.subarray(1, 9)))
    throw plan.requests.wrong('damaged', key, 'is read back with other bytes than were written');
}

async function listed(requests: S3Requests, key: string, signal: AbortSignal): Promise<boolean> {
  try {
    const { Contents = [] } = await requests.ask({ doing: 'list', signal }, (client, options) =>
      client.send(new ListObjectsV2Command({ Bucket: requests.bucket, Prefix: key, MaxKeys: 1 }), options),
    );
    return Contents.some(({ Key }) => Key === key);
  } catch (error) {
    if (error instanceof BackendError && ['unsupported', 'refused', 'denied'].includes(error.why)) return false;
    throw error;
  }
}

/** One that is not there is fine. */
export async function removeObject(requests: S3Requests, key: string, signal: AbortSignal): Promise<void> {
  await requests.ask({ doing: 'remove', key, signal }, (client, options) =>
    client.send(new DeleteObjectCommand({ Bucket: requests.bucket, Key: key }), options),
  );
}
