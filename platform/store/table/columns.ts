/**
 * The columns of the table of blobs: what is known of each, in as few bytes as it takes.
 *
 * Rule: rows come in chunks, so that a table that grows is never copied, and takes no more than one chunk too many.
 */

import { hashBytes } from '../../../core/piece.ts';

/** Rows of a chunk; some 400 KB. */
export const rowsLog2 = 12;
export const chunkRows = 1 << rowsLog2;
export const inChunk = chunkRows - 1;
const eight = Float64Array.BYTES_PER_ELEMENT;
const four = Int32Array.BYTES_PER_ELEMENT;
/** No row. */
export const none = -1;

/** Row `row` is in the chunk `row >> rowsLog2`, at `row & inChunk` of each column. */
export class RowChunk {
  readonly lengths: Float64Array;
  readonly came: Uint32Array;
  readonly used: Uint32Array;
  /** Neighbours in the order of use. */
  readonly before: Int32Array;
  readonly after: Int32Array;
  /** The next row of the same bucket, or of the free ones. */
  readonly chain: Int32Array;
  readonly digests: Buffer;
  readonly roots: Buffer;
  readonly flags: Uint8Array;
  readonly pieceLog2: Uint8Array;
  readonly volumes: Uint8Array;

  constructor() {
    const memory = new ArrayBuffer(chunkRows * (eight + 5 * four + 2 * hashBytes + 3));
    let at = 0;
    const next = <T extends { readonly byteLength: number }>(
      view: new (memory: ArrayBuffer, at: number, length: number) => T,
      length: number = chunkRows,
    ): T => {
      const column = new view(memory, at, length);
      at += column.byteLength;
      return column;
    };
    this.lengths = next(Float64Array);
    this.came = next(Uint32Array);
    this.used = next(Uint32Array);
    this.before = next(Int32Array);
    this.after = next(Int32Array);
    this.chain = next(Int32Array);
    this.digests = bufferOf(next(Uint8Array, chunkRows * hashBytes));
    this.roots = bufferOf(next(Uint8Array, chunkRows * hashBytes));
    this.flags = next(Uint8Array);
    this.pieceLog2 = next(Uint8Array);
    this.volumes = next(Uint8Array);
  }
}

function bufferOf({ buffer, byteOffset, length }: Uint8Array<ArrayBuffer>): Buffer {
  return Buffer.from(buffer, byteOffset, length);
}
