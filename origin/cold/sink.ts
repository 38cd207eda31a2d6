/**
 * Where a blob's bytes go while they come from a backend: a blob that grows, which is read and fed meanwhile, or, where one of
 * that digest lies here damaged, or in part, or it has no byte at all, an upload, which takes its place at the end.
 */

import { randomUUID } from 'node:crypto';
import { ApiError } from '../../core/contracts/errors.ts';
import { type Digest, digestAlgorithm } from '../../core/digest.ts';
import type { GrowingEntry } from '../../platform/store/growing/entry.ts';
import type { BlobEntry, BlobStore } from '../../platform/store/store.ts';

/** As platform/store/growing/writing.ts says. */
export type ColdSink = {
  /** What can be read of it already. */
  readonly entry: GrowingEntry | undefined;
  /** Where the bytes go on. */
  readonly offset: number;
  /** False: it came whole by another way. */
  readonly needed: boolean;
  append(chunk: Uint8Array): Promise<void>;
  /** DIGEST_INVALID, SIZE_INVALID: nothing is kept. */
  finish(): Promise<BlobEntry>;
  abort(): Promise<void>;
};

/** ApiError STORAGE_FULL, UNAVAILABLE. */
export async function openColdSink(
  store: Pick<BlobStore, 'growing' | 'beginUpload'>,
  digest: Digest,
  length: number,
): Promise<ColdSink> {
  if (length > 0) {
    try {
      return await store.growing.begin(digest, length);
    } catch (error) {
      if (!(error instanceof ApiError) || error.code !== 'BLOB_UPLOAD_INVALID') throw error;
    }
  }
  const upload = await store.beginUpload(`cold-${randomUUID()}`, digestAlgorithm(digest));
  return {
    entry: undefined,
    needed: true,
    get offset() {
      return upload.offset;
    },
    append: (chunk) => upload.append(chunk),
    finish: () => upload.commit(digest),
    abort: () => upload.cancel(),
  };
}
