/**
 * What bytes are checked by on their way to the server: CRC-32 where it knows that, MD5 where it does not. Both sides
 * compute it; what the server confirms is compared here too.
 */

import type { Sum } from '../parts/sums.ts';

/** What goes with a request that writes. */
export function sumInput({ kind, base64 }: Sum): { ChecksumCRC32: string } | { ContentMD5: string } {
  return kind === 'crc32' ? { ChecksumCRC32: base64 } : { ContentMD5: base64 };
}

/** What a server says of what it has, by answer or in a list of parts. */
type Said = { readonly ETag?: string | undefined; readonly ChecksumCRC32?: string | undefined };

/**
 * yes: the server has computed the same; no: another; untold: it gives no sum of that kind, as an ETag is the MD5 only
 * where nothing is encrypted by a key service.
 */
export function confirms({ ETag, ChecksumCRC32 }: Said, sum: Sum): 'yes' | 'no' | 'untold' {
  if (sum.kind === 'crc32') {
    if (ChecksumCRC32 === undefined) return 'untold';
    return ChecksumCRC32 === sum.base64 ? 'yes' : 'no';
  }
  const etag = ETag?.replaceAll('"', '') ?? '';
  return etag === sum.hex ? 'yes' : 'untold';
}
