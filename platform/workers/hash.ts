/**
 * BLAKE3 and the hash of a piece (core/piece.ts says which bytes it covers).
 *
 * The native package takes shared memory without a copy at 5 to 7 GB/s a core; where it has no
 * build, hash-wasm gives the same digests ten times slower.
 */

import { createRequire } from 'node:module';
import { hashBytes, unitBytes } from '../../core/piece.ts';

export type Blake3 = (bytes: Uint8Array) => Uint8Array;

/** The native hash, or undefined where its package has no build for this machine. */
export function nativeBlake3(): Blake3 | undefined {
  try {
    const native = createRequire(import.meta.url)('@napi-rs/blake-hash') as { blake3: Blake3 };
    return native.blake3;
  } catch {
    // Not a failure: the package is optional per platform, and what replaces it gives equal digests.
    return undefined;
  }
}

/** The fallback. One state is reused: a hash runs to its end before the next begins. */
export async function wasmBlake3(): Promise<Blake3> {
  const { createBLAKE3 } = await import('hash-wasm');
  const state = await createBLAKE3();
  return (bytes) => {
    state.init();
    state.update(bytes);
    return state.digest('binary');
  };
}

/** BLAKE3 of `bytes`: 32 bytes. */
export const blake3: Blake3 = nativeBlake3() ?? (await wasmBlake3());

export function blake3Hex(bytes: Uint8Array): string {
  return Buffer.from(blake3(bytes)).toString('hex');
}

/**
 * The hash of one piece, whose bytes are `parts`, each but the last exactly one unit. `folded`: the
 * blob's piece length is more than one unit, so the hash is that of the units' hashes.
 */
export function pieceHash(parts: readonly Uint8Array[], folded: boolean): Uint8Array {
  if (!folded) return blake3(parts[0] ?? new Uint8Array(0));
  const hashes = new Uint8Array(parts.length * hashBytes);
  for (const [i, part] of parts.entries()) hashes.set(blake3(part), i * hashBytes);
  return blake3(hashes);
}

/** The piece-hash list of a blob from the hashes of its units, both 32 bytes an item. */
export function foldUnits(unitHashes: Uint8Array, pieceLength: number): Uint8Array {
  if (pieceLength === unitBytes) return unitHashes;
  const step = (pieceLength / unitBytes) * hashBytes;
  const pieces = Math.ceil(unitHashes.length / step);
  const folded = new Uint8Array(pieces * hashBytes);
  for (let i = 0; i < pieces; i += 1) folded.set(blake3(unitHashes.subarray(i * step, (i + 1) * step)), i * hashBytes);
  return folded;
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
