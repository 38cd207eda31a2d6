/**
 * The checksum that HDFS gives of a file, computed of the bytes as they go out: of each `chunkBytes` the CRC, of the CRCs of
 * each block the MD5, of those the MD5 (Hadoop's MD5MD5CRC32FileChecksum).
 *
 * Rule: it is known beforehand how HDFS cuts a file, or nothing is compared. No memory but an MD5 a block.
 */

import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { crc32c } from './crc32c.ts';

/** How the server cuts, and which CRC it takes. */
export type ChecksumPlan = { readonly blockBytes: number; readonly chunkBytes: number; readonly crc: CrcName };
export type CrcName = 'CRC32' | 'CRC32C';

const crcs: Readonly<Record<CrcName, (bytes: Uint8Array, before: number) => number>> = { CRC32: crc32, CRC32C: crc32c };
/** The buffer whose whole length Hadoop hashes begins so long, and doubles: zeros are after the MD5s. */
const paddingBytes = 32;

export class HdfsChecksum {
  readonly #plan: ChecksumPlan;
  readonly #crc: (bytes: Uint8Array, before: number) => number;
  readonly #blocks: Buffer[] = [];
  readonly #four = Buffer.alloc(4);
  #block = createHash('md5');
  #size = 0;
  #inChunk = 0;
  #sum = 0;

  constructor(plan: ChecksumPlan) {
    this.#plan = plan;
    this.#crc = crcs[plan.crc];
  }

  update(bytes: Uint8Array): void {
    const { chunkBytes, blockBytes } = this.#plan;
    for (let at = 0; at < bytes.length; ) {
      const end = Math.min(bytes.length, at + chunkBytes - this.#inChunk);
      this.#sum = this.#crc(bytes.subarray(at, end), this.#sum);
      this.#inChunk += end - at;
      this.#size += end - at;
      at = end;
      if (this.#inChunk === chunkBytes) this.#endChunk();
      if (this.#size % blockBytes === 0) this.#endBlock();
    }
  }

  /** As the server says it: algorithm, and 28 bytes in hexadecimal. */
  digest(): { readonly algorithm: string; readonly bytes: string } {
    this.#endChunk();
    if (this.#size % this.#plan.blockBytes !== 0) this.#endBlock();
    const { blockBytes, chunkBytes, crc } = this.#plan;
    const perBlock = this.#blocks.length > 1 ? blockBytes / chunkBytes : 0;
    let length = paddingBytes;
    while (length < this.#blocks.length * 16) length *= 2;
    const all = Buffer.concat(this.#blocks, length);
    const head = Buffer.alloc(12);
    head.writeUInt32BE(chunkBytes);
    head.writeBigUInt64BE(BigInt(perBlock), 4);
    const bytes = Buffer.concat([head, createHash('md5').update(all).digest()]).toString('hex');
    return { algorithm: `MD5-of-${perBlock}MD5-of-${chunkBytes}${crc}`, bytes };
  }

  #endChunk(): void {
    if (this.#inChunk === 0) return;
    this.#four.writeUInt32BE(this.#sum);
    this.#block.update(this.#four);
    this.#inChunk = 0;
    this.#sum = 0;
  }

  #endBlock(): void {
    this.#endChunk();
    this.#blocks.push(this.#block.digest());
    this.#block = createHash('md5');
  }
}
