/**
 * The lists of piece hashes at the ends of blobs' files: loaded when they are asked for, and what happens where one is
 * not what the blob's root says.
 *
 * Rule: what was acknowledged is never given up for a list that cannot be read now: the disk may do better next time.
 *   One that is wrong is made again from the bytes, where these give the blob's root; else the blob is damaged: peers
 *   bring the list again, or a push does.
 */

import type { Digest } from '../../../core/digest.ts';
import type { PieceIo } from '../../workers/piece-io.ts';
import { type Disk, diskCode } from '../disk/disk.ts';
import type { OpenFiles } from '../disk/open-files.ts';
import type { Serial } from '../names.ts';
import type { StoreLog } from '../recover.ts';
import { storedList } from '../stored.ts';
import type { BlobEntry } from './entry.ts';
import type { HashCache } from './hash-cache.ts';

export type ListsOptions = {
  readonly disk: Disk;
  readonly files: OpenFiles;
  readonly hashes: HashCache;
  readonly log: StoreLog;
  readonly serial: Serial<Digest>;
  readonly synced: boolean;
  readonly keeps: boolean;
  readonly io: PieceIo;
  /** The entry cannot be used any more. */
  readonly lost: (entry: BlobEntry) => void;
  /** Its file is gone. */
  readonly missing: (entry: BlobEntry) => void;
};

export class Lists {
  readonly #o: ListsOptions;
  /** Who asks for one that is being read waits for that. */
  readonly #loading = new Map<BlobEntry, Promise<Uint8Array>>();

  constructor(o: ListsOptions) {
    this.#o = o;
  }

  /** From its file. ApiError UNAVAILABLE. */
  async load(entry: BlobEntry): Promise<Uint8Array> {
    const loading = this.#loading.get(entry) ?? this.#load(entry).finally(() => this.#loading.delete(entry));
    this.#loading.set(entry, loading);
    return await loading;
  }

  async #load(entry: BlobEntry): Promise<Uint8Array> {
    const { hashes, log, keeps } = this.#o;
    const found = await hashes.load(entry);
    if (found instanceof Uint8Array) return found;
    const { code, error } = found;
    // A push, or a peer, was faster.
    if (entry.hashesLoaded) return entry.hashes;
    if (code === 'ENOENT') this.#o.missing(entry);
    else if (!keeps || entry.file.partial) {
      log.error({ digest: entry.digest, file: entry.file.path }, error.message);
      this.#o.lost(entry);
    } else if (code === 'DAMAGED' && entry.complete) entry.becomeDamaged(entry.meta.length, error.message);
    throw error;
  }

  /** It came again, checked against the root. */
  take(entry: BlobEntry, list: Uint8Array): void {
    entry.takeHashes(list);
    this.#o.hashes.add(entry);
  }

  /** Whether its file has the right one, be it that it is written again from memory. */
  async check(entry: BlobEntry): Promise<boolean> {
    const list = entry.hashesLoaded ? entry.hashes : undefined;
    const found = await this.#o.hashes.load(entry);
    if (found instanceof Uint8Array) return true;
    if (found.code !== 'DAMAGED') throw found.error;
    const right = list ?? (await this.#fromBytes(entry));
    if (right !== undefined && !entry.file.shared) await this.#rewrite(entry, right);
    else if (entry.complete) entry.becomeDamaged(entry.meta.length, found.error.message);
    return entry.complete;
  }

  /** Of a damaged blob: the list as its bytes on the disk give it, where they are all right. False: they are not. */
  async restore(entry: BlobEntry): Promise<boolean> {
    if (entry.hashesLoaded) return true;
    const list = await this.#fromBytes(entry);
    if (list !== undefined && !entry.hashesLoaded) this.take(entry, list);
    return entry.hashesLoaded;
  }

  async #fromBytes(entry: BlobEntry): Promise<Uint8Array | undefined> {
    const { files, io } = this.#o;
    const unpin = entry.pin();
    try {
      return await files.use(entry.file, (fd) => storedList(io, entry.meta, fd));
    } catch (error) {
      if (diskCode(error) === undefined) throw error;
      return undefined;
    } finally {
      unpin();
    }
  }

  async #rewrite(entry: BlobEntry, list: Uint8Array): Promise<void> {
    const { disk, files, serial, synced, log } = this.#o;
    log.warn({ digest: entry.digest }, 'the list of piece hashes of a blob is damaged on the disk: written again');
    const write = async (fd: number): Promise<void> => {
      await disk.write(fd, list, entry.meta.length);
      if (synced) await disk.sync(fd);
    };
    await serial.run(entry.digest, () => files.use(entry.file, write));
  }
}
