/**
 * How a blob becomes whole: by a push, or piece by piece.
 *
 * Rule: the bytes of a push replace what bears the name, whatever the store believes of it: that may be truncated,
 *   overwritten or gone, and nobody is told that it is held but for the file that was just verified and synced.
 *   Whoever reads the old file goes on with it, or with the new one; its pieces are the same.
 */

import type { ApiError } from '../../core/contracts/errors.ts';
import type { Digest } from '../../core/digest.ts';
import type { PieceIo } from '../workers/piece-io.ts';
import { type Disk, diskCode } from './disk/disk.ts';
import { refusal } from './disk/errors.ts';
import type { OpenFiles } from './disk/open-files.ts';
import type { Layout } from './layout.ts';
import type { Names } from './names.ts';
import type { Damage } from './pieces/damage.ts';
import { BlobEntry, type EntryHost } from './pieces/entry.ts';
import type { HashCache } from './pieces/hash-cache.ts';
import type { StoreLog } from './recover.ts';
import type { Room } from './room/room.ts';
import type { Serial } from './serial.ts';
import { storedProblem } from './stored.ts';
import type { ReceivedBlob } from './upload.ts';

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
    const { digest, meta, fd, path } = blob;
    room.claim(digest);
    await disk.write(fd, blob.hashes, meta.length);
    if (synced) await disk.sync(fd);
    const file = layout.file(digest, meta, false);
    await names.ensureShard(file);
    await disk.rename(path, file.whole);
    if (synced) {
      await disk.syncDirectory(layout.shard(digest));
      await disk.syncDirectory(layout.uploads);
    }
    const existing = room.get(digest);
    if (existing?.meta.root === meta.root) await names.supersede(existing.file);
    else if (existing !== undefined) await this.#o.detach(existing);
    // It may have been evicted meanwhile.
    const same = existing !== undefined && room.get(digest) === existing ? existing : undefined;
    files.adopt(file, fd);
    // A pull of the same blob may be running: its entry is complete now.
    const entry = same ?? new BlobEntry({ host, digest, meta, file, bits: undefined, hashes: blob.hashes });
    entry.takeHashes(blob.hashes);
    entry.becomeReceived(fd, file);
    this.#o.damage.mended(entry, 'push');
    if (same === undefined) room.add(entry);
    else room.keep(same);
    hashes.add(entry);
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
      if (!entry.file.partial) await this.#o.disk.write(fd, entry.hashes, entry.meta.length);
    }
    if (this.#o.synced) await this.#o.disk.sync(fd);
    await this.#o.names.makeWhole(entry.digest, entry.file);
    // A reader may have found a wrong piece meanwhile: then it comes again.
    if (entry.heldCount === entry.pieces) {
      entry.becomeComplete(fd);
      this.#o.damage.mended(entry, 'pieces');
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
