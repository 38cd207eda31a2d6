/** For the store's tests: blobs, and the same moves against either disk. */

import { createHash } from 'node:crypto';
import { closeSync, mkdtempSync, openSync, readdirSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Digest, type DigestAlgorithm, digestOf } from '../../core/digest.ts';
import { type Metainfo, pieceBytes, pieceCount, pieceLengthFor, unitBytes } from '../../core/piece.ts';
import { prng } from '../../core/prng.ts';
import type { Verdict } from '../../core/swarm/types.ts';
import { type Arena, SHARES, type Slot } from '../workers/arena.ts';
import { blake3, blake3Hex, foldUnits } from '../workers/hash.ts';
import { Workers } from '../workers/workers.ts';
import { agentPromises, type BlobStoreOptions } from './options.ts';
import type { BlobEntry } from './pieces/entry.ts';
import { BlobStore } from './store.ts';

export type Blob = {
  readonly bytes: Uint8Array;
  readonly digest: Digest;
  readonly meta: Metainfo;
  readonly hashes: Uint8Array;
};

/** `length` bytes that `seed` decides, and all that is known of them. */
export function blobOf(
  length: number,
  seed: number,
  o: { algorithm?: DigestAlgorithm; pieceLength?: number } = {},
): Blob {
  const random = prng(seed);
  const words = Uint32Array.from({ length: Math.ceil(length / 4) }, (_, i) => Math.imul(i + 1, 0x9e3779b1));
  const salt = random.below(0x7fffffff);
  for (let i = 0; i < words.length; i += 1) words[i] = Math.imul(words[i] as number, salt | 1) ^ salt;
  const bytes = new Uint8Array(words.buffer, 0, length);
  const algorithm = o.algorithm ?? 'sha256';
  const pieceLength = o.pieceLength ?? pieceLengthFor(length);
  const units: Uint8Array[] = [];
  for (let at = 0; at < length; at += unitBytes) units.push(blake3(bytes.subarray(at, at + unitBytes)));
  const hashes = foldUnits(Buffer.concat(units), pieceLength);
  const digest = digestOf(algorithm, createHash(algorithm).update(bytes).digest('hex'));
  return { bytes, digest, meta: { length, pieceLength, root: blake3Hex(hashes) }, hashes };
}

export async function upload(store: BlobStore, id: string, blob: Blob): Promise<BlobEntry> {
  const upload = await store.beginUpload(id, 'sha256');
  try {
    const step = 100_000;
    for (let at = 0; at < blob.bytes.length; at += step) await upload.append(blob.bytes.subarray(at, at + step));
    return await upload.commit(blob.digest);
  } catch (error) {
    await upload.cancel();
    throw error;
  }
}

export function fill(slot: Slot, bytes: Uint8Array): void {
  let at = 0;
  for (const part of slot.parts()) {
    part.set(bytes.subarray(at, at + part.length));
    at += part.length;
  }
}

/** Writes one piece of `blob`, or `bytes` in its place. */
export async function writePiece(
  at: { arena: Arena; entry: BlobEntry; blob: Blob },
  piece: number,
  bytes?: Uint8Array,
): Promise<Verdict> {
  const { meta } = at.blob;
  const slot = await at.arena.acquire('receive', pieceBytes(meta, piece));
  try {
    fill(slot, bytes ?? at.blob.bytes.subarray(piece * meta.pieceLength, (piece + 1) * meta.pieceLength));
    return await at.entry.write(piece, slot);
  } finally {
    slot.release();
  }
}

export async function writeAll(arena: Arena, entry: BlobEntry, blob: Blob): Promise<void> {
  for (let piece = 0; piece < pieceCount(blob.meta); piece += 1) {
    const verdict = await writePiece({ arena, entry, blob }, piece);
    if (verdict !== 'held') throw entry.failure ?? new Error(`piece ${piece}: ${verdict}`);
  }
}

/** The blob's bytes as the entry gives them; undefined where a piece is not 'ok'. */
export async function readAll(arena: Arena, entry: BlobEntry): Promise<Uint8Array | undefined> {
  const out = new Uint8Array(entry.meta.length);
  for (let piece = 0; piece < entry.pieces; piece += 1) {
    const slot = await arena.acquire('reader', pieceBytes(entry.meta, piece));
    try {
      if ((await entry.read(piece, slot)) !== 'ok') return undefined;
      out.set(Buffer.concat(slot.parts()), piece * entry.meta.pieceLength);
    } finally {
      slot.release();
    }
  }
  return out;
}

export function sameBlob(bytes: Uint8Array | undefined, blob: Blob): boolean {
  return bytes !== undefined && Buffer.compare(bytes, blob.bytes) === 0;
}

/** Stores in temporary directories, with worker threads; `after` closes and removes them and checks for leaks. */
export class TestStores {
  workers!: Workers;
  readonly #dirs: string[] = [];
  readonly #open: BlobStore[] = [];

  async start(): Promise<void> {
    this.workers = await Workers.start({ count: 1, arenaBytes: 64 * unitBytes });
  }

  async after(): Promise<void> {
    for (const store of this.#open.splice(0)) await store[Symbol.asyncDispose]();
    for (const dir of this.#dirs.splice(0)) rmSync(dir, { recursive: true });
    const { arena } = this.workers;
    for (const share of SHARES) {
      if (arena.freeBytes(share) !== arena.shareBytes(share)) throw new Error(`the test leaks slots of ${share}`);
    }
  }

  async stop(): Promise<void> {
    await this.workers[Symbol.asyncDispose]();
  }

  /** A path where a store may be made. */
  directory(): string {
    const dir = mkdtempSync(join(tmpdir(), 'shoal-store-'));
    this.#dirs.push(dir);
    return join(dir, 'data');
  }

  async open(dir: string, o: Partial<BlobStoreOptions> = {}): Promise<BlobStore> {
    const { workers } = this;
    const base = { dir, ...agentPromises, workers, budgetBytes: 1e9, flushEveryMs: 0 } as const;
    const store = await BlobStore.open({ ...base, ...o });
    this.#open.push(store);
    return store;
  }

  async close(store: BlobStore): Promise<void> {
    this.#open.splice(this.#open.indexOf(store), 1);
    await store[Symbol.asyncDispose]();
  }

  async pull(store: BlobStore, blob: Blob): Promise<void> {
    await writeAll(this.workers.arena, await store.create(blob.digest, blob.meta, blob.hashes), blob);
  }

  async intact(store: BlobStore, blob: Blob): Promise<boolean> {
    const entry = store.get(blob.digest);
    return entry?.complete === true && sameBlob(await readAll(this.workers.arena, entry), blob);
  }
}

/** Every file below the store's blobs. */
export function blobFiles(dir: string): string[] {
  return readdirSync(join(dir, 'blobs'), { recursive: true, withFileTypes: true })
    .filter((file) => file.isFile())
    .map((file) => join(file.parentPath, file.name));
}

/** Changes bytes of a file behind the store's back. */
export function damage(path: string, position: number): void {
  const fd = openSync(path, 'r+');
  writeSync(fd, Buffer.from('damage!'), 0, 7, position);
  closeSync(fd);
}
