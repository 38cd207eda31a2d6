/** Values for the tests of the tracker's state and of what speaks to it. */

import type { Digest } from '../digest.ts';
import type { Growth, Metainfo } from '../piece.ts';
import type { PeerAddress } from '../wire/messages.ts';

export function testDigest(no: number): Digest {
  return `sha256:${no.toString(16).padStart(64, '0')}` as Digest;
}

export function testPeer(no: number, role: PeerAddress['role'] = 'agent'): PeerAddress {
  return {
    node: no.toString(16).padStart(32, role === 'origin' ? 'f' : '0'),
    host: `10.0.${no >> 8}.${no & 255}`,
    port: 16001,
    role,
    zone: '',
  };
}

export function testMeta(length: number): Metainfo {
  return { length, pieceLength: 256 * 1024, root: length.toString(16).padStart(64, '0') };
}

/** Of a blob of ten pieces. */
export function testGrowth(known: number): Growth {
  const pieceLength = 256 * 1024;
  return { length: 10 * pieceLength, pieceLength, known, root: known.toString(16).padStart(64, 'c') };
}
