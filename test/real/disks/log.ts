/**
 * What was written to a disk and when it was synced, and the disk as a power cut leaves it.
 *
 * Rule: what is before the last sync is there. Of what came after, each sector may be or not, as a disk's cache decides.
 */

import type { Prng } from '../../../core/prng.ts';

export type LogEntry = { readonly offset: number; readonly data: Buffer } | 'synced';

/** EIO: all of it, or what is read of a part. late: EIO after so long. unwritable: EIO to what writes. */
export type Mood =
  | { readonly kind: 'well' }
  | { readonly kind: 'unwritable' }
  | { readonly kind: 'hangs' }
  | { readonly kind: 'EIO'; readonly part?: { readonly from: number; readonly to: number } }
  | { readonly kind: 'late'; readonly ms: number };

export type ServerAsk =
  | { readonly kind: 'mood'; readonly mood: Mood }
  | { readonly kind: 'position' }
  | { readonly kind: 'save'; readonly file: string };

/** Of the server: /dev/fuse, which is mounted already. */
export const deviceFd = 9;
const sectorBytes = 512;

/** Two numbers before each: where, and how many bytes; of a sync none. */
export function encodeLog(log: readonly LogEntry[]): Buffer {
  return Buffer.concat(
    log.flatMap((entry) => {
      const head = Buffer.alloc(16);
      if (entry === 'synced') return [head];
      head.writeBigUInt64LE(BigInt(entry.offset), 0);
      head.writeBigUInt64LE(BigInt(entry.data.length), 8);
      return [head, entry.data];
    }),
  );
}

export function decodeLog(bytes: Buffer): LogEntry[] {
  const log: LogEntry[] = [];
  for (let at = 0; at < bytes.length; ) {
    const [offset, length] = [Number(bytes.readBigUInt64LE(at)), Number(bytes.readBigUInt64LE(at + 8))];
    at += 16;
    log.push(length === 0 ? 'synced' : { offset, data: bytes.subarray(at, at + length) });
    at += length;
  }
  return log;
}

/** The disk as the power went after `position` entries. `keeps`: whether a sector that was not synced is there. */
export function cutAt(base: Buffer, log: readonly LogEntry[], position: number, keeps: () => boolean): Buffer {
  const image = Buffer.from(base);
  const synced = log.lastIndexOf('synced', position - 1);
  for (const [i, entry] of log.slice(0, position).entries()) apply(image, entry, i <= synced ? () => true : keeps);
  return image;
}

/** Now and then all of it, or nothing; else sector by sector. */
export function tearing(random: Prng): () => boolean {
  const odds = [0, 50, 90, 100][random.below(4)] as number;
  return () => random.below(100) < odds;
}

function apply(image: Buffer, entry: LogEntry, keeps: () => boolean): void {
  if (entry === 'synced') return;
  for (let at = 0; at < entry.data.length; at += sectorBytes) {
    if (keeps()) entry.data.copy(image, entry.offset + at, at, at + sectorBytes);
  }
}
