/**
 * The store of a light node: which pieces there are, and whether they are what they should be, but no
 * bytes. It has the face of platform/store's BlobStore and keeps its promises in the plainest way, so
 * that a run can have many nodes; origins and a few agents run the real one.
 *
 * What is modelled: verdicts, delays, a full disk, decay, what a power cut loses or tears.
 */

import { ApiError } from '../../core/contracts/errors.ts';
import { inlineBytesMax } from '../../core/contracts/fields.ts';
import type { Digest } from '../../core/digest.ts';
import { type Metainfo, pieceCount } from '../../core/piece.ts';
import type { BlobStore } from '../../platform/store/store.ts';
import type { Slot } from '../../platform/workers/arena.ts';
import { blake3, sameBytes } from '../../platform/workers/hash.ts';
import type { Ailments } from './disk.ts';
import type { World } from './world.ts';

/** Of a piece: nothing; right; not what it should be. */
const nothing = 0;
const right = 1;
const wrong = 2;

/** A blob on the medium: outlives processes. */
export class LightBlob {
  readonly digest: Digest;
  readonly meta: Metainfo;
  readonly hashes: Uint8Array;
  readonly pieces: Uint8Array;
  /** When each was written, ms. */
  readonly writtenMs: Float64Array;

  constructor(digest: Digest, meta: Metainfo, hashes: Uint8Array) {
    this.digest = digest;
    this.meta = meta;
    this.hashes = hashes;
    this.pieces = new Uint8Array(pieceCount(meta));
    this.writtenMs = new Float64Array(this.pieces.length);
  }
}

export type LightMedium = { readonly blobs: Map<Digest, LightBlob>; readonly ailments: Ailments };

/** What was not written back before a power cut, at most. */
const writebackMs = 5_000;

export function lightMedium(): LightMedium {
  return { blobs: new Map(), ailments: { slowMs: 0, full: false, failsOnceIn: 0 } };
}

/** Recent writes are lost or torn. */
export function powerCut(medium: LightMedium, world: World): void {
  for (const blob of medium.blobs.values()) {
    for (let i = 0; i < blob.pieces.length; i++) {
      if (blob.pieces[i] === nothing || world.nowMs - (blob.writtenMs[i] as number) > writebackMs) continue;
      blob.pieces[i] = world.pick([nothing, right, wrong]);
    }
  }
}

/** A held piece decays. */
export function rotLight(medium: LightMedium, world: World): boolean {
  const held = [...medium.blobs.values()].filter((blob) => blob.pieces.includes(right));
  if (held.length === 0) return false;
  const blob = world.pick(held);
  const piece = world.prng.below(blob.pieces.length);
  if (blob.pieces[piece] === right) blob.pieces[piece] = wrong;
  return true;
}

export class LightEntry {
  readonly blob: LightBlob;
  readonly pieces: number;
  failure: ApiError | undefined;
  /** An agent's disk here either has a piece, a wrong one, or none. */
  readonly unread: readonly number[] = [];
  state: 'live' | 'gone' = 'live';
  readonly #store: LightStore;
  /** What the store believes to hold. */
  readonly #have: Uint8Array;
  #count = 0;
  pins = 0;

  constructor(store: LightStore, blob: LightBlob) {
    this.#store = store;
    this.blob = blob;
    this.pieces = blob.pieces.length;
    this.#have = new Uint8Array((this.pieces + 7) >> 3);
    for (let i = 0; i < this.pieces; i++) if (blob.pieces[i] !== nothing) this.#set(i);
  }

  get digest(): Digest {
    return this.blob.digest;
  }
  get meta(): Metainfo {
    return this.blob.meta;
  }
  get hashes(): Uint8Array {
    return this.blob.hashes;
  }
  get heldCount(): number {
    return this.#count;
  }
  get complete(): boolean {
    return this.state === 'live' && this.#count === this.pieces;
  }
  get gone(): boolean {
    return this.state === 'gone';
  }

  has(piece: number): boolean {
    return (((this.#have[piece >> 3] ?? 0) >> (piece & 7)) & 1) === 1;
  }

  haveBits(): Uint8Array {
    return this.#have.slice();
  }

  async write(piece: number, slot: Slot): Promise<'held' | 'corrupt' | 'failed'> {
    const good = this.#store.isRight(slot, this.digest, piece) ?? sameBytes(blake3(slot.window(0)), this.hashes);
    this.#store.unmark(slot);
    await this.#store.work();
    if (this.gone) return this.#fail('BLOB_UNKNOWN', 'it was removed');
    if (!good && !this.#store.plantUnverified) return 'corrupt';
    if (this.#store.medium.ailments.full) return this.#fail('STORAGE_FULL', 'the disk is full');
    if (this.#store.fails()) return this.#fail('UNAVAILABLE', 'the disk failed');
    this.blob.pieces[piece] = good ? right : wrong;
    this.blob.writtenMs[piece] = this.#store.nowMs;
    if (!this.has(piece)) this.#set(piece);
    return 'held';
  }

  async read(piece: number, slot: Slot): Promise<'ok' | 'corrupt' | 'failed'> {
    if (!this.has(piece)) return this.#fail('UNAVAILABLE', `piece ${piece} is not held`);
    await this.#store.work();
    if (!this.has(piece)) return this.#fail('UNAVAILABLE', `piece ${piece} is not held`);
    const good = this.blob.pieces[piece] === right;
    if (good || this.#store.plantUnverified) {
      this.#store.mark(slot, this.digest, piece, good);
      return 'ok';
    }
    this.blob.pieces[piece] = nothing;
    this.#have[piece >> 3] = (this.#have[piece >> 3] as number) & ~(1 << (piece & 7));
    this.#count -= 1;
    return 'corrupt';
  }

  /** Nothing stays in memory: what is asked for again is read. */
  keep(_piece: number, slot: Slot): void {
    slot.release();
  }

  lend(): undefined {
    return undefined;
  }

  pin(): () => void {
    this.pins += 1;
    let pinned = true;
    return () => {
      if (pinned) this.pins -= 1;
      pinned = false;
    };
  }

  touch(): void {}

  #set(piece: number): void {
    this.#have[piece >> 3] = (this.#have[piece >> 3] as number) | (1 << (piece & 7));
    this.#count += 1;
  }

  #fail(code: 'BLOB_UNKNOWN' | 'STORAGE_FULL' | 'UNAVAILABLE', why: string): 'failed' {
    this.failure = new ApiError(code, `${this.digest}: ${why}`);
    return 'failed';
  }
}

/** What of a slot is known in place of its bytes. */
export type Mark = { readonly digest: Digest | undefined; readonly piece: number; readonly right: boolean };

export class LightStore {
  onEvict: ((digest: Digest) => void) | undefined;
  readonly medium: LightMedium;
  /** For the plant of that name: nothing is verified. */
  readonly plantUnverified: boolean;
  readonly #world: World;
  readonly #entries = new Map<Digest, LightEntry>();
  /** By slot number. */
  readonly #marks: (Mark | undefined)[] = [];
  readonly #blobsMax: number;
  ended = false;

  constructor(world: World, medium: LightMedium, o: { plantUnverified: boolean; blobsMax: number }) {
    this.#world = world;
    this.medium = medium;
    this.plantUnverified = o.plantUnverified;
    this.#blobsMax = o.blobsMax;
    for (const blob of medium.blobs.values()) this.#entries.set(blob.digest, new LightEntry(this, blob));
  }

  get nowMs(): number {
    return this.#world.nowMs;
  }

  get(digest: Digest): LightEntry | undefined {
    return this.#entries.get(digest);
  }

  entries(): LightEntry[] {
    return [...this.#entries.values()];
  }

  async create(digest: Digest, meta: Metainfo, hashes: Uint8Array): Promise<LightEntry> {
    await this.work();
    const known = this.#entries.get(digest);
    if (known !== undefined) return known;
    if (this.medium.ailments.full) throw new ApiError('STORAGE_FULL', 'the disk is full');
    if (this.#entries.size >= this.#blobsMax) this.#evict();
    const blob = new LightBlob(digest, meta, hashes);
    this.medium.blobs.set(digest, blob);
    const entry = new LightEntry(this, blob);
    this.#entries.set(digest, entry);
    return entry;
  }

  async remove(digest: Digest): Promise<void> {
    await undefined;
    const entry = this.#entries.get(digest);
    if (entry !== undefined) this.#drop(entry);
  }

  /** As the platform's code takes it. */
  asBlobStore(): BlobStore {
    return this as unknown as BlobStore;
  }

  // ---- slots -----------------------------------------------------------------------------------

  mark(slot: Slot, digest: Digest | undefined, piece: number, good: boolean): void {
    this.#marks[slot.no] = { digest, piece, right: good };
  }

  unmark(slot: Slot): void {
    this.#marks[slot.no] = undefined;
  }

  /** undefined: it holds bytes, as of a blob that came inline. */
  isRight(slot: Slot, digest: Digest, piece: number): boolean | undefined {
    const mark = this.#marks[slot.no];
    if (mark === undefined && slot.length <= inlineBytesMax) return undefined;
    return mark?.right === true && mark.digest === digest && mark.piece === piece;
  }

  // ---- for entries -----------------------------------------------------------------------------

  async work(): Promise<void> {
    const { slowMs } = this.medium.ailments;
    await this.#world.sleep(slowMs > 0 ? this.#world.between(0, slowMs) : this.#world.between(0.05, 0.3));
    if (this.ended) await new Promise<never>(() => undefined);
  }

  fails(): boolean {
    const { failsOnceIn } = this.medium.ailments;
    return failsOnceIn > 0 && this.#world.once(failsOnceIn);
  }

  /** The one used longest ago, about. */
  #evict(): void {
    for (const entry of this.#entries.values()) {
      if (entry.pins > 0 || !entry.complete) continue;
      this.#drop(entry);
      this.onEvict?.(entry.digest);
      return;
    }
  }

  #drop(entry: LightEntry): void {
    entry.state = 'gone';
    this.#entries.delete(entry.digest);
    this.medium.blobs.delete(entry.digest);
  }
}
