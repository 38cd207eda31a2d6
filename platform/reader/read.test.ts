/** Reads over in-memory fakes of the entry, the pull and the arena; the bytes are a known pattern. */

import { expect, test } from 'vitest';
import { type Metainfo, pieceBytes, pieceCount, unitBytes } from '../../core/piece.ts';
import type { Slot } from '../workers/arena.ts';
import { type Chunk, type ReadablePull, type ReadSource, readAttemptsMax, readRange } from './read.ts';

const byteAt = (offset: number): number => (offset * 7 + (offset >> 11)) & 0xff;

/** Counts what is out, so that a test can tell that everything came back. */
class MemoryArena {
  out = 0;
  readonly units: number;
  constructor(units: number) {
    this.units = units;
  }
  #slot(bytes: number): Slot {
    const units = Math.ceil(bytes / unitBytes);
    this.out += units;
    const memory = new Uint8Array(new SharedArrayBuffer(units * unitBytes));
    let live = true;
    return {
      no: 0,
      length: bytes,
      parts: () => {
        const parts = [];
        for (let at = 0; at < bytes; at += unitBytes) parts.push(memory.subarray(at, Math.min(bytes, at + unitBytes)));
        return parts;
      },
      window: (offset) => memory.subarray(offset),
      release: () => {
        expect(live, 'a slot is released once').toBe(true);
        live = false;
        this.out -= units;
      },
    };
  }
  tryAcquire(_share: string, bytes: number): Slot | undefined {
    return this.out + Math.ceil(bytes / unitBytes) > this.units ? undefined : this.#slot(bytes);
  }
  async acquire(_share: string, bytes: number, signal?: AbortSignal): Promise<Slot> {
    for (;;) {
      signal?.throwIfAborted();
      const slot = this.tryAcquire('reader', bytes);
      if (slot !== undefined) return slot;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

class MemoryBlob implements ReadSource {
  readonly meta: Metainfo;
  readonly held = new Set<number>();
  /** Pieces whose stored bytes are wrong, and how often a fetch brings a wrong one again. */
  readonly corrupt = new Map<number, number>();
  readonly lostPieces: number[] = [];
  readonly waitedFor: number[] = [];
  readonly moves: number[] = [];
  readonly readPieces: number[] = [];
  /** Pieces that are in memory, and how many loans are out. */
  readonly lendable = new Set<number>();
  loans = 0;
  /** The disk answers nothing but this. */
  failure: Error | undefined;
  readers = 0;
  pins = 0;
  pulls = 0;
  onWait = (_piece: number): void => {};
  #waiting = new Map<number, () => void>();
  /** Its digest is not known yet. */
  growing = false;
  revoked: Error | undefined;
  strict = false;
  unprovedCount = 0;
  #settled = Promise.withResolvers<void>();
  #pull: ReadablePull | undefined;

  constructor(length: number, pieceLength: number, held: 'all' | readonly number[]) {
    this.meta = { length, pieceLength, root: '0'.repeat(64) };
    for (let piece = 0; piece < pieceCount(this.meta); piece++) {
      if (held === 'all' || held.includes(piece)) this.held.add(piece);
    }
  }

  arrive(piece: number): void {
    this.held.add(piece);
    this.#waiting.get(piece)?.();
  }

  unproved(): void {
    this.unprovedCount++;
  }

  settle(): void {
    this.growing = false;
    this.#settled.resolve();
  }

  get entry() {
    const blob = this;
    return {
      get growth() {
        return blob.growing ? {} : undefined;
      },
      get revoked() {
        return blob.revoked;
      },
      digest: 'sha256:test',
      meta: this.meta,
      failure: this.failure,
      get complete() {
        return blob.held.size === pieceCount(blob.meta);
      },
      has: (piece: number) => this.held.has(piece),
      read: async (piece: number, slot: Slot) => {
        this.readPieces.push(piece);
        await new Promise((resolve) => setImmediate(resolve));
        if (this.failure !== undefined) return 'failed' as const;
        const wrong = this.corrupt.get(piece) ?? 0;
        if (wrong > 0) {
          this.corrupt.set(piece, wrong - 1);
          this.held.delete(piece);
          return 'corrupt' as const;
        }
        let offset = piece * this.meta.pieceLength;
        for (const part of slot.parts()) for (let i = 0; i < part.length; i++) part[i] = byteAt(offset++);
        return 'ok' as const;
      },
      lend: (piece: number): Slot | undefined => {
        if (!this.lendable.has(piece)) return undefined;
        this.loans++;
        const bytes = new Uint8Array(new SharedArrayBuffer(pieceBytes(this.meta, piece)));
        for (let i = 0; i < bytes.length; i++) bytes[i] = byteAt(piece * this.meta.pieceLength + i);
        return {
          no: 0,
          length: bytes.length,
          parts: () => [bytes],
          window: () => bytes,
          release: () => void this.loans--,
        };
      },
      pin: () => {
        this.pins++;
        return () => {
          this.pins--;
        };
      },
      touch: () => {},
    };
  }

  pull(): ReadablePull {
    this.#pull ??= {
      waitFor: (piece: number, signal?: AbortSignal) => {
        this.waitedFor.push(piece);
        this.onWait(piece);
        return new Promise<void>((resolve, reject) => {
          if (this.held.has(piece)) return resolve();
          signal?.addEventListener('abort', () => reject(signal.reason));
          this.#waiting.set(piece, resolve);
        });
      },
      reader: (at: number) => {
        this.readers++;
        this.moves.push(at);
        return { move: (to: number) => void this.moves.push(to), close: () => void this.readers-- };
      },
      settled: () => this.#settled.promise,
    };
    this.pulls++;
    return this.#pull;
  }

  lost(piece: number): void {
    this.lostPieces.push(piece);
    setImmediate(() => this.arrive(piece));
  }
}

function matches(chunk: Chunk, offset: number): number {
  let at = offset;
  for (const part of chunk.bytes)
    for (const byte of part) if (byte !== byteAt(at++)) throw new Error(`wrong byte at ${at - 1}`);
  expect(at - offset).toBe(chunk.length);
  return at;
}

async function readAll(blob: MemoryBlob, arena: MemoryArena, start: number, end: number): Promise<void> {
  let at = start;
  const range = { start, end };
  for await (const chunk of readRange(blob, arena, range, new AbortController().signal)) {
    at = matches(chunk, at);
    chunk.release();
  }
  expect(at).toBe(end);
  expect(arena.out).toBe(0);
  expect(blob.pins).toBe(0);
  expect(blob.readers).toBe(0);
}

const KiB = 1024;

test('a complete blob is read whole, and every range of it', async () => {
  const length = 5 * 512 * KiB + 777;
  const arena = new MemoryArena(16);
  const edges = [0, 1, 256 * KiB - 1, 256 * KiB, 512 * KiB, 512 * KiB + 1, 2 * 512 * KiB - 1, length - 1, length];
  for (const start of edges) {
    for (const end of edges.filter((edge) => edge >= start)) {
      await readAll(new MemoryBlob(length, 512 * KiB, 'all'), arena, start, end);
    }
  }
});

test('a blob of no bytes yields nothing and touches nothing', async () => {
  const blob = new MemoryBlob(0, 256 * KiB, 'all');
  await readAll(blob, new MemoryArena(1), 0, 0);
  expect(blob.pulls).toBe(0);
});

test('a range of a blob that still arrives waits only for the pieces that it covers', async () => {
  const blob = new MemoryBlob(8 * 256 * KiB, 256 * KiB, [0, 3]);
  blob.onWait = (piece) => setImmediate(() => blob.arrive(piece));
  await readAll(blob, new MemoryArena(4), 3 * 256 * KiB + 5, 5 * 256 * KiB - 5);
  expect(blob.waitedFor).toEqual([4]);
  expect(blob.moves[0]).toBe(3);
});

test('reading goes on with one slot in the arena: read-ahead never starves the piece that is due', async () => {
  await readAll(new MemoryBlob(6 * 512 * KiB, 512 * KiB, 'all'), new MemoryArena(2), 0, 6 * 512 * KiB);
});

test('a corrupt piece is fetched again and never yielded', async () => {
  const blob = new MemoryBlob(6 * 256 * KiB, 256 * KiB, 'all');
  blob.corrupt.set(0, 1);
  blob.corrupt.set(3, 2);
  await readAll(blob, new MemoryArena(8), 0, blob.meta.length);
  expect(blob.lostPieces.filter((piece) => piece === 3)).toHaveLength(2);
  expect(blob.lostPieces).toContain(0);
});

test('a piece that never becomes good ends the read with an error that names it', async () => {
  const blob = new MemoryBlob(3 * 256 * KiB, 256 * KiB, 'all');
  const arena = new MemoryArena(8);
  blob.corrupt.set(1, readAttemptsMax + 5);
  await expect(readAll(blob, arena, 0, blob.meta.length)).rejects.toThrow(/piece 1 of sha256:test cannot be read/);
  expect(arena.out).toBe(0);
  expect(blob.pins).toBe(0);
});

test('a disk that fails ends the read with its reason, at once', async () => {
  const blob = new MemoryBlob(3 * 256 * KiB, 256 * KiB, 'all');
  const arena = new MemoryArena(8);
  blob.failure = new Error('too many open files');
  await expect(readAll(blob, arena, 0, blob.meta.length)).rejects.toThrow('too many open files');
  expect(arena.out).toBe(0);
  expect(blob.lostPieces).toEqual([]);
});

test('an abort ends a wait at once and gives everything back', async () => {
  const blob = new MemoryBlob(4 * 256 * KiB, 256 * KiB, [0, 2]);
  const arena = new MemoryArena(8);
  const abort = new AbortController();
  const chunks = readRange(blob, arena, { start: 0, end: blob.meta.length }, abort.signal);
  const first = await chunks.next();
  first.value?.release();
  const second = chunks.next();
  abort.abort(new Error('the client has gone'));
  await expect(second).rejects.toThrow('the client has gone');
  expect(arena.out).toBe(0);
  expect(blob.pins).toBe(0);
  expect(blob.readers).toBe(0);
});

test('a reader that stops between two chunks frees what was read ahead', async () => {
  const blob = new MemoryBlob(6 * 256 * KiB, 256 * KiB, 'all');
  const arena = new MemoryArena(8);
  const signal = new AbortController().signal;
  for await (const chunk of readRange(blob, arena, { start: 0, end: blob.meta.length }, signal)) {
    chunk.release();
    break;
  }
  expect(arena.out).toBe(0);
  expect(blob.pins).toBe(0);
});

test('what is in memory is lent and not read; what arrives is lent where it can be', async () => {
  const blob = new MemoryBlob(6 * 256 * KiB, 256 * KiB, [0, 1, 2, 3]);
  blob.lendable.add(1).add(3).add(4);
  blob.onWait = (piece) => setImmediate(() => blob.arrive(piece));
  await readAll(blob, new MemoryArena(8), 0, blob.meta.length);
  expect(blob.readPieces.sort()).toEqual([0, 2, 5]);
  expect(blob.loans).toBe(0);
});

test('a reader that leaves gives back what it borrowed ahead', async () => {
  const blob = new MemoryBlob(6 * 256 * KiB, 256 * KiB, 'all');
  for (let piece = 0; piece < 6; piece++) blob.lendable.add(piece);
  const range = { start: 0, end: blob.meta.length };
  const arena = new MemoryArena(8);
  for await (const chunk of readRange(blob, arena, range, new AbortController().signal)) {
    expect(blob.loans).toBeGreaterThan(1);
    chunk.release();
    break;
  }
  expect(blob.loans).toBe(0);
});

/** A blob whose pieces pass through: a piece that came is gone again as often as `vanishes` says. */
class PassingBlob extends MemoryBlob {
  vanishes = 0;
  gone = false;
  override get entry() {
    const blob = this;
    return {
      ...super.entry,
      complete: false,
      window: {},
      get gone() {
        return blob.gone;
      },
      read: async (piece: number, slot: Slot) => await super.entry.read(piece, slot),
    };
  }
}

test('a piece that passed through before memory was had for it is waited for again, however often', async () => {
  const blob = new PassingBlob(4 * 256 * KiB, 256 * KiB, []);
  blob.onWait = (piece) =>
    setImmediate(() => {
      blob.arrive(piece);
      if (piece === 2 && blob.vanishes++ < readAttemptsMax + 3) blob.held.delete(piece);
    });
  await readAll(blob, new MemoryArena(4), 0, blob.meta.length);
  expect(blob.waitedFor.filter((piece) => piece === 2)).toHaveLength(readAttemptsMax + 4);
  expect(blob.lostPieces).toEqual([]);
});

test('a reader of a blob that passed through and is gone hears so, and does not wait for ever', async () => {
  const blob = new PassingBlob(4 * 256 * KiB, 256 * KiB, [0]);
  const arena = new MemoryArena(4);
  blob.onWait = (piece) =>
    setImmediate(() => {
      blob.gone = true;
      blob.arrive(piece);
      blob.held.delete(piece);
    });
  await expect(readAll(blob, arena, 0, blob.meta.length)).rejects.toThrow(/was removed while it was read/);
  expect([arena.out, blob.pins, blob.readers]).toEqual([0, 0, 0]);
});

test('a reader stands at what it needs next, not at what it has taken', async () => {
  const blob = new MemoryBlob(3 * 256 * KiB, 256 * KiB, []);
  blob.onWait = (piece) => setImmediate(() => blob.arrive(piece));
  const range = { start: 0, end: blob.meta.length };
  const chunks = readRange(blob, new MemoryArena(4), range, new AbortController().signal);
  const first = await chunks.next();
  expect(blob.moves.at(-1)).toBe(1);
  first.value?.release();
  await chunks.return();
});

test('a range of a blob that an origin still receives is given, and told; its end waits for the digest by itself', async () => {
  const arena = new MemoryArena(8);
  const blob = new MemoryBlob(4 * 256 * KiB, 256 * KiB, [0, 1, 2]);
  blob.growing = true;
  await readAll(blob, arena, 10, 256 * KiB + 5);
  blob.onWait = (piece) => {
    blob.settle();
    setImmediate(() => blob.arrive(piece));
  };
  await readAll(blob, arena, 10, blob.meta.length);
  expect([blob.unprovedCount, blob.waitedFor]).toEqual([1, [3]]);
});

test('whoever is strict gets nothing of such a range before the digest is known, and all other ranges as before', async () => {
  const arena = new MemoryArena(8);
  const blob = new MemoryBlob(4 * 256 * KiB, 256 * KiB, [0, 1, 2]);
  Object.assign(blob, { growing: true, strict: true });
  const { signal } = new AbortController();
  const first = readRange(blob, arena, { start: 0, end: 256 * KiB }, signal).next();
  for (let turns = 0; turns < 20; turns++) await new Promise(setImmediate);
  expect(blob.readPieces).toEqual([]);
  const whole = readRange(blob, arena, { start: 0, end: blob.meta.length }, signal);
  (await whole.next()).value?.release();
  await whole.return();
  blob.settle();
  (await first).value?.release();
  expect(blob.unprovedCount).toBe(0);
});

test('a blob that turns out not to be its digest is cut off, though the next pieces are in memory', async () => {
  const arena = new MemoryArena(8);
  const blob = new MemoryBlob(4 * 256 * KiB, 256 * KiB, [0, 1, 2]);
  blob.growing = true;
  const chunks = readRange(blob, arena, { start: 0, end: 3 * 256 * KiB }, new AbortController().signal);
  (await chunks.next()).value?.release();
  blob.revoked = new Error('it is another');
  await expect(chunks.next()).rejects.toThrow('it is another');
  expect([arena.out, blob.pins, blob.readers]).toEqual([0, 0, 0]);
});
