/**
 * Kraken's metainfo of a blob that is here: CRC-32 sums of pieces of 4 MiB, as its shipped configuration has them.
 *
 * Rule: it costs a read of the whole blob, so few are made at a time, and the latest are kept.
 */

import { crc32 } from 'node:zlib';
import { ApiError } from '../../core/contracts/errors.ts';
import { type Digest, digestHex } from '../../core/digest.ts';
import type { Content } from '../../platform/http/content.ts';

export type KrakenMetainfo = {
  readonly Info: {
    readonly PieceLength: number;
    /** null of an empty blob. */
    readonly PieceSums: readonly number[] | null;
    /** The digest's hex digits. */
    readonly Name: string;
    readonly Length: number;
  };
};

const pieceBytes = 4 * 1024 * 1024;
const makingMax = 2;
/** About 10 KB each, for a blob of 10 GB. */
const keptMax = 64;

export class KrakenMetainfos {
  readonly #kept = new Map<Digest, KrakenMetainfo>();
  readonly #making = new Map<Digest, Promise<KrakenMetainfo>>();

  /** TOOMANYREQUESTS at the limit. */
  async of(content: Content): Promise<KrakenMetainfo> {
    const { digest } = content;
    const kept = this.#kept.get(digest);
    if (kept !== undefined) return kept;
    const making = this.#making.get(digest);
    if (making !== undefined) return await making;
    if (this.#making.size >= makingMax) {
      throw new ApiError('TOOMANYREQUESTS', `metainfo of ${makingMax} blobs is being made: try again later`);
    }
    const made = metainfoOf(content).finally(() => this.#making.delete(digest));
    this.#making.set(digest, made);
    const metainfo = await made;
    this.#kept.set(digest, metainfo);
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= keptMax) break;
      this.#kept.delete(oldest);
    }
    return metainfo;
  }
}

async function metainfoOf({ digest, size, open }: Content): Promise<KrakenMetainfo> {
  const sums: number[] = [];
  let [sum, filled] = [0, 0];
  for await (const chunk of open(0, size)) {
    try {
      for (const part of chunk.bytes) {
        for (let at = 0; at < part.length; ) {
          const bytes = part.subarray(at, at + Math.min(part.length - at, pieceBytes - filled));
          sum = crc32(bytes, sum);
          filled += bytes.length;
          at += bytes.length;
          if (filled < pieceBytes) continue;
          sums.push(sum);
          [sum, filled] = [0, 0];
        }
      }
    } finally {
      chunk.release();
    }
  }
  if (filled > 0) sums.push(sum);
  const PieceSums = size === 0 ? null : sums;
  return { Info: { PieceLength: pieceBytes, PieceSums, Name: digestHex(digest), Length: size } };
}
