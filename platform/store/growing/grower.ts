/**
 * How a blob that grows comes to be here, and how it ends: as an ordinary one, or as nothing.
 *
 * Rule 1: its file lies among the uploads, which every start empties: pieces under a list that is not whole do not outlive
 *   the process.
 * Rule 2: it becomes ordinary by one rename, after its list was written: partial (`settle`), or whole and synced (`publish`).
 * Rule 3: the room for all of it is taken when it begins.
 */

import { assert } from '../../../core/assert.ts';
import { ApiError } from '../../../core/contracts/errors.ts';
import type { Digest } from '../../../core/digest.ts';
import { type Growth, growthValid, hashBytes, type Metainfo, pieceLengthFor } from '../../../core/piece.ts';
import { blake3Hex } from '../../workers/hash.ts';
import { stampSoon } from '../becoming.ts';
import type { Disk } from '../disk/disk.ts';
import { asApiError, removed } from '../disk/errors.ts';
import type { OpenFiles } from '../disk/open-files.ts';
import { bytesOnDisk, type Layout } from '../layout.ts';
import type { Names, Serial } from '../names.ts';
import type { BlobEntry, EntryHost } from '../pieces/entry.ts';
import type { HashCache } from '../pieces/hash-cache.ts';
import type { Passing } from '../room/passing.ts';
import type { Room } from '../room/room.ts';
import type { Volumes } from '../volumes/volumes.ts';
import { GrowingEntry } from './entry.ts';
import type { BlobSize } from './list.ts';
import { Writing, type WritingHost } from './writing.ts';

export type GrowerOptions = {
  readonly disk: Disk;
  readonly layout: Layout;
  readonly files: OpenFiles;
  readonly names: Names;
  readonly room: Room;
  readonly passing: Passing;
  readonly volumes: Pick<Volumes, 'place' | 'problem' | 'writable'>;
  readonly hashes: HashCache;
  readonly serial: Serial<Digest>;
  readonly host: EntryHost;
  readonly synced: boolean;
  readonly keeps: boolean;
  readonly get: (digest: Digest) => BlobEntry | undefined;
  /** Takes an entry out of the store, within its digest's turn. */
  readonly detach: (entry: BlobEntry) => Promise<void>;
  /** The same, for good and at once: nothing of it stays. `revoked`: it is not its digest's. */
  readonly drop: (entry: GrowingEntry, revoked: ApiError | undefined) => Promise<void>;
};

export class Grower {
  readonly #o: GrowerOptions;
  readonly #writingHost: WritingHost;
  /** undefined: it is about to be here. */
  readonly #writings = new Map<Digest, Writing | undefined>();
  #nextFile = 0;

  constructor(o: GrowerOptions) {
    this.#o = o;
    const { disk, files, synced, serial, drop } = o;
    this.#writingHost = {
      io: o.host.io,
      disk,
      files,
      synced,
      publish: (entry, meta, hashes) => serial.run(entry.digest, () => this.#publish(entry, meta, hashes)),
      drop,
      ended: ({ entry }) => void this.#writings.delete(entry.digest),
    };
  }

  /**
   * Receives a blob of `length` bytes, more than none, from where it rests, in order: readable and fed as it comes. One that
   * grows here already, in pieces from peers, is taken over. ApiError BLOB_UPLOAD_INVALID where it is being received, or is
   * here as an ordinary one (a damaged one is mended by an upload); STORAGE_FULL, UNAVAILABLE.
   */
  async begin(digest: Digest, length: number): Promise<Writing> {
    if (this.#writings.has(digest)) {
      throw new ApiError('BLOB_UPLOAD_INVALID', `${digest} is being received already`);
    }
    this.#writings.set(digest, undefined);
    try {
      const entry = await this.#begin(digest, { length, pieceLength: pieceLengthFor(length) });
      const writing = await Writing.begin(entry, this.#writingHost);
      this.#writings.set(digest, writing);
      return writing;
    } catch (error) {
      this.#writings.delete(digest);
      throw asApiError(error, digest);
    }
  }

  /**
   * The entry of a blob of which `growth` and these hashes are known; one that is here and serves, an ordinary one as well.
   * ApiError STORAGE_FULL, UNAVAILABLE.
   */
  async create(digest: Digest, growth: Growth, hashes: Uint8Array): Promise<BlobEntry> {
    assert(growthValid(growth), `store: growth of ${digest}`);
    assert(
      hashes.length === growth.known * hashBytes && blake3Hex(hashes) === growth.root,
      `store: known hashes of ${digest}`,
    );
    const entry = await this.#make(digest, growth, (it) => {
      if (it.growth !== undefined) return this.#agrees(it, growth, hashes);
      return it.meta.length === growth.length && it.meta.pieceLength === growth.pieceLength;
    });
    if (entry instanceof GrowingEntry) entry.extend(hashes);
    return entry;
  }

  async #begin(digest: Digest, size: BlobSize): Promise<GrowingEntry> {
    assert(growthValid({ ...size, known: 0, root: blake3Hex(nothing) }), `store: size of ${digest}`);
    const serves = (entry: BlobEntry): boolean => entry.growth === undefined || this.#agrees(entry, size, nothing);
    const entry = await this.#make(digest, size, serves);
    if (entry instanceof GrowingEntry && entry.growth !== undefined) return entry;
    throw new ApiError(
      'BLOB_UPLOAD_INVALID',
      `${digest} is here ${entry.complete ? 'whole' : 'in part, with its whole list'}: it does not grow`,
    );
  }

  /**
   * All hashes are known, and checked: the entry is an ordinary one from now on, whole or with pieces missing.
   * False: they contradict those that were known. ApiError STORAGE_FULL, UNAVAILABLE: it grows on.
   */
  async settle(entry: GrowingEntry, meta: Metainfo, hashes: Uint8Array): Promise<boolean> {
    const { host, serial } = this.#o;
    try {
      if (!(await serial.run(entry.digest, () => this.#settle(entry, meta, hashes)))) return false;
      if (entry.heldCount === entry.pieces && entry.window === undefined) await host.complete(entry);
    } catch (error) {
      throw asApiError(error, entry.digest);
    }
    entry.tellGrown();
    return true;
  }

  /** Within the digest's turn. */
  async #settle(entry: GrowingEntry, meta: Metainfo, hashes: Uint8Array): Promise<boolean> {
    if (entry.gone || entry.growth === undefined) return true;
    if (!this.#agrees(entry, meta, hashes)) return false;
    if (entry.window === undefined) {
      const { disk, files, layout, names } = this.#o;
      const { file } = entry;
      await files.use(file, (fd) => disk.write(fd, hashes, meta.length));
      const named = layout.file(entry.digest, meta, { volume: file.volume, partial: true });
      await names.ensureShard(named);
      await disk.rename(file.path, named.path);
      file.named(meta, true);
      file.hinted = false;
    }
    this.#ordinary(entry, meta, hashes);
    return true;
  }

  /** Ends with the store: what lies among the uploads is nobody's afterwards. */
  async close(entries: Iterable<BlobEntry>): Promise<void> {
    for (const writing of [...this.#writings.values()]) await writing?.abort();
    for (const entry of entries) if (entry.growth !== undefined) await this.#o.detach(entry);
  }

  /** Every byte is in the file, and they are the digest's: it gets its name, synced, within the digest's turn. */
  async #publish(entry: GrowingEntry, meta: Metainfo, hashes: Uint8Array): Promise<void> {
    const { disk, files, layout, names, room, synced } = this.#o;
    if (entry.gone) throw removed(entry.digest);
    if (entry.complete) return;
    const { file } = entry;
    const { volume } = file;
    // Nobody pushed it: it may go as soon as nobody uses it.
    room.touch(entry);
    await files.use(file, async (fd) => {
      await disk.write(fd, hashes, meta.length);
      if (synced) await disk.sync(fd);
      const soon = stampSoon(disk, fd);
      await names.ensureShard(layout.file(entry.digest, meta, { volume, partial: false }));
      await disk.rename(file.path, layout.blob(entry.digest, meta, volume));
      file.named(meta, false);
      if (synced) {
        await disk.syncDirectory(layout.shard(entry.digest, volume));
        await disk.syncDirectory(layout.volume(volume).uploads);
      }
      const stamp = soon && (await soon);
      // A removal waits its turn; an eviction does not.
      if (entry.gone) throw removed(entry.digest);
      this.#ordinary(entry, meta, hashes);
      entry.becomeReceived(stamp ?? disk.stampNow?.(fd), file);
      room.changed(entry);
    });
  }

  #ordinary(entry: GrowingEntry, meta: Metainfo, hashes: Uint8Array): void {
    entry.becomeOrdinary(meta, hashes);
    // That of a blob that passes through is in no file.
    if (entry.window === undefined) this.#o.hashes.add(entry);
  }

  #agrees(entry: BlobEntry, size: BlobSize, hashes: Uint8Array): boolean {
    return entry instanceof GrowingEntry && entry.agrees(size, hashes);
  }

  /** The entry that is here, if it `serves`; else a new one. */
  async #make(digest: Digest, size: BlobSize, serves: (entry: BlobEntry) => boolean): Promise<BlobEntry> {
    const { host, serial, get, detach } = this.#o;
    if (Math.min(size.length, size.pieceLength) > host.io.arena.shareBytes('receive')) {
      throw new ApiError(
        'UNAVAILABLE',
        `pieces of ${size.pieceLength} bytes (${digest}) do not fit in memory: raise memory.arena`,
      );
    }
    const before = get(digest);
    if (before !== undefined && serves(before)) return before;
    try {
      const room = await this.#reserve(size);
      return await serial.run(digest, async () => {
        let used = false;
        try {
          const existing = get(digest);
          if (existing !== undefined && serves(existing)) return existing;
          if (existing !== undefined) await detach(existing);
          if (!room) return await this.#o.passing.createGrowing(digest, size);
          const entry = await this.#file(digest, size);
          this.#o.room.add(entry);
          used = true;
          return entry;
        } finally {
          if (room && !used) this.#o.room.release(bytesOnDisk({ ...size, root: '' }));
        }
      });
    } catch (error) {
      throw asApiError(error, digest);
    }
  }

  async #file(digest: Digest, size: BlobSize): Promise<GrowingEntry> {
    const { disk, files, host, layout, volumes } = this.#o;
    const volume = volumes.place(digest, size.length);
    const file = layout.growing(digest, size, { volume, no: this.#nextFile });
    this.#nextFile += 1;
    files.adopt(file, await disk.open(file.path, 'create'));
    return new GrowingEntry({ host, digest, size, file });
  }

  /** False: there is no room, and the blob may pass through. */
  async #reserve(size: BlobSize): Promise<boolean> {
    try {
      if (!this.#o.volumes.writable) throw this.#o.volumes.problem();
      await this.#o.room.reserve(bytesOnDisk({ ...size, root: '' }));
      return true;
    } catch (error) {
      if (this.#o.keeps || !(error instanceof ApiError)) throw error;
      return false;
    }
  }
}

const nothing = new Uint8Array(0);
