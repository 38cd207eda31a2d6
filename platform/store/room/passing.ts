/**
 * Blobs that there is no room for, since the budget is smaller or what is in use fills it: each gets a window of a few
 * pieces that pass through (window.ts), for as long as it is pulled. Nothing of it is found after a restart.
 *
 * Rule 1: a pull never fails for want of room. A few pieces are its by right, beyond the budget where that is full.
 * Rule 2: what is beyond the budget is bounded, whatever the number of pulls: those that come later wait in turn.
 * Rule 3: the rest of the windows comes out of the budget, a part of it at most for all of them: what can be kept is
 *   worth more.
 * Rule 4: where no disk takes a window (it is full, read-only or broken), its pieces are in memory: what is a pull's by
 *   right, and no more. So is a small blob, whole. Disks are tried again after a while.
 */

import type { Digest } from '../../../core/digest.ts';
import { type Metainfo, pieceCount } from '../../../core/piece.ts';
import { type Disk, diskCode, unlinkIfThere } from '../disk/disk.ts';
import type { StoredFile } from '../disk/open-files.ts';
import { GrowingEntry } from '../growing/entry.ts';
import type { BlobSize } from '../growing/list.ts';
import { dataVolume, type Layout } from '../layout.ts';
import { BlobEntry, type EntryHost } from '../pieces/entry.ts';
import { InMemory } from '../pieces/in-memory.ts';
import { PieceBits } from '../pieces/remembered.ts';
import type { StoreLog } from '../recover.ts';
import type { Volumes } from '../volumes/volumes.ts';
import type { Room } from './room.ts';
import { SmallBlobs } from './small.ts';
import { Window } from './window.ts';

const MiB = 1024 * 1024;
/** A pull's by right: one piece that is read while the next one comes, and enough of small ones to keep a link busy. */
export const windowPiecesMin = 2;
export const windowBytesMin = 4 * MiB;
/** What is beyond the budget, of all pulls together: sixteen at once, or two of the longest pieces. */
export const beyondBudgetBytesMax = 64 * MiB;
/** A window is no wider: the swarm's own is narrower, and what readers have passed is given to peers for a while. */
const windowPiecesMax = 8;
const windowBytesMax = 64 * MiB;
/** One part in so many of the budget, at most, is windows. */
const windowShare = 4;
/** After a disk refused a window, or what was to be kept, the next windows are in memory for so long. */
const memoryMs = 5_000;

export type PassingOptions = {
  readonly disk: Disk;
  readonly layout: Layout;
  readonly log: StoreLog;
  readonly room: Room;
  readonly budgetBytes: number;
  readonly windowBytesMin: number;
  readonly host: EntryHost;
  readonly volumes: Pick<Volumes, 'place' | 'writable'>;
  /** A small blob in memory had to go. */
  readonly evicted: (digest: Digest) => void;
};

type SmallBlob = {
  readonly digest: Digest;
  readonly meta: Metainfo;
  readonly hashes: Uint8Array;
  readonly bytes: Uint8Array;
};

type Pass = {
  readonly entry: BlobEntry;
  readonly window: Window;
  /** Where its file is. */
  readonly volume: number | undefined;
  /** Closes the file, once the last reader lets go of it. */
  readonly unhold: () => Promise<void>;
  /** Bytes of the window that the budget does not count, and those that it does. */
  beyond: number;
  within: number;
  growing: boolean;
};

const noFile = { file: undefined, unhold: async (): Promise<void> => undefined };

export class Passing {
  readonly #o: PassingOptions;
  readonly #host: EntryHost;
  /** Blobs that pass through now. */
  count = 0;
  readonly #passes = new Map<Digest, Pass>();
  readonly #small: SmallBlobs;
  #beyondBytes = 0;
  #nextFile = 0;
  #memoryUntilMs = Number.NEGATIVE_INFINITY;

  constructor(o: PassingOptions) {
    this.#o = o;
    this.#small = new SmallBlobs(({ digest }) => o.evicted(digest));
    this.#host = {
      ...o.host,
      changed: () => undefined,
      touched: () => undefined,
      degraded: ({ digest }, piece, why) =>
        o.log.warn({ digest, piece, why }, 'a piece that passes through is damaged: it is fetched again'),
    };
  }

  get(digest: Digest): BlobEntry | undefined {
    return this.#passes.get(digest)?.entry ?? this.#small.get(digest);
  }

  all(): BlobEntry[] {
    return [...[...this.#passes.values()].map(({ entry }) => entry), ...this.#small.all()];
  }

  /** Bytes of all windows, whether the budget counts them or not. */
  get bytes(): number {
    let bytes = 0;
    for (const { beyond, within } of this.#passes.values()) bytes += beyond + within;
    return bytes;
  }

  /** Whether a pull waits for its turn. */
  get waiting(): boolean {
    for (const { window } of this.#passes.values()) if (window.capacity === 0) return true;
    return false;
  }

  /** Within the digest's turn, where the store has no entry of it. Throws what the disk says. */
  async create(digest: Digest, meta: Metainfo, hashes: Uint8Array): Promise<BlobEntry> {
    const host = this.#host;
    const bits = new PieceBits(pieceCount(meta));
    const file = this.#o.layout.file(digest, meta, { volume: dataVolume, partial: true });
    return await this.#open((window) => new BlobEntry({ host, digest, meta, file, bits, hashes, window }));
  }

  /** The same of one whose list of piece hashes grows. */
  async createGrowing(digest: Digest, size: BlobSize): Promise<GrowingEntry> {
    const host = this.#host;
    const file = this.#o.layout.file(digest, { ...size, root: '' }, { volume: dataVolume, partial: true });
    return await this.#open((window) => new GrowingEntry({ host, digest, size, file, window }));
  }

  /** All of it, in memory. undefined: there is too much already. */
  createSmall({ digest, meta, hashes, bytes }: SmallBlob): BlobEntry | undefined {
    const host = this.#host;
    const file = this.#o.layout.file(digest, meta, { volume: dataVolume, partial: false });
    const memory = InMemory.of(bytes, meta);
    const entry = new BlobEntry({ host, digest, meta, file, bits: undefined, hashes, memory });
    return this.#small.add(entry) ? entry : undefined;
  }

  /** A disk did not take what was to be kept, or a window. */
  refused(): void {
    this.#memoryUntilMs = this.#host.nowMs() + memoryMs;
  }

  /** Nothing of that volume can be had any more: those whose pieces were there. */
  lose(volume: number): BlobEntry[] {
    const lost = [...this.#passes.values()].filter((pass) => pass.volume === volume).map(({ entry }) => entry);
    return lost.filter((entry) => this.close(entry));
  }

  /** `make`: its entry, which names no file of its own. */
  async #open<E extends BlobEntry>(make: (window: Window) => E): Promise<E> {
    const { file, volume, unhold } = (await this.#file()) ?? { ...noFile, volume: undefined };
    const window = new Window(file);
    const entry = make(window);
    this.count += 1;
    this.#passes.set(entry.digest, { entry, window, volume, unhold, beyond: 0, within: 0, growing: false });
    this.#serve();
    void this.grow(entry);
    return entry;
  }

  /** One without a name; undefined: no disk takes it. */
  async #file(): Promise<{ file: StoredFile; volume: number; unhold: () => Promise<void> } | undefined> {
    const { disk, layout, volumes, log } = this.#o;
    const { files } = this.#host;
    if (!volumes.writable || this.#host.nowMs() < this.#memoryUntilMs) return undefined;
    const name = `passing-${this.#nextFile}`;
    this.#nextFile += 1;
    const volume = volumes.place(name, 0);
    const file = { path: layout.upload(name, volume), unlinked: false };
    try {
      files.adopt(file, await disk.open(file.path, 'create'));
      const unhold = await files.hold(file);
      await unlinkIfThere(disk, file.path);
      file.unlinked = true;
      return { file, volume, unhold };
    } catch (error) {
      if (diskCode(error) === undefined) throw error;
      log.warn({ path: file.path, why: String(error) }, 'no file can be made for what passes through: it is in memory');
      this.refused();
      await files.close(file).catch(() => undefined);
      return undefined;
    }
  }

  /** Widens the window, where there is room now and it is not as wide as it may be. */
  async grow(entry: BlobEntry): Promise<void> {
    const pass = this.#passes.get(entry.digest);
    if (pass === undefined || pass.entry !== entry || pass.growing || pass.volume === undefined) return;
    const { pieceLength, length } = entry.meta;
    const { budgetBytes, room } = this.#o;
    const most = Math.max(windowBytesMax, windowPiecesMax * pieceLength);
    const share = budgetBytes / windowShare;
    const has = pass.beyond + pass.within;
    const wide = Math.min(length, most, Math.max(this.#least(entry.meta), share));
    const pieces = Math.floor(room.possible(Math.min(wide - has, share - this.#withinBytes)) / pieceLength);
    if (pieces <= 0) return;
    pass.growing = true;
    try {
      await room.reserve(pieces * pieceLength);
    } catch (error) {
      // Somebody else was faster, or the disk is full: it goes on as it is.
      this.#o.log.info({ digest: entry.digest, why: String(error) }, 'a window stays as narrow as it is');
      return;
    } finally {
      pass.growing = false;
    }
    if (entry.gone) return room.release(pieces * pieceLength);
    pass.within += pieces * pieceLength;
    pass.window.grow(pieces);
  }

  get #withinBytes(): number {
    let bytes = 0;
    for (const { within } of this.#passes.values()) bytes += within;
    return bytes;
  }

  /** Its pull has ended. Whoever reads a piece of it now still can. */
  close(entry: BlobEntry): boolean {
    const pass = this.#passes.get(entry.digest);
    if (pass?.entry !== entry) return this.#small.close(entry);
    this.#passes.delete(entry.digest);
    this.count -= 1;
    this.#o.room.release(pass.within);
    this.#beyondBytes -= pass.beyond;
    entry.becomeGone(pass.unhold);
    this.#serve();
    return true;
  }

  closeAll(): void {
    for (const entry of this.all()) this.close(entry);
  }

  /** Gives those that have nothing what is theirs by right, the first one first. */
  #serve(): void {
    for (const pass of this.#passes.values()) {
      const bytes = this.#least(pass.entry.meta);
      if (pass.window.capacity > 0) continue;
      if (this.#beyondBytes > 0 && this.#beyondBytes + bytes > beyondBudgetBytesMax) return;
      this.#beyondBytes += bytes;
      pass.beyond += bytes;
      pass.window.grow(bytes / pass.entry.meta.pieceLength);
    }
  }

  /** What is a pull's by right: whole pieces, and no more of them than the blob has. */
  #least(meta: Metainfo): number {
    const pieces = Math.max(windowPiecesMin, Math.floor(this.#o.windowBytesMin / meta.pieceLength));
    return Math.min(pieces, pieceCount(meta)) * meta.pieceLength;
  }
}
