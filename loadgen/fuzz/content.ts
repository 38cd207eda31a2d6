/**
 * What blobs really contain: the truth that everything is judged by. Contents are real bytes with real
 * digests, made once a process and shared by all seeds (a seed draws which ones it uses).
 */

import { createHash } from 'node:crypto';
import { inlineBytesMax } from '../../core/contracts/fields.ts';
import { type Digest, digestOf } from '../../core/digest.ts';
import { MEDIA } from '../../core/oci/media.ts';
import { type Metainfo, pieceBytes, pieceLengthFor, unitBytes } from '../../core/piece.ts';
import { prng } from '../../core/prng.ts';
import type { Slot } from '../../platform/workers/arena.ts';
import { blake3, blake3Hex, sameBytes } from '../../platform/workers/hash.ts';

export type Content = {
  readonly bytes: Uint8Array;
  readonly digest: Digest;
  readonly meta: Metainfo;
  readonly hashes: Uint8Array;
  readonly pieces: number;
};

export function contentOf(bytes: Uint8Array): Content {
  const digest = digestOf('sha256', createHash('sha256').update(bytes).digest('hex'));
  const pieceLength = pieceLengthFor(bytes.length);
  const pieces = Math.ceil(bytes.length / pieceLength);
  const hashes = new Uint8Array(pieces * 32);
  for (let i = 0; i < pieces; i++) hashes.set(blake3(bytes.subarray(i * pieceLength, (i + 1) * pieceLength)), i * 32);
  return { bytes, digest, meta: { length: bytes.length, pieceLength, root: blake3Hex(hashes) }, hashes, pieces };
}

export function pieceOf(content: Content, piece: number): Uint8Array {
  const at = piece * content.meta.pieceLength;
  return content.bytes.subarray(at, at + pieceBytes(content.meta, piece));
}

/** Whether the slot holds these bytes and no others. */
export function slotHolds(slot: Slot, wanted: Uint8Array): boolean {
  let at = 0;
  for (const part of slot.parts()) {
    if (!sameBytes(part, wanted.subarray(at, at + part.length))) return false;
    at += part.length;
  }
  return at === wanted.length;
}

/** Edges of what is inline, one unit, several units. */
const layerBytes = [
  700,
  2 * unitBytes + 17,
  unitBytes,
  inlineBytesMax,
  4 * unitBytes - 1,
  inlineBytesMax + 1,
  unitBytes + 1,
  60_000,
  3 * unitBytes,
  unitBytes - 1,
  8 * unitBytes + 100,
  0,
  5 * unitBytes,
  1,
] as const;
export const layersMax = 4 * layerBytes.length;

const layers: (Content | undefined)[] = [];

/** One of `layersMax` layers. */
export function layerOf(no: number): Content {
  layers[no] ??= contentOf(bytesOf(0x5eed + no, layerBytes[no % layerBytes.length] as number));
  return layers[no];
}

/** A manifest's bytes: small, and of no two images the same. */
export function manifestOf(name: string, bytes: number, of: readonly Content[]): Content {
  const descriptor = ({ digest, bytes: { length } }: Content) => ({ mediaType: MEDIA.octets, digest, size: length });
  const text = JSON.stringify({
    schemaVersion: 2,
    mediaType: MEDIA.ociManifest,
    // A blob as any other.
    config: descriptor(of[0] as Content),
    layers: of.map(descriptor),
    annotations: { name },
  });
  // A copy: a Buffer's slice is none.
  return contentOf(new Uint8Array(Buffer.from(text.padEnd(bytes, ' '))));
}

function bytesOf(seed: number, length: number): Uint8Array {
  const random = prng(seed);
  const words = new Uint32Array(Math.ceil(length / 4));
  let x = random.below(2 ** 31) | 1;
  for (let i = 0; i < words.length; i++) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    words[i] = x;
  }
  return new Uint8Array(words.buffer, 0, length);
}
