/**
 * The blobs of one data directory: what is there, room for more, what must be durable when.
 *
 * Rule 1: a name in blobs/ without a suffix is a whole blob. It appears by one rename, after its
 *   bytes; where the store is durable both are synced before anybody is told.
 * Rule 2: what is done to the names of one digest is done one after the other (`#serial`).
 * Rule 3: a hint (which pieces, which order of use) may be lost or wrong: nothing depends on it.
 */

import { resolve } from 'node:path';
import { assert } from '../../core/assert.ts';
import { ApiError } from '../../core/contracts/errors.ts';
import type { Digest, DigestAlgorithm } from '../../core/digest.ts';
import { hashBytes, type Metainfo, metainfoValid, pieceCount } from '../../core/piece.ts';
import { blake3Hex } from '../workers/hash.ts';
import type { PieceIo } from '../workers/piece-io.ts';
import { Bits } from './bits.ts';
import { type Disk, diskCode } from './disk.ts';
import { BlobEntry, type EntryHost } from './entry.ts';
import { asApiError, refusal } from './errors.ts';
import { HashCache } from './hash-cache.ts';
import { bytesOnDisk, Layout } from './layout.ts';
import { Names } from './names.ts';
import { OpenFiles } from './open-files.ts';
import type { BlobStoreOptions } from './options.ts';
import { Persist } from './persist.ts';
import { RealDisk } from './real-disk.ts';
import { claim, type Found, type StoreLog, scan } from './recover.ts';
import { Room } from './room.ts';
import { Serial } from './serial.ts';
import { storedProblem, verifyHeld } from './stored.ts';
import { type ReceivedBlob, Upload, type UploadHost } from './upload.ts';

export type { BlobEntry } from './entry.ts';
export type { Upload } from './upload.ts';

/** Descriptors kept open, of the 20,000 that a process may have. */
const openFilesMax = 512;
/** How often which pieces are held is written down; a crash costs at most these. */
const flushEveryMsDefault = 500;

const silent: StoreLog = { info: () => undefined, warn: () => undefined, error: () => undefined };

export class BlobStore {
  /** Called after a blob was evicted or given up, but not by `remove`: the swarm must drop it. */
  onEvict: ((digest: Digest) => void) | undefined;
  readonly durable: boolean;
  readonly #io: PieceIo;
  readonly #disk: Disk;
  readonly #layout: Layout;
  readonly #log: StoreLog;
  readonly #files: OpenFiles;
  readonly #names: Names;
  readonly #room: Room;
  readonly #hashes: HashCache;
  readonly #persist: Persist;
  readonly #uploads = new Map<string, Upload>();
  readonly #serial = new Serial<Digest>();
  readonly #host: EntryHost;
  #unlock: () => Promise<void>;

  private constructor(o: BlobStoreOptions, at: { disk: Disk; layout: Layout; unlock: () => Promise<void> }) {
    this.durable = o.durable;
    this.#io = o.workers;
    this.#disk = at.disk;
    this.#layout = at.layout;
    this.#unlock = at.unlock;
    this.#log = o.log ?? silent;
    this.#files = new OpenFiles(at.disk, openFilesMax);
    this.#names = new Names({ disk: at.disk, layout: at.layout, files: this.#files, durable: o.durable });
    this.#hashes = new HashCache(at.disk);
    this.#room = new Room({
      dir: o.dir,
      budgetBytes: o.budgetBytes,
      durable: o.durable,
      freeBytes: () => at.disk.freeBytes(o.dir),
      evict: (entry) => this.#giveUp(entry),
      askUnneeded: o.askUnneeded,
      onLetGo: ({ digest }) => this.#log.info({ digest }, 'blob removed: nobody needs it any more, and room is needed'),
      nowMs: () => performance.now(),
    });
    this.#persist = new Persist({
      disk: at.disk,
      layout: at.layout,
      log: this.#log,
      everyMs: o.flushEveryMs ?? flushEveryMsDefault,
      inOrder: () => this.#room.all(),
    });
    this.#host = {
      io: o.workers,
      files: this.#files,
      nowMs: () => performance.now(),
      stampOf: (fd) => at.disk.stampNow?.(fd),
      loadHashes: (entry) => this.#loadHashes(entry),
      complete: (entry) => this.#complete(entry),
      degraded: (entry, piece, why) => this.#degraded(entry, piece, why),
      makeRoom: (bytes) => this.#room.evictBytes(bytes),
      lost: (entry) => this.#lost(entry),
      changed: (entry) => this.#persist.changed(entry),
      touched: (entry) => this.#touched(entry),
    };
  }

  /** Throws StartError where the directory is another's, of another format, in use, or not usable. */
  static async open(o: BlobStoreOptions): Promise<BlobStore> {
    const disk = o.disk ?? new RealDisk();
    const layout = new Layout(resolve(o.dir));
    const recover = { disk, layout, log: o.log ?? silent, durable: o.durable };
    const unlock = await claim(recover, o.role);
    try {
      const store = new BlobStore(o, { disk, layout, unlock });
      for (const found of await scan(recover)) await store.#found(found);
      return store;
    } catch (error) {
      await unlock();
      throw error;
    }
  }

  get usedBytes(): number {
    return this.#room.usedBytes;
  }

  get count(): number {
    return this.#room.count;
  }

  get(digest: Digest): BlobEntry | undefined {
    return this.#room.get(digest);
  }

  /** Somebody relies on the blob now: nothing that was said of it before lets it go. */
  claim(digest: Digest): void {
    this.#room.claim(digest);
  }

  /** Least recently used first; a copy. */
  entries(): Iterable<BlobEntry> {
    return this.#room.all();
  }

  /**
   * The blob's entry, made with no piece where there was none. A complete one is answered as it is;
   * a partial one of another piece length is replaced. With `bytes`, which the caller has checked against
   * digest and hashes, a new one is whole at once. ApiError STORAGE_FULL, UNAVAILABLE.
   */
  async create(digest: Digest, meta: Metainfo, hashes: Uint8Array, bytes?: Uint8Array): Promise<BlobEntry> {
    assert(metainfoValid(meta), `store: metainfo of ${digest}`);
    assert(
      hashes.length === pieceCount(meta) * hashBytes && blake3Hex(hashes) === meta.root,
      `store: hashes of ${digest}`,
    );
    if (Math.min(meta.length, meta.pieceLength) > this.#io.arena.shareBytes('receive')) {
      throw new ApiError(
        'UNAVAILABLE',
        `pieces of ${meta.pieceLength} bytes (${digest}) do not fit in memory: raise memory.arena`,
      );
    }
    const before = this.#room.get(digest);
    // One without pieces is whole as soon as it is made; until then the second caller waits with the first.
    if (before?.fits(meta) && (before.complete || before.pieces > 0)) return before;
    try {
      await this.#room.reserve(bytesOnDisk(meta));
      const entry = await this.#serial.run(digest, () => this.#makeEntry(digest, meta, hashes, bytes));
      if (entry.heldCount === entry.pieces && !entry.complete && !(await this.#complete(entry)))
        throw entry.failure ?? refusal(digest, 'EIO');
      return entry;
    } catch (error) {
      throw asApiError(error, digest);
    }
  }

  /** Uses the caller's reservation, or gives it back. */
  async #makeEntry(digest: Digest, meta: Metainfo, hashes: Uint8Array, bytes?: Uint8Array): Promise<BlobEntry> {
    let used = false;
    try {
      const existing = this.#room.get(digest);
      if (existing?.fits(meta)) return existing;
      if (existing !== undefined) await this.#detach(existing);
      const file = this.#layout.file(digest, meta, true);
      await this.#names.makePart(file, hashes, meta.length, bytes);
      const count = pieceCount(meta);
      const bits = bytes === undefined ? new Bits(count) : Bits.full(count);
      const entry = new BlobEntry({ host: this.#host, digest, meta, file, bits, hashes });
      this.#room.add(entry);
      used = true;
      this.#hashes.add(entry);
      return entry;
    } finally {
      if (!used) this.#room.release(bytesOnDisk(meta));
    }
  }

  /** Reads a whole blob back: why it is not its digest's (DIGEST_INVALID), or cannot be read (another code). */
  async problemOf(entry: BlobEntry, signal?: AbortSignal): Promise<ApiError | undefined> {
    return await this.#files.use(entry.file, (fd) => storedProblem(this.#io, entry, fd, signal));
  }

  /** Unlinks it now; whoever has it pinned can read on. One that is not there is fine. ApiError UNAVAILABLE: ask again. */
  async remove(digest: Digest): Promise<void> {
    const remove = async (): Promise<void> => {
      const entry = this.#room.get(digest);
      if (entry !== undefined) await this.#detach(entry);
      await this.#names.sweep(digest);
    };
    try {
      await this.#serial.run(digest, remove);
    } catch (error) {
      throw asApiError(error, digest);
    }
  }

  upload(id: string): Upload | undefined {
    return this.#uploads.get(id);
  }

  /** ApiError BLOB_UPLOAD_INVALID where the id is taken, STORAGE_FULL, UNAVAILABLE. */
  async beginUpload(id: string, algorithm: DigestAlgorithm): Promise<Upload> {
    assert(/^[a-z0-9-]+$/.test(id), `store: upload id ${id}`);
    if (this.#uploads.has(id)) throw new ApiError('BLOB_UPLOAD_INVALID', `upload ${id} has been begun already`);
    const upload = new Upload({ id, algorithm, path: this.#layout.upload(id), host: this.#uploadHost() });
    this.#uploads.set(id, upload);
    try {
      await upload.begin();
    } catch (error) {
      this.#uploads.delete(id);
      throw asApiError(error, `upload ${id}`);
    }
    return upload;
  }

  /** Writes the hints (which pieces are held, order of use) now. */
  async flush(): Promise<void> {
    await this.#persist.flush();
  }

  /** Cancels uploads, writes the hints, closes the files, unlocks the directory. No call may be open. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#uploads.values()].map((upload) => upload.cancel()));
    await this.#serial.idle();
    await this.#persist.close();
    await this.#files.closeAll();
    await this.#unlock();
  }

  // ---- at start --------------------------------------------------------------------------------

  async #found(found: Found): Promise<void> {
    const file = this.#layout.file(found.digest, found.meta, found.bits !== undefined);
    const entry = new BlobEntry({ host: this.#host, digest: found.digest, meta: found.meta, file, bits: found.bits });
    this.#room.found(entry);
    if (found.bits === undefined) return;
    // What a durable store completes must be right: the hint's word is not taken.
    if (this.durable) await verifyHeld(entry, this.#io.arena);
    if (!entry.gone && entry.heldCount === entry.pieces) await this.#complete(entry);
  }

  // ---- what entries ask ------------------------------------------------------------------------

  #loadHashes(entry: BlobEntry): Uint8Array {
    const hashes = this.#hashes.load(entry);
    if (hashes instanceof ApiError) {
      this.#log.error({ digest: entry.digest, file: entry.file.path }, hashes.message);
      // What was acknowledged is never given up for a list that cannot be read now: the disk may do better next time.
      if (!this.durable || entry.file.partial) this.#lost(entry);
      throw hashes;
    }
    return hashes;
  }

  async #complete(entry: BlobEntry): Promise<boolean> {
    const unpin = entry.pin();
    try {
      return await this.#serial.run(entry.digest, () => this.#files.use(entry.file, (fd) => this.#finish(entry, fd)));
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
    if (this.durable) {
      if (!(await this.#matches(entry, fd))) return false;
      await this.#disk.sync(fd);
    }
    await this.#names.makeWhole(entry.digest, entry.file);
    // A reader may have found a wrong piece meanwhile: then it comes again.
    if (entry.heldCount === entry.pieces) entry.becomeComplete(fd);
    this.#room.changed(entry);
    return true;
  }

  /** Whether the stored bytes are the digest's. Who keeps a blob for others does not take a peer's word for it. */
  async #matches(entry: BlobEntry, fd: number): Promise<boolean> {
    const problem = await storedProblem(this.#io, entry, fd);
    if (problem === undefined) return true;
    entry.failure = problem;
    if (problem.code !== 'DIGEST_INVALID') return false;
    this.#log.error({ digest: entry.digest }, `${problem.message}: dropped`);
    this.#lost(entry);
    return false;
  }

  #degraded(entry: BlobEntry, piece: number, why: string): void {
    this.#log.warn({ digest: entry.digest, piece, why }, 'a stored piece is damaged: it is fetched again');
    this.#room.changed(entry);
    this.#persist.changed(entry);
  }

  /** The entry cannot be used any more: forgets it. */
  #lost(entry: BlobEntry): void {
    if (this.#room.remove(entry)) void this.#giveUp(entry);
  }

  #touched(entry: BlobEntry): void {
    this.#room.touch(entry);
    this.#persist.used();
  }

  /** Removes what `Room` no longer counts. Its file waits its turn: a new one of that name may be next. */
  async #giveUp(entry: BlobEntry): Promise<void> {
    entry.becomeGone(undefined);
    this.onEvict?.(entry.digest);
    try {
      await this.#serial.run(entry.digest, () => this.#unlink(entry));
    } catch (error) {
      if (diskCode(error) === undefined) throw error;
      this.#log.error({ digest: entry.digest, error: String(error) }, 'a blob that was given up could not be removed');
    }
  }

  /** Within the digest's turn: uncounted and unlinked. */
  async #detach(entry: BlobEntry): Promise<void> {
    this.#room.remove(entry);
    entry.becomeGone(undefined);
    await this.#unlink(entry);
  }

  async #unlink(entry: BlobEntry): Promise<void> {
    this.#hashes.forget(entry);
    await this.#names.unlink(entry);
  }

  // ---- uploads ---------------------------------------------------------------------------------

  #uploadHost(): UploadHost {
    return {
      io: this.#io,
      disk: this.#disk,
      log: this.#log,
      durable: this.durable,
      reserve: (bytes) => this.#room.reserve(bytes),
      release: (bytes) => this.#room.release(bytes),
      ended: (upload) => {
        this.#uploads.delete(upload.id);
      },
      publish: (blob) => this.#serial.run(blob.digest, () => this.#publish(blob)),
    };
  }

  /** Gives a received, verified blob its name. The caller's reservation becomes the entry's, or is the caller's still. */
  async #publish(blob: ReceivedBlob): Promise<{ entry: BlobEntry; taken: boolean }> {
    const { digest, meta, hashes, fd, path } = blob;
    this.#room.claim(digest);
    const existing = this.#room.get(digest);
    if (existing?.complete === true) return { entry: existing, taken: false };
    await this.#disk.write(fd, hashes, meta.length);
    if (this.durable) await this.#disk.sync(fd);
    const file = this.#layout.file(digest, meta, false);
    await this.#names.ensureShard(file);
    await this.#disk.rename(path, file.whole);
    if (this.durable) {
      await this.#disk.syncDirectory(this.#layout.shard(digest));
      await this.#disk.syncDirectory(this.#layout.uploads);
    }
    const same = existing?.meta.root === meta.root ? existing : undefined;
    if (same !== undefined) await this.#names.supersede(same.file);
    else if (existing !== undefined) await this.#detach(existing);
    this.#files.adopt(file, fd);
    // A pull of the same blob may be running: its entry is complete now.
    const entry = same ?? new BlobEntry({ host: this.#host, digest, meta, file, bits: undefined, hashes });
    entry.becomeReceived(fd, file);
    if (same === undefined) this.#room.add(entry);
    else this.#room.keep(same);
    this.#hashes.add(entry);
    return { entry, taken: true };
  }
}
