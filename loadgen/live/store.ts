/**
 * A store that all agents of a process share: one copy of the bytes, and for each agent which pieces it has.
 *
 * Rule 1: every agent hashes every piece that it receives; only the bytes of the first are kept.
 * Rule 2: an agent gives away only pieces that it received itself, as if the bytes were its own.
 *
 * It stands in for platform/store in a process that has no room for thousands of them. It does no more than
 * PeerNode asks for.
 */

import { closeSync, ftruncateSync, openSync, readvSync, unlinkSync, writevSync } from 'node:fs';
import { join } from 'node:path';
import { Bug } from '../../core/assert.ts';
import type { Digest } from '../../core/digest.ts';
import { hashBytes, type Metainfo, pieceCount, unitBytes } from '../../core/piece.ts';
import type { BlobStore } from '../../platform/store/store.ts';
import type { Slot } from '../../platform/workers/arena.ts';
import { pieceHash, sameBytes } from '../../platform/workers/hash.ts';

/** The bytes of one blob, once a process. */
class Shared {
  readonly meta: Metainfo;
  readonly hashes: Uint8Array;
  readonly #fd: number;
  readonly #stored: Uint8Array;

  constructor(dir: string, meta: Metainfo, hashes: Uint8Array) {
    this.meta = meta;
    this.hashes = hashes;
    const file = join(dir, `blob-${process.pid}`);
    this.#fd = openSync(file, 'wx+');
    // Nobody else opens it: it goes with the process, however that ends.
    unlinkSync(file);
    ftruncateSync(this.#fd, meta.length);
    this.#stored = new Uint8Array(pieceCount(meta));
  }

  write(piece: number, slot: Slot): boolean {
    const parts = slot.parts();
    const expected = this.hashes.subarray(piece * hashBytes, (piece + 1) * hashBytes);
    if (!sameBytes(pieceHash(parts, this.meta.pieceLength > unitBytes), expected)) return false;
    if (this.#stored[piece] === 1) return true;
    if (writevSync(this.#fd, parts, piece * this.meta.pieceLength) !== slot.length) throw new Bug('live: short write');
    this.#stored[piece] = 1;
    return true;
  }

  read(piece: number, slot: Slot): void {
    if (readvSync(this.#fd, slot.parts(), piece * this.meta.pieceLength) !== slot.length)
      throw new Bug('live: short read');
  }

  close(): void {
    closeSync(this.#fd);
  }
}

export class SharedBytes implements Disposable {
  readonly #dir: string;
  readonly #blobs = new Map<Digest, Shared>();

  /** Files go below `dir`, a tmpfs. */
  constructor(dir: string) {
    this.#dir = dir;
  }

  blob(digest: Digest, meta: Metainfo, hashes: Uint8Array): Shared {
    const known = this.#blobs.get(digest) ?? new Shared(this.#dir, meta, hashes);
    this.#blobs.set(digest, known);
    return known;
  }

  [Symbol.dispose](): void {
    for (const blob of this.#blobs.values()) blob.close();
  }
}

class Entry {
  readonly digest: Digest;
  readonly failure = undefined;
  readonly gone = false;
  /** What the disk would not read: it always does. */
  readonly unread = [];
  readonly unreadCount = 0;
  readonly #shared: Shared;
  readonly #bits: Uint8Array;
  #held = 0;

  constructor(digest: Digest, shared: Shared) {
    this.digest = digest;
    this.#shared = shared;
    this.#bits = new Uint8Array(Math.ceil(this.pieces / 8));
  }

  get meta(): Metainfo {
    return this.#shared.meta;
  }

  get hashes(): Uint8Array {
    return this.#shared.hashes;
  }

  get pieces(): number {
    return pieceCount(this.meta);
  }

  get complete(): boolean {
    return this.#held === this.pieces;
  }

  has(piece: number): boolean {
    return (((this.#bits[piece >> 3] ?? 0) >> (piece & 7)) & 1) === 1;
  }

  haveBits(): Uint8Array {
    return this.#bits.slice();
  }

  async write(piece: number, slot: Slot): Promise<'held' | 'corrupt'> {
    if (this.has(piece)) return 'held';
    if (!this.#shared.write(piece, slot)) return 'corrupt';
    this.#bits[piece >> 3] = (this.#bits[piece >> 3] ?? 0) | (1 << (piece & 7));
    this.#held++;
    return 'held';
  }

  async read(piece: number, slot: Slot): Promise<'ok' | 'failed'> {
    if (!this.has(piece)) return 'failed';
    this.#shared.read(piece, slot);
    return 'ok';
  }

  /** What feeds read from: as everywhere, but that the bytes of a piece are hashed where they arrive. */
  readForPeer(piece: number, slot: Slot): Promise<'ok' | 'failed'> {
    return this.read(piece, slot);
  }

  doubt(): void {}

  /** The page cache has it. */
  keep(_piece: number, slot: Slot): void {
    slot.release();
  }

  lend(): undefined {
    return undefined;
  }

  pin(): () => void {
    return () => undefined;
  }

  touch(): void {}
}

/** What one agent sees. */
class AgentStore {
  readonly #bytes: SharedBytes;
  readonly #entries = new Map<Digest, Entry>();

  constructor(bytes: SharedBytes) {
    this.#bytes = bytes;
  }

  /** It evicts nothing. */
  watch(): void {}

  get(digest: Digest): Entry | undefined {
    return this.#entries.get(digest);
  }

  async create(digest: Digest, meta: Metainfo, hashes: Uint8Array): Promise<Entry> {
    const entry = this.#entries.get(digest) ?? new Entry(digest, this.#bytes.blob(digest, meta, hashes));
    this.#entries.set(digest, entry);
    return entry;
  }

  async remove(digest: Digest): Promise<void> {
    this.#entries.delete(digest);
  }
}

/** PeerNode takes the class itself, whose private fields no other class can have: hence the cast. */
export function agentStore(bytes: SharedBytes): BlobStore {
  return new AgentStore(bytes) as unknown as BlobStore;
}
