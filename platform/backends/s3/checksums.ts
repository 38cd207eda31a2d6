/**
 * What bytes are checked by on their way to the server: CRC-32 where it knows that, MD5 where it does not. Both sides
 * compute it; what the server confirms is compared here too.
 */

import { createHash, type Hash } from 'node:crypto';
import { crc32 } from 'node:zlib';

export type SumKind = 'crc32' | 'md5';

/** Of the bytes of one request. */
export type Sum = { readonly kind: SumKind; readonly base64: string; readonly hex: string };

/** A sum of bytes that come one after the other. */
export class Summing {
  readonly #kind: SumKind;
  readonly #md5: Hash | undefined;
  #crc = 0;

  constructor(kind: SumKind) {
    this.#kind = kind;
    this.#md5 = kind === 'md5' ? createHash('md5') : undefined;
  }

  add(bytes: Uint8Array): void {
    if (this.#md5 === undefined) this.#crc = crc32(bytes, this.#crc);
    else this.#md5.update(bytes);
  }

  sum(): Sum {
    const bytes = this.#md5?.digest() ?? Buffer.alloc(4);
    if (this.#md5 === undefined) bytes.writeUInt32BE(this.#crc);
    return { kind: this.#kind, base64: bytes.toString('base64'), hex: bytes.toString('hex') };
  }
}

export function sumOf(kind: SumKind, bytes: Uint8Array): Sum {
  const summing = new Summing(kind);
  summing.add(bytes);
  return summing.sum();
}

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
