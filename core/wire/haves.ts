/**
 * Haves in the denser of two forms: a list of gaps, or a bit set from the first piece on.
 *
 * Gaps: varint count, then per piece a varint: the first piece, then the gap to the one before,
 * less one. Bit set: varint of the first piece, then bytes to the end of the body; bit (i & 7) of
 * byte (i >> 3) is piece first + i. Bit 0 is set, the last byte is not 0.
 */

import { assert } from '../assert.ts';
import { piecesMax } from '../piece.ts';
import type { ByteReader, ByteWriter } from './bytes.ts';
import { havesPerFrameMax } from './limits.ts';

type Pieces = readonly number[] | Uint32Array;

/** Bytes of `pieces` as gaps, without the count. */
function gapBytes(pieces: Pieces): number {
  let bytes = 0;
  let next = 0;
  for (let i = 0; i < pieces.length; i++) {
    const gap = (pieces[i] as number) - next;
    bytes += gap < 0x80 ? 1 : gap < 0x4000 ? 2 : 3;
    next = (pieces[i] as number) + 1;
  }
  return bytes;
}

/** Whether the bit set is the shorter form. */
export function asBitmap(pieces: Pieces): boolean {
  if (pieces.length < 2) return false;
  const span = (pieces[pieces.length - 1] as number) - (pieces[0] as number);
  return (span >> 3) + 1 < gapBytes(pieces);
}

export function writeGaps(to: ByteWriter, pieces: Pieces): void {
  assert(pieces.length <= havesPerFrameMax, `wire: ${pieces.length} haves in a frame`);
  to.varint(pieces.length, havesPerFrameMax, 'haves');
  let next = 0;
  for (let i = 0; i < pieces.length; i++) {
    const piece = pieces[i] as number;
    assert(piece < piecesMax, `wire: piece ${piece} out of range`);
    to.varint(piece - next, piecesMax, 'gap (haves must ascend)');
    next = piece + 1;
  }
}

export function readGaps(from: ByteReader): Uint32Array {
  const count = from.varint(havesPerFrameMax, 'count');
  // A piece takes a byte at least: no count may ask for more memory than its frame has bytes.
  if (count > from.left) from.fault('cut short');
  const pieces = new Uint32Array(count);
  let next = 0;
  for (let i = 0; i < count; i++) {
    const piece = next + from.varint(piecesMax - 1, 'gap');
    if (piece >= piecesMax) from.fault('piece out of range');
    pieces[i] = piece;
    next = piece + 1;
  }
  return pieces;
}

export function writeBitmap(to: ByteWriter, pieces: Pieces): void {
  assert(pieces.length <= havesPerFrameMax, `wire: ${pieces.length} haves in a frame`);
  const first = pieces[0] as number;
  to.varint(first, piecesMax - 1, 'piece');
  let byte = 0;
  let at = 0;
  let before = first - 1;
  for (let i = 0; i < pieces.length; i++) {
    const piece = pieces[i] as number;
    assert(piece > before && piece < piecesMax, 'wire: haves must ascend');
    before = piece;
    const bit = piece - first;
    for (; at < bit >> 3; at++) {
      to.u8(byte);
      byte = 0;
    }
    byte |= 1 << (bit & 7);
  }
  to.u8(byte);
}

export function readBitmap(from: ByteReader): Uint32Array {
  const first = from.varint(piecesMax - 1, 'piece');
  const bits = from.bytes(from.left);
  if (((bits[0] ?? 0) & 1) === 0 || bits[bits.length - 1] === 0) from.fault('bit set is not trimmed');
  let count = 0;
  for (const byte of bits) for (let b = byte; b !== 0; b &= b - 1) count++;
  if (count > havesPerFrameMax) from.fault('too many pieces');
  const pieces = new Uint32Array(count);
  let n = 0;
  for (let at = 0; at < bits.length; at++) {
    const byte = bits[at] as number;
    for (let bit = 0; bit < 8; bit++) if ((byte >> bit) & 1) pieces[n++] = first + at * 8 + bit;
  }
  if (first + (bits.length - 1) * 8 + 31 - Math.clz32(bits[bits.length - 1] as number) >= piecesMax) {
    from.fault('piece out of range');
  }
  return pieces;
}
