/** Sums of bytes on their way, which both sides compute: CRC-32 or MD5. */

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
