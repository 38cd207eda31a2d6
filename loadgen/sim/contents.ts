/** Stand-ins for bytes: a blob's piece-hash list and root without hashing, and how long a message is. */

import { hashBytes } from '../../core/piece.ts';
import { elsewhereSpan } from '../../core/swarm/limits.ts';
import type { Message } from '../../core/wire/messages.ts';
import type { SimBlob } from './fleet.ts';

/** A list that names its blob in its first bytes, so that its root can be told without hashing. */
export function hashesOf(blob: SimBlob): Uint8Array {
  const hashes = new Uint8Array(blob.pieces * hashBytes);
  if (blob.pieces > 0) new DataView(hashes.buffer).setUint32(0, blob.no);
  return hashes;
}

export function rootOfHashes(hashes: Uint8Array): string {
  return rootOfBlob(hashes.length === 0 ? 0 : new DataView(hashes.buffer, hashes.byteOffset).getUint32(0));
}

export function rootOfBlob(no: number): string {
  return no.toString(16).padStart(64, '0');
}

/** A bit for each piece that such a message may tell of. */
const elsewhereBytesMax = (2 * elsewhereSpan) / 8;

/** About what the codec writes; payload of pieces excluded. */
export function messageBytes(message: Message): number {
  switch (message.kind) {
    case 'haves':
      return 12 + 2 * message.pieces.length;
    case 'elsewhere':
      // Around one piece: a bit set is shorter.
      return 12 + Math.min(2 * message.pieces.length, elsewhereBytesMax);
    case 'opened':
      return 64 + message.have.length;
    case 'hashes':
      return 16 + message.hashes.length;
    case 'wants':
      return 16 + 4 * message.swarms.length;
    case 'neighbours':
    case 'refuse':
      return 12 + 48 * message.peers.length;
    default:
      return 24;
  }
}
