/**
 * How a blob comes to be here: its entry, and how that becomes whole, by a push or piece by piece.
 *
 * Rule 1: where there is room for it, a new blob gets a file of its own; where there is none and blobs can be fetched
 *   again, its pieces pass through (passing.ts).
 * Rule 2: the bytes of a push replace what bears the name, whatever the store believes of it: that may be truncated,
 *   overwritten or gone, and nobody is told that it is held but for the file that was just verified and synced.
 *   Whoever reads the old file goes on with it, or with the new one; its pieces are the same.
 */

import { assert } from '../../core/assert.ts';
import { ApiError } from '../../core/contracts/errors.ts';
import type { Digest } from '../../core/digest.ts';
import { hashBytes, type Metainfo, metainfoValid, pieceCount } from '../../core/piece.ts';
import { blake3Hex } from '../workers/hash.ts';
import type { PieceIo } from '../workers/piece-io.ts';
import { type Disk, diskCode } from './disk/disk.ts';
import { asApiError, refusal } from './disk/errors.ts';
import type { OpenFiles } from './disk/open-files.ts';
import { GrowingEntry } from './growing/entry.ts';
import { bytesOnDisk, type Layout } from './layout.ts';
import type { Names, Serial } from './names.ts';
import type { Damage } from './pieces/damage.ts';
import { BlobEntry, type EntryHost } from './pieces/entry.ts';
import type { HashCache } from './pieces/hash-cache.ts';
import { PieceBits } from './pieces/remembered.ts';
import type { StoreLog } from './recover.ts';
import type { Passing } from './room/passing.ts';
import type { Room } from './room/room.ts';
import { storedProblem } from './stored.ts';
import type { ReceivedBlob } from './upload.ts';
import type { Volumes } from './volumes/volumes.ts';

/** A blob is read back once more where pieces of it were found wrong and came again meanwhile; so often. */
const matchTriesMax = 3;

export type BecomingOptions = {
  readonly disk: Disk;
  readonly layout: Layout;
  readonly files: OpenFiles;
  readonly names: Names;
  readonly room: Room;
  readonly hashes: HashCache;
  readonly io: PieceIo;
  readonly log: StoreLog;
  readonly serial: Serial<Digest>;
  readonly damage: Damage;
  readonly synced: boolean;
  readonly keeps: boolean;
  readonly host: EntryHost;
  /** The entry cannot be used any more. */
  readonly lost: (entry: BlobEntry) => void;
  /** Uncounts and unlinks an entry. */
  readonly detach: (entry: BlobEntry) => Promise<void>;
};

export class Becoming {
  readonly #o: BecomingOptions;

  constructor(o: BecomingOptions) {
    this.#o = o;
  }

  /** Gives a received, verified blob its name, within the digest's turn. The file, its descriptor and the caller's reservation are the entry's from now on. */
  async received(blob: ReceivedBlob): Promise<BlobEntry> {
    const { disk, layout, files, names, room, hashes, synced, host } = this.#o;
    const { digest, meta, fd, path, volume } = blob;
    room.claim(digest);
    await disk.write(fd, blob.hashes, meta.length);
    if (synced) await disk.sync(fd);
    const soon = stampSoon(disk, fd);
    const file = layout.file(digest, meta, { volume, partial: false });
    await names.ensureShard(file);
    await disk.rename(path, file.whole);
    if (synced) {
      await disk.syncDirectory(layout.shard(digest, volume));
      await disk.syncDirectory(layout.volume(volume).uploads);
    }
    const stamp = soon && (await soon);
    const existing = room.get(digest);
    const grows = existing instanceof GrowingEntry && existing.agrees(meta, blob.hashes);
    if (existing !== undefined && (grows || existing.meta.root === meta.root))
      await names.supersede(existing.file, file);
    else if (existing !== undefined) await this.#o.detach(existing);
    // It may have been evicted meanwhile.
    const same = existing !== undefined && room.get(digest) === existing ? existing : undefined;
    const before = same?.file.volume ?? volume;
    files.adopt(file, fd);
    // A pull of the same blob may be running: its entry is complete now.
    const entry = same ?? new BlobEntry({ host, digest, meta, file, bits: undefined, hashes: blob.hashes });
    if (entry instanceof GrowingEntry) entry.becomeOrdinary(meta, blob.hashes);
    entry.takeHashes(blob.hashes);
    entry.becomeReceived(stamp ?? disk.stampNow?.(fd), file);
    if (this.#o.damage.any) this.#o.damage.mended(entry, 'push');
    if (same === undefined) room.add(entry);
    else room.keep(same, before);
    hashes.add(entry);
    if (entry instanceof GrowingEntry) entry.tellGrown();
    return entry;
  }

  /** Every piece is held: gives the file its final name. False: the blob was not what it claimed, or the disk refused. */
  async complete(entry: BlobEntry): Promise<boolean> {
    const unpin = entry.pin();
    try {
      return await this.#o.serial.run(entry.digest, () =>
        this.#o.files.use(entry.file, (fd) => this.#finish(entry, fd)),
      );
    } catch (error) {
      const code = diskCode(error);
      if (code === undefined) throw error;
      entry.failure = refusal(entry.digest, code);
      this.#o.host.refused(entry);
      return false;
    } finally {
      unpin();
    }
  }

  /** The last steps of a blob that came in pieces. */
  async #finish(entry: BlobEntry, fd: number): Promise<boolean> {
    if (entry.complete) return true;
    if (entry.gone) return false;
    if (this.#o.keeps) {
      if (!(await this.#matches(entry, fd))) return false;
      // Mended in place: whatever was wrong with the file may have been wrong with its list.
      if (!entry.file.partial) await this.#o.disk.write(fd, await entry.listed(), entry.meta.length);
    }
    if (this.#o.synced) await this.#o.disk.sync(fd);
    const soon = stampSoon(this.#o.disk, fd);
    await this.#o.names.makeWhole(entry.digest, entry.file);
    const stamp = soon && (await soon);
    // A reader may have found a wrong piece meanwhile: then it comes again.
    if (entry.heldCount === entry.pieces) {
      entry.becomeComplete(stamp ?? this.#o.disk.stampNow?.(fd));
      if (this.#o.damage.any) this.#o.damage.mended(entry, 'pieces');
    }
    this.#o.room.changed(entry);
    return true;
  }

  /** Whether the stored bytes are the digest's. Who keeps a blob for others does not take a peer's word for it. */
  async #matches(entry: BlobEntry, fd: number): Promise<boolean> {
    let problem: ApiError | undefined;
    for (let tries = 0; tries < matchTriesMax; tries += 1) {
      const { changes } = entry;
      problem = await storedProblem(this.#o.io, entry, fd);
      if (problem === undefined) return true;
      if (entry.changes === changes || entry.heldCount < entry.pieces) break;
    }
    if (problem === undefined) return true;
    entry.failure = problem;
    if (problem.code !== 'DIGEST_INVALID') return false;
    this.#o.log.error({ digest: entry.digest }, `${problem.message}: dropped`);
    this.#o.lost(entry);
    return false;
  }
}

/** `bytes`: all of them, where they are at hand. */
export type NewBlob = {
  readonly digest: Digest;
  readonly meta: Metainfo;
  readonly hashes: Uint8Array;
  readonly bytes?: Uint8Array | undefined;
};

export type MakerOptions = {
  readonly host: EntryHost;
  readonly keeps: boolean;
  readonly log: StoreLog;
  readonly layout: Layout;
  readonly names: Names;
  readonly room: Room;
  readonly passing: Passing;
  readonly volumes: Pick<Volumes, 'only' | 'place' | 'problem' | 'writable'>;
  readonly hashes: HashCache;
  readonly serial: Serial<Digest>;
  readonly get: (digest: Digest) => BlobEntry | undefined;
  /** All of its list is known now. False: it was another one. */
  readonly settle: (entry: GrowingEntry, meta: Metainfo, hashes: Uint8Array) => Promise<boolean>;
  /** The list of a damaged file may be lost with it; this one is right. */
  readonly damaged: (entry: BlobEntry, hashes: Uint8Array) => void;
  /** Takes an entry out of the store, within its digest's turn. */
  readonly detach: (entry: BlobEntry) => Promise<void>;
};

export class Maker {
  readonly #o: MakerOptions;

  constructor(o: MakerOptions) {
    this.#o = o;
  }

  /** As the store's `create` says. */
  async create(blob: NewBlob): Promise<BlobEntry> {
    const { digest, meta, hashes, bytes } = blob;
    const { host, serial } = this.#o;
    assert(metainfoValid(meta), `store: metainfo of ${digest}`);
    assert(
      hashes.length === pieceCount(meta) * hashBytes && blake3Hex(hashes) === meta.root,
      `store: hashes of ${digest}`,
    );
    if (Math.min(meta.length, meta.pieceLength) > host.io.arena.shareBytes('receive')) {
      throw new ApiError(
        'UNAVAILABLE',
        `pieces of ${meta.pieceLength} bytes (${digest}) do not fit in memory: raise memory.arena`,
      );
    }
    const before = this.#o.get(digest);
    // Pieces came while only a part of the list was known.
    if (before instanceof GrowingEntry && before.growth !== undefined && (await this.#o.settle(before, meta, hashes)))
      return before;
    // One without pieces is whole as soon as it is made; until then the second caller waits with the first.
    if (before?.fits(meta) && (before.complete || before.pieces > 0)) {
      if (!before.complete && !before.hashesLoaded && before.meta.root === meta.root) this.#o.damaged(before, hashes);
      return before;
    }
    try {
      const room = await this.#reserve(meta);
      const entry = await serial.run(digest, () =>
        room ? this.#tryMake(blob, before) : this.#makePassing(blob, before),
      );
      // It began to grow while its room was made.
      if (entry instanceof GrowingEntry && entry.growth !== undefined) return await this.create(blob);
      const whole = entry.heldCount === entry.pieces && entry.window === undefined;
      if (!whole || entry.complete || (await host.complete(entry))) return entry;
      // The disk took its bytes, and refused the last step.
      if (this.#o.keeps || bytes === undefined) throw entry.failure ?? refusal(digest, 'EIO');
      return await serial.run(digest, () => this.#makePassing(blob, undefined));
    } catch (error) {
      throw asApiError(error, digest);
    }
  }

  /** False: there is no room, and the blob may pass through. */
  async #reserve(meta: Metainfo): Promise<boolean> {
    try {
      if (!this.#o.volumes.writable) throw this.#o.volumes.problem();
      await this.#o.room.reserve(bytesOnDisk(meta));
      return true;
    } catch (error) {
      if (this.#o.keeps || !(error instanceof ApiError)) throw error;
      return false;
    }
  }

  /** Uses the reservation, or gives it back. */
  async #make({ digest, meta, hashes, bytes }: NewBlob, before: BlobEntry | undefined): Promise<BlobEntry> {
    const { host, layout, names, room, volumes } = this.#o;
    let used = false;
    try {
      const existing = await this.#existing(digest, meta, before);
      if (existing !== undefined) return existing;
      const file = layout.file(digest, meta, {
        volume: volumes.only ?? volumes.place(digest, bytesOnDisk(meta)),
        partial: true,
      });
      await names.makePart(file, hashes, meta.length, bytes);
      const count = pieceCount(meta);
      const bits = bytes === undefined ? new PieceBits(count) : PieceBits.full(count);
      const entry = new BlobEntry({ host, digest, meta, file, bits, hashes });
      room.add(entry);
      used = true;
      this.#o.hashes.add(entry);
      return entry;
    } finally {
      if (!used) room.release(bytesOnDisk(meta));
    }
  }

  /** Where a cache's disk refuses it, it passes through. */
  async #tryMake(blob: NewBlob, before: BlobEntry | undefined): Promise<BlobEntry> {
    const { keeps, log, passing } = this.#o;
    try {
      return await this.#make(blob, before);
    } catch (error) {
      if (keeps || diskCode(error) === undefined) throw error;
      log.warn({ digest: blob.digest, why: String(error) }, 'a blob cannot be kept: it passes through');
      passing.refused();
      return await this.#makePassing(blob, before);
    }
  }

  async #makePassing({ digest, meta, hashes, bytes }: NewBlob, before: BlobEntry | undefined): Promise<BlobEntry> {
    const { passing } = this.#o;
    const existing = await this.#existing(digest, meta, before);
    if (existing !== undefined) return existing;
    if (bytes === undefined) return await passing.create(digest, meta, hashes);
    const entry = passing.createSmall({ digest, meta, hashes, bytes });
    if (entry !== undefined) return entry;
    throw new ApiError('STORAGE_FULL', `${digest} can neither be stored nor be held in memory now: see to the disk`);
  }

  /** One that serves for the blob, or grows since `before` was looked at; one that does neither is gone. */
  async #existing(digest: Digest, meta: Metainfo, before: BlobEntry | undefined): Promise<BlobEntry | undefined> {
    const existing = this.#o.get(digest);
    if (existing?.fits(meta)) return existing;
    if (existing !== before && existing instanceof GrowingEntry && existing.growth !== undefined) return existing;
    if (existing !== undefined) await this.#o.detach(existing);
    return undefined;
  }
}

/** The file's stamp, by `stamp`, where the disk has that; undefined in the end where it does not tell now. */
export function stampSoon(disk: Pick<Disk, 'stamp'>, fd: number): Promise<number | undefined> | undefined {
  return disk.stamp?.(fd).catch((error: unknown) => {
    if (diskCode(error) === undefined) throw error;
    return undefined;
  });
}
