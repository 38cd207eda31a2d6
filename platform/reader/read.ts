/**
 * Reads a byte range of a blob that may still arrive, piece by piece, each verified as it leaves
 * the disk, or lent from memory, where it was verified when it came.
 *
 * Rule 1: waits for nothing but the pieces that the range covers.
 * Rule 2: a piece that does not match its hash is never yielded: it is fetched again, and the
 *         reader goes on.
 * Rule 3: a slot has one owner: this file until it is yielded, whoever got it until `release`.
 * Rule 4: of a blob that an origin still receives, a range that ends before the last piece may be given before it is known
 *         whether the blob is its digest's: that is told, or waited for. Once it is known not to be, nobody reads on.
 * Rule 5: read-ahead takes only what is free; the piece that is due waits its turn. So no reader
 *         holds memory while it waits for more.
 */

import { ApiError } from '../../core/contracts/errors.ts';
import type { ByteRange } from '../../core/oci/range.ts';
import { type Metainfo, pieceBytes, pieceCount } from '../../core/piece.ts';
import type { Arena, SharedBytes, Slot } from '../workers/arena.ts';

/** Pieces read from disk ahead of the one that the reader waits for. */
export const readAheadPiecesMax = 2;
/** A piece that is corrupt this often in a row says that the disk is broken, not the piece. */
export const readAttemptsMax = 3;

/** What this file needs of a BlobEntry. */
export type ReadableEntry = {
  readonly digest: string;
  readonly meta: Metainfo;
  readonly complete: boolean;
  /** It is the store's no longer: what it does not hold never comes. */
  readonly gone?: boolean;
  /** Set while an origin still receives it. */
  readonly growth?: object | undefined;
  /** It turned out not to be its digest's. */
  readonly revoked?: Error | undefined;
  /** Set where pieces pass through: one that came may be gone again when memory for it is had. */
  readonly window?: object | undefined;
  /** Why the last read failed. */
  readonly failure: Error | undefined;
  has(piece: number): boolean;
  read(piece: number, slot: Slot): Promise<'ok' | 'corrupt' | 'failed'>;
  /** The verified piece, where it is still in memory and the reader share has room. */
  lend?(piece: number, share: 'reader'): Slot | undefined;
  pin(): () => void;
  touch(): void;
};

/** What this file needs of a Pull. */
export type ReadablePull = {
  waitFor(piece: number, signal?: AbortSignal): Promise<void>;
  reader(at: number, end: number): { move(at: number): void; close(): void };
  /** It does not grow any more. */
  settled(signal?: AbortSignal): Promise<void>;
};

/** What this file needs of the arena: memory of the readers' share. */
export type ReaderArena = Pick<Arena, 'acquire' | 'tryAcquire'>;

export type ReadSource = {
  readonly entry: ReadableEntry;
  /** The pull that brings what the entry lacks: the running one, or a new one. */
  pull(): ReadablePull;
  /** A piece turned out to be unreadable or corrupt; the entry no longer claims it. */
  lost(piece: number): void;
  /** Nothing of a range is given before it is known that the blob is its digest's. */
  readonly strict?: boolean | undefined;
  /** A range was given before that was known. */
  unproved?(): void;
};

/** Some bytes of the range, in order; they are lent until `release`, which is called exactly once. */
export type Chunk = { readonly bytes: readonly SharedBytes[]; readonly length: number; release(): void };

/**
 * Yields the bytes of `range`, which lies within the blob, a piece (or the covered part of it) at a time.
 * Throws what the pull throws (SWARM_STALLED, UNAVAILABLE, BLOB_UNKNOWN), the signal's reason once
 * it is aborted, and UNKNOWN where the disk gives no good piece however often it is fetched.
 */
export async function* readRange(
  source: ReadSource,
  arena: ReaderArena,
  range: ByteRange,
  signal: AbortSignal,
): AsyncGenerator<Chunk, void, undefined> {
  if (range.start >= range.end) return;
  const reading = new Reading(source, arena, range, signal);
  try {
    if (source.strict === true) await reading.proved();
    for (let piece = reading.first; piece < reading.end; piece++) {
      const slot = await reading.take(piece);
      yield reading.chunk(piece, slot);
    }
    if (source.entry.growth !== undefined) source.unproved?.();
  } finally {
    await reading.close();
  }
}

class Reading {
  /** First piece, and the one after the last. */
  readonly first: number;
  readonly end: number;
  readonly #source: ReadSource;
  readonly #arena: ReaderArena;
  readonly #range: ByteRange;
  readonly #signal: AbortSignal;
  readonly #unpin: () => void;
  #pull: ReadablePull | undefined;
  #window: { move(at: number): void; close(): void } | undefined;
  /** Reads under way; each resolves to its slot, or to undefined where the piece was not good. */
  readonly #ahead = new Map<number, Promise<Slot | undefined>>();

  constructor(source: ReadSource, arena: ReaderArena, range: ByteRange, signal: AbortSignal) {
    const pieceLength = source.entry.meta.pieceLength;
    this.first = Math.floor(range.start / pieceLength);
    this.end = Math.ceil(range.end / pieceLength);
    this.#source = source;
    this.#arena = arena;
    this.#range = range;
    this.#signal = signal;
    this.#unpin = source.entry.pin();
    source.entry.touch();
    if (!source.entry.complete) this.#follow(this.first);
  }

  /** Whoever gets the last piece gets it only then anyway. */
  async proved(): Promise<void> {
    const { entry } = this.#source;
    if (entry.growth !== undefined && this.end < pieceCount(entry.meta))
      await this.#follow(this.first).settled(this.#signal);
  }

  /** The verified piece in a slot that now belongs to the caller. */
  async take(piece: number): Promise<Slot> {
    this.#window?.move(piece);
    const ahead = this.#ahead.get(piece);
    this.#ahead.delete(piece);
    const slot = (await ahead) ?? (await this.#fetch(piece));
    const { revoked } = this.#source.entry;
    if (this.#signal.aborted || revoked !== undefined) {
      slot.release();
      throw revoked ?? this.#signal.reason;
    }
    this.#window?.move(piece + 1);
    this.#readAhead(piece + 1);
    return slot;
  }

  /** The part of `piece` that the range covers. */
  chunk(piece: number, slot: Slot): Chunk {
    const { meta } = this.#source.entry;
    const base = piece * meta.pieceLength;
    const from = Math.max(0, this.#range.start - base);
    const to = Math.min(pieceBytes(meta, piece), this.#range.end - base);
    return { bytes: cut(slot.parts(), from, to), length: to - from, release: () => slot.release() };
  }

  async close(): Promise<void> {
    this.#window?.close();
    this.#unpin();
    const reads = [...this.#ahead.values()];
    this.#ahead.clear();
    for (const read of reads) (await read)?.release();
  }

  /** Waits for the piece, then for a slot, then for the disk. */
  async #fetch(piece: number): Promise<Slot> {
    const { entry } = this.#source;
    for (let attempt = 0; attempt < readAttemptsMax; attempt++) {
      this.#signal.throwIfAborted();
      if (!entry.has(piece)) await this.#arrival(piece);
      if (entry.gone === true && !entry.has(piece)) throw removed(entry);
      const lent = entry.lend?.(piece, 'reader');
      if (lent !== undefined) return lent;
      const slot = await this.#arena.acquire('reader', pieceBytes(entry.meta, piece), this.#signal);
      if (entry.window !== undefined && !entry.has(piece)) {
        slot.release();
        attempt--;
        continue;
      }
      const good = await this.#read(piece, slot);
      if (good !== undefined) return good;
    }
    throw new ApiError(
      'UNKNOWN',
      `piece ${piece} of ${entry.digest} cannot be read: it was fetched ${readAttemptsMax} times; check the disk`,
    );
  }

  async #arrival(piece: number): Promise<void> {
    const pull = this.#follow(piece);
    try {
      await pull.waitFor(piece, this.#signal);
    } catch (error) {
      this.#signal.throwIfAborted();
      throw error;
    }
  }

  /** Reads into `slot`, which is released unless the piece is good. */
  async #read(piece: number, slot: Slot): Promise<Slot | undefined> {
    const { entry } = this.#source;
    let verdict: 'ok' | 'corrupt' | 'failed' = 'failed';
    try {
      verdict = await entry.read(piece, slot);
    } finally {
      if (verdict !== 'ok') slot.release();
    }
    if (verdict === 'ok') return slot;
    if (verdict === 'corrupt') this.#source.lost(piece);
    else if (entry.has(piece)) throw entry.failure ?? new Error(`piece ${piece} of ${entry.digest} cannot be read`);
    return undefined;
  }

  #readAhead(from: number): void {
    const { entry } = this.#source;
    const end = Math.min(this.end, from + readAheadPiecesMax);
    for (let piece = from; piece < end; piece++) {
      if (this.#ahead.has(piece)) continue;
      if (!entry.has(piece)) return;
      const lent = entry.lend?.(piece, 'reader');
      if (lent !== undefined) {
        this.#ahead.set(piece, Promise.resolve(lent));
        continue;
      }
      const slot = this.#arena.tryAcquire('reader', pieceBytes(entry.meta, piece));
      if (slot === undefined) return;
      const read = this.#read(piece, slot);
      // An error here is met again, and reported, when the piece is due.
      this.#ahead.set(
        piece,
        read.catch(() => undefined),
      );
    }
  }

  /** The pull as it runs now (a repair starts another one), told where this reader stands. */
  #follow(at: number): ReadablePull {
    const pull = this.#source.pull();
    if (pull === this.#pull) return pull;
    this.#window?.close();
    this.#pull = pull;
    this.#window = pull.reader(at, this.end);
    return pull;
  }
}

function removed({ digest, failure, revoked }: ReadableEntry): Error {
  return (
    revoked ?? failure ?? new ApiError('UNAVAILABLE', `blob ${digest} was removed while it was read: ask for it again`)
  );
}

/** Bytes [from, to) of `parts`, as views. */
function cut(parts: readonly SharedBytes[], from: number, to: number): SharedBytes[] {
  const views: SharedBytes[] = [];
  let at = 0;
  for (const part of parts) {
    const start = Math.max(from - at, 0);
    const end = Math.min(to - at, part.length);
    if (start < end) views.push(part.subarray(start, end));
    at += part.length;
  }
  return views;
}
