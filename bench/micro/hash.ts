/** Hashing, one core: BLAKE3 of a unit in shared memory, of a folded piece, and what others check instead. */

import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { unitBytes } from '../../core/piece.ts';
import { blake3, pieceHash } from '../../platform/workers/hash.ts';
import type { MicroCase } from './runner.ts';

const foldedUnits = 4;

function unit(): Uint8Array<SharedArrayBuffer> {
  const bytes = new Uint8Array(new SharedArrayBuffer(unitBytes));
  for (let i = 0; i < bytes.length; i++) bytes[i] = (i * 2_654_435_761) >>> 24;
  return bytes;
}

export function hashCases(): MicroCase[] {
  const bytes = unit();
  const own = Uint8Array.from(bytes);
  const parts = Array.from({ length: foldedUnits }, unit);
  return [
    { name: 'hashBlake3', units: unitBytes, run: () => blake3(bytes)[0] ?? 0 },
    { name: 'hashFolded', units: unitBytes * foldedUnits, run: () => pieceHash(parts, true)[0] ?? 0 },
    { name: 'hashSha256', units: unitBytes, run: () => createHash('sha256').update(own).digest()[0] ?? 0 },
    { name: 'hashCrc32', units: unitBytes, run: () => crc32(own) },
  ];
}
