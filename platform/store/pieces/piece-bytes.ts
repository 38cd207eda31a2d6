/**
 * The bytes of one blob's pieces, between slots and the file: verified both ways, by the worker.
 *
 * Rule 1: what was seen right is noted in `trust`; what `trust` vouches for may be read for a peer without its hash.
 * Rule 2: of a blob that passes through, a piece lies where the window has it, and is there only while it is used.
 * Rule 3: of one that no disk takes, pieces are in memory (in-memory.ts).
 */

import { assert } from '../../../core/assert.ts';
import type { Digest } from '../../../core/digest.ts';
import { hashBytes, type Metainfo, pieceBytes, unitBytes } from '../../../core/piece.ts';
import type { Slot } from '../../workers/arena.ts';
import { IoFailure, type PieceIo, type PieceJob } from '../../workers/piece-io.ts';
import { diskCode } from '../disk/disk.ts';
import type { OpenFiles } from '../disk/open-files.ts';
import type { BlobFile } from '../layout.ts';
import type { Window } from '../room/window.ts';
import type { InMemory } from './in-memory.ts';
import type { Trust } from './remembered.ts';

/** Errors that mean that the bytes on the medium are not there, rather than that we failed to ask. */
const unreadable: readonly string[] = ['EIO', 'SHORT'];

/** Whether a stored piece is not what it should be, rather than not read. */
export function isBad(verdict: 'ok' | 'corrupt' | IoFailure): boolean {
  return verdict === 'corrupt' || (verdict instanceof IoFailure && unreadable.includes(verdict.errno));
}

const nothing = new Uint8Array(0);

/** Whose pieces they are (entry.ts). */
type Pieces = {
  readonly digest: Digest;
  readonly meta: Metainfo;
  readonly pieces: number;
  readonly window: Window | undefined;
  readonly memory: InMemory | undefined;
  readonly file: BlobFile;
  readonly hashes: Uint8Array;
  readonly complete: boolean;
};

/** What reads and writes them. */
export interface PieceFiles {
  readonly io: PieceIo;
  readonly files: OpenFiles;
  nowMs(): number;
}

export class PieceBytes {
  readonly #entry: Pieces;
  readonly #host: PieceFiles;
  readonly #trust: Trust;

  constructor(o: { readonly entry: Pieces; readonly host: PieceFiles; readonly trust: Trust }) {
    this.#entry = o.entry;
    this.#host = o.host;
    this.#trust = o.trust;
  }

  /** Bytes of the piece. */
  length(piece: number): number {
    const { digest, meta, pieces } = this.#entry;
    assert(piece >= 0 && piece < pieces, `store: ${digest} has no piece ${piece}`);
    return pieceBytes(meta, piece);
  }

  async write(piece: number, slot: Slot): Promise<'held' | 'corrupt' | IoFailure> {
    const { memory, window } = this.#entry;
    if (memory !== undefined)
      return window?.has(piece) === false ? new IoFailure('ENODATA') : memory.write(piece, slot, this.#check(piece));
    const verdict = await this.#withFile(piece, (fd) => this.#host.io.verifyWrite(this.#job(piece, slot, fd)));
    if (verdict === 'held') this.#trust.saw(piece, this.#host.nowMs());
    return verdict;
  }

  async read(piece: number, slot: Slot): Promise<'ok' | 'corrupt' | IoFailure> {
    const { memory } = this.#entry;
    if (memory !== undefined) return memory.read(piece, slot, this.#check(piece));
    const stamped = (stamp: number): boolean => this.#checkStamp(stamp);
    const verdict = await this.#withFile(piece, (fd) =>
      this.#host.io.readVerify({ ...this.#job(piece, slot, fd), stamped }),
    );
    if (verdict === 'ok') this.#trust.saw(piece, this.#host.nowMs());
    return verdict;
  }

  /** False: it is not trusted, or cannot be read. */
  async readTrusted(piece: number, slot: Slot): Promise<boolean> {
    assert(slot.length === this.length(piece), `store: piece ${piece} does not have ${slot.length} bytes`);
    if (this.#entry.memory !== undefined || !this.#trust.has(piece, this.#host.nowMs())) return false;
    let told = false;
    const stamped = (stamp: number): boolean => {
      told = this.#checkStamp(stamp);
      return this.#trust.has(piece, this.#host.nowMs());
    };
    const verdict = await this.#withFile(piece, async (fd) => {
      const position = this.#position(piece);
      return await this.#host.io.readVerify({ fd, slot, position, expected: nothing, believed: true, stamped });
    });
    return verdict === 'ok' && told && this.#trust.has(piece, this.#host.nowMs());
  }

  #job(piece: number, slot: Slot, fd: number): PieceJob {
    return { fd, slot, position: this.#position(piece), ...this.#check(piece) };
  }

  #check(piece: number): { expected: Uint8Array; folded: boolean } {
    const { hashes, meta } = this.#entry;
    const expected = hashes.subarray(piece * hashBytes, (piece + 1) * hashBytes);
    return { expected, folded: meta.pieceLength > unitBytes };
  }

  #position(piece: number): number {
    const { window, meta } = this.#entry;
    return (window?.placeOf(piece) ?? piece) * meta.pieceLength;
  }

  /** Where the file is not as it was, nothing of it is trusted any more. */
  #checkStamp(stamp: number): true {
    if (this.#entry.complete) this.#trust.check(stamp);
    return true;
  }

  async #withFile<T>(piece: number, work: (fd: number) => Promise<T>): Promise<T | IoFailure> {
    const { window, file } = this.#entry;
    const done = window?.use(piece);
    if (window !== undefined && done === undefined) return new IoFailure('ENODATA');
    try {
      return await this.#host.files.use(window?.file ?? file, work);
    } catch (error) {
      const code = diskCode(error);
      if (code === undefined) throw error;
      return new IoFailure(code);
    } finally {
      done?.();
    }
  }
}
