/** What is done with a unit that has come: the hash that a piece is checked by, and the write. */

import { writeSync } from 'node:fs';
import { unitBytes } from '../../core/piece.ts';
import { blake3 } from '../../platform/workers/hash.ts';

/** Of all hashes, so that none of them can be left out. */
let seen = 0;

export function storeUnit(bytes: Uint8Array, fd: number, unit: number): number {
  seen ^= blake3(bytes)[0] ?? 0;
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at, bytes.length - at, unit * unitBytes + at);
  return seen;
}
