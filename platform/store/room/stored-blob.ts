/** What is known of a blob of the store without an entry of it, which is for who reads or writes it. */

import type { Digest } from '../../../core/digest.ts';
import type { Metainfo } from '../../../core/piece.ts';
import type { BlobEntry } from '../pieces/entry.ts';

export type StoredBlob = {
  readonly digest: Digest;
  readonly meta: Metainfo;
  readonly complete: boolean;
  /** It was whole, and its file lacks pieces of it now. */
  readonly damaged: boolean;
};

export function storedBlob({ digest, meta, complete, file }: BlobEntry): StoredBlob {
  return { digest, meta, complete, damaged: !complete && !file.partial };
}
