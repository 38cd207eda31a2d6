/** BLAKE3 by both implementations, against the algorithm's published test vectors. */

import { expect, test } from 'vitest';
import { blake3, blake3Hex, nativeBlake3, sameBytes, wasmBlake3 } from './hash.ts';

/** From the BLAKE3 team's test_vectors.json: input bytes 0, 1, …, 250, 0, …; the first 32 bytes out. */
const VECTORS: readonly (readonly [number, string])[] = [
  [0, 'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262'],
  [1, '2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213'],
  [1023, '10108970eeda3eb932baac1428c7a2163b0e924c9a9e25b35bba72b28f70bd11'],
  [1024, '42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7'],
  [102400, 'bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085'],
];
const input = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => i % 251);

test('matches the published vectors', () => {
  for (const [length, hex] of VECTORS) expect(blake3Hex(input(length))).toBe(hex);
});

test('the fallback gives the digests of the native build, from shared memory too', async () => {
  const native = nativeBlake3();
  expect(native).toBeDefined();
  const wasm = await wasmBlake3();
  const shared = new Uint8Array(new SharedArrayBuffer(300_000), 17, 262_144);
  shared.set(input(262_144));
  const first = wasm(shared);
  for (const bytes of [...VECTORS.map(([length]) => input(length)), shared]) {
    expect(sameBytes(wasm(bytes), native!(bytes))).toBe(true);
  }
  // A digest is the caller's: the next one does not change it.
  expect(sameBytes(first, blake3(shared))).toBe(true);
});
