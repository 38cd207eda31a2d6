/**
 * Whether a blob that counts as whole is there: others may have truncated, removed, replaced or overwritten its file,
 * or the medium may have. Asked before somebody is told that a push is not needed, or where a blob can be had.
 *
 * Rule 1: that the name is there, with a file of the right size, is looked up each time: it costs microseconds.
 * Rule 2: a sample of pieces (the first, the last, drawn ones; all of a blob that has few) is read and verified, and
 *   counts for `sampleMs` while nobody wrote to the file. So a storm of questions costs one sample.
 * Rule 3: draws go round the blob, so that asking again and again looks at all of it; no randomness.
 * Rule 4: a disk that refuses to say is no blob that is missing: UNAVAILABLE.
 */

import { ApiError } from '../../../core/contracts/errors.ts';
import { pieceBytes } from '../../../core/piece.ts';
import { type Arena, SHARES, type Slot } from '../../workers/arena.ts';
import { type Disk, diskCode } from '../disk/disk.ts';
import { refusal } from '../disk/errors.ts';
import type { OpenFiles } from '../disk/open-files.ts';
import type { BlobEntry } from './entry.ts';

/** 'size': rule 1. 'sample': rule 2 as well. */
export type Proof = 'size' | 'sample';

/** A sample counts for so long: a push that skips a blob comes seconds after it asked. */
export const sampleMs = 10_000;
/** Pieces that are drawn beside the first and the last. */
const drawnPieces = 2;
/** The golden ratio: steps of it fall evenly over a blob, however many are taken. */
const step = 0.618_033_988_749_895;
/** Memory for a sample is waited for no longer than this; who asks waits for us. */
const memoryMsMax = 2_000;

export type BelievedOptions = {
  readonly disk: Disk;
  readonly files: OpenFiles;
  readonly arena: Arena;
  readonly nowMs: () => number;
  /** The file is gone. */
  readonly missing: (entry: BlobEntry) => void;
  /** Whether its file has the right list of piece hashes, be it that it is written anew. */
  readonly listed: (entry: BlobEntry) => Promise<boolean>;
};

/** What was found last: of which file, when, and how many pieces were drawn so far. */
type Sample = { id: string; atMs: number; drawn: number; running: Promise<boolean> | undefined };

export class Believed {
  readonly #o: BelievedOptions;
  readonly #samples = new WeakMap<BlobEntry, Sample>();

  constructor(o: BelievedOptions) {
    this.#o = o;
  }

  async whole(entry: BlobEntry, proof: Proof): Promise<boolean> {
    for (;;) {
      if (!entry.complete) return false;
      const { file } = entry;
      const found = await this.#state(entry);
      // A push replaced it meanwhile, or it was removed: what was seen is of no file of ours any more.
      if (entry.file !== file) continue;
      if (!entry.complete) return false;
      if (found === undefined) {
        this.#o.missing(entry);
        return false;
      }
      // A longer one has every byte where it belongs.
      if (found.size < file.bytes) {
        entry.becomeDamaged(found.size, `its file has ${found.size} bytes in place of ${file.bytes}`);
        return false;
      }
      return proof === 'size' || (await this.#sampled(entry, found.id));
    }
  }

  async #state(entry: BlobEntry): Promise<{ size: number; id: string } | undefined> {
    try {
      return await this.#o.disk.stat(entry.file.path);
    } catch (error) {
      const code = diskCode(error);
      if (code === undefined) throw error;
      if (code === 'ENOENT') return undefined;
      throw refusal(entry.digest, code);
    }
  }

  /** Whether the last sample counts still, or a new one is right. */
  async #sampled(entry: BlobEntry, id: string): Promise<boolean> {
    const known = this.#samples.get(entry);
    if (known?.running !== undefined && known.id === id) return await known.running;
    if (known?.id === id && this.#o.nowMs() - known.atMs < sampleMs) return true;
    const sample: Sample = { id, atMs: Number.NEGATIVE_INFINITY, drawn: known?.drawn ?? 0, running: undefined };
    this.#samples.set(entry, sample);
    sample.running = this.#take(entry, sample, known?.id !== id).finally(() => {
      sample.running = undefined;
    });
    return await sample.running;
  }

  async #take(entry: BlobEntry, sample: Sample, changed: boolean): Promise<boolean> {
    // Another file may have taken the name since ours was opened: what the name says is what a restart finds.
    if (changed) await this.#o.files.renew(entry.file);
    if (changed && !(await this.#o.listed(entry))) return false;
    for (const piece of drawPieces(entry.pieces, sample.drawn)) if (!(await this.#right(entry, piece))) return false;
    sample.drawn += drawnPieces;
    sample.atMs = this.#o.nowMs();
    return entry.complete;
  }

  async #right(entry: BlobEntry, piece: number): Promise<boolean> {
    const slot = await this.#memory(entry, piece);
    try {
      const verdict = await entry.read(piece, slot);
      if (verdict !== 'failed' || !entry.complete) return verdict === 'ok';
      throw entry.failure ?? refusal(entry.digest, 'EIO');
    } finally {
      slot.release();
    }
  }

  /** From whoever has some: a sample must not wait behind readers that wait for their clients. */
  async #memory(entry: BlobEntry, piece: number): Promise<Slot> {
    const { arena } = this.#o;
    const bytes = pieceBytes(entry.meta, piece);
    for (const share of SHARES) {
      const slot = bytes <= arena.shareBytes(share) ? arena.tryAcquire(share, bytes) : undefined;
      if (slot !== undefined) return slot;
    }
    const late = AbortSignal.timeout(memoryMsMax);
    try {
      return await arena.acquire('reader', bytes, late);
    } catch (error) {
      if (!late.aborted) throw error;
      throw new ApiError(
        'UNAVAILABLE',
        `no memory was free within ${memoryMsMax} ms to look at ${entry.digest}: try again`,
      );
    }
  }
}

/** The first, the last, and some between; all where they are few. */
function drawPieces(pieces: number, drawn: number): Set<number> {
  const chosen = new Set<number>();
  if (pieces <= 2 + drawnPieces) for (let piece = 0; piece < pieces; piece += 1) chosen.add(piece);
  else {
    chosen.add(0);
    chosen.add(pieces - 1);
    for (let i = 1; i <= drawnPieces; i += 1) chosen.add(Math.floor((((drawn + i) * step) % 1) * pieces));
  }
  return chosen;
}
