/** A small blob that somebody else named, whole: right by its digest, or not there. */

import { createHash } from 'node:crypto';
import { ApiError, type ErrorCode } from '../../core/contracts/errors.ts';
import { type Digest, digestAlgorithm, digestHex } from '../../core/digest.ts';
import { bytesOf, type Content } from '../http/content.ts';

/** Answers that say that it cannot be had, whoever is asked. */
const ABSENT: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'BLOB_UNKNOWN',
  'MANIFEST_UNKNOWN',
  'RANGE_INVALID',
  'SIZE_INVALID',
]);

/** Undefined: it is not there, is larger than `max`, or is another one. Throws UNAVAILABLE where it cannot be had now. */
export async function wholeOf(
  digest: Digest,
  max: number,
  open: () => Promise<Pick<Content, 'size' | 'open'> | undefined>,
): Promise<Uint8Array | undefined> {
  try {
    const content = await open();
    if (content === undefined || content.size > max) return undefined;
    const bytes = await bytesOf(content);
    const hex = createHash(digestAlgorithm(digest)).update(bytes).digest('hex');
    return hex === digestHex(digest) ? bytes : undefined;
  } catch (error) {
    if (!(error instanceof ApiError) || error.code === 'UNAVAILABLE') throw error;
    if (ABSENT.has(error.code)) return undefined;
    throw new ApiError('UNAVAILABLE', error.message);
  }
}
