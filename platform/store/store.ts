/**
 * The blobs of one data directory: what is there, room for more, what must be synced when.
 *
 * Rule 1: a name in blobs/ without a suffix is a whole blob. It appears by one rename, after its bytes, both synced if at all.
 * Rule 2: what is done to the names of one digest is done one after the other (`#serial`).
 * Rule 3: a hint (which pieces, which order of use) may be lost or wrong: nothing depends on it.
 * Rule 4: what is believed whole is only believed: `whole` looks, and a push replaces it whatever is believed.
 */

import type { ApiError } from '../../core/contracts/errors.ts';
import type { Digest, DigestAlgorithm } from '../../core/digest.ts';
import type { Metainfo } from '../../core/piece.ts';
import { Becoming, Maker } from './becoming.ts';
import { asApiError } from './disk/errors.ts';
import { OpenFiles } from './disk/open-files.ts';
import { FoundBlobs } from './finding.ts';
import type { GrowingEntry } from './growing/entry.ts';
import { Grower } from './growing/grower.ts';
import { Leaving } from './leaving.ts';
import { Names, Serial } from './names.ts';
import { type BlobStoreOptions, type StoreWatcher, toEach } from './options.ts';
import { Persist } from './persist.ts';
import { Believed, type Proof } from './pieces/believed.ts';
import { Damage } from './pieces/damage.ts';
import { BlobEntry, type EntryHost } from './pieces/entry.ts';
import { HashCache } from './pieces/hash-cache.ts';
import { Lists } from './pieces/lists.ts';
import type { PieceBits } from './pieces/remembered.ts';
import { Receiving } from './receiving.ts';
import { type FoundBlob, type StoreLog, scan } from './recover.ts';
import { makeRoom } from './room/make.ts';
import { Passing, windowBytesMin } from './room/passing.ts';
import type { Room } from './room/room.ts';
import { type StoredBlob, storedBlob } from './room/stored-blob.ts';
import { Tidying } from './room/tidying.ts';
import { forgetShared, Shared } from './shared/shared.ts';
import { enter } from './start.ts';
import { type BeforeRead, listDamaged, restoreBlob, storedProblem } from './stored.ts';
import type { Upload } from './upload.ts';
import { type Ground, takeGround } from './volumes/ground.ts';
import { Losing } from './volumes/losing.ts';
import type { Volumes } from './volumes/volumes.ts';

export type { BlobEntry } from './pieces/entry.ts';
export type { Upload } from './upload.ts';

/** Descriptors kept open, of the 20,000 that a process may have. */
const openFilesMax = 512;
/** How often which pieces are held is written down; a crash costs at most these. */
const flushEveryMsDefault = 500;

/** By the clock as it was when the process began: nothing grows old because somebody set it. */
const wallSeconds = (): number => Math.floor((performance.timeOrigin + performance.now()) / 1000);

export class BlobStore {
  /** Blobs that were here before the start, as far as is known, and are no more; stores that keep only. */
  missing: readonly Digest[] = [];
  readonly #watchers: StoreWatcher[] = [];
  readonly #tell = toEach(this.#watchers);
  readonly #promises: { readonly synced: boolean; readonly keeps: boolean };
  readonly #log: StoreLog;
  readonly #files: OpenFiles;
  readonly #names: Names;
  readonly #room: Room;
  readonly #hashes: HashCache;
  readonly #persist: Persist;
  readonly #believed: Believed;
  readonly #becoming: Becoming;
  readonly #damage: Damage;
  readonly #lists: Lists;
  readonly #passing: Passing;
  readonly #maker: Maker;
  readonly #grower: Grower;
  readonly #receiving: Receiving;
  readonly #leaving: Leaving;
  readonly #serial = new Serial<Digest>();
  readonly #host: EntryHost;
  readonly #losing: Losing;
  readonly #ground: Ground;
  readonly #tidying: Tidying;
  readonly shared?: Shared;

  private constructor(o: BlobStoreOptions, at: Ground) {
    this.#promises = { synced: o.synced, keeps: o.keeps };
    this.#ground = at;
    this.#log = at.recover.log;
    this.#files = new OpenFiles(at.disk, openFilesMax);
    const there = (): readonly number[] => at.volumes.there;
    this.#names = new Names({ disk: at.disk, layout: at.layout, files: this.#files, synced: o.synced, there });
    this.#hashes = new HashCache(at.disk, this.#files);
    this.#room = makeRoom(o, at, this.#roomHost(o.dir));
    this.#persist = new Persist({
      disk: at.disk,
      layout: at.layout,
      log: this.#log,
      everyMs: o.flushEveryMs ?? flushEveryMsDefault,
      count: () => this.#room.count,
      records: () => this.#room.inventory.records(),
    });
    this.#host = this.#entryHost(o.hot);
    const common = {
      ...at,
      files: this.#files,
      names: this.#names,
      room: this.#room,
      hashes: this.#hashes,
      log: this.#log,
      serial: this.#serial,
      ...this.#promises,
      host: this.#host,
      detach: (entry: BlobEntry) => this.#leaving.detach(entry),
    };
    this.#leaving = new Leaving({
      ...{ ...common, passing: () => this.#passing },
      room: {
        get: (digest) => this.#room.get(digest) ?? this.shared?.get(digest),
        remove: (entry) => this.#room.remove(entry) || this.shared?.remove(entry) === true,
      },
      left: (digest) => {
        this.#persist.used();
        this.#tell.evicted(digest);
      },
    });
    const bad = { lost: (entry: BlobEntry) => this.#lost(entry), missing: (entry: BlobEntry) => this.#missing(entry) };
    this.#lists = new Lists({ ...common, ...bad });
    this.#damage = new Damage(this.#log, () => performance.now());
    const nowMs = (): number => performance.now();
    const listed = (entry: BlobEntry): Promise<boolean> => this.#lists.check(entry);
    this.#believed = new Believed({ ...common, ...bad, arena: at.io.arena, nowMs, listed });
    this.#becoming = new Becoming({ ...common, ...bad, damage: this.#damage });
    this.#passing = new Passing({
      ...common,
      budgetBytes: o.budgetBytes,
      windowBytesMin: o.windowBytesMin ?? windowBytesMin,
      evicted: this.#tell.evicted,
    });
    const kept = { ...common, passing: this.#passing, get: (digest: Digest) => this.get(digest) };
    this.#grower = new Grower({ ...kept, drop: (entry, why) => this.#drop(entry, why) });
    this.#maker = new Maker({
      ...kept,
      settle: (entry, meta, hashes) => this.#grower.settle(entry, meta, hashes),
      damaged: (entry, hashes) => this.#lists.take(entry, hashes),
    });
    this.#receiving = new Receiving(at, {
      ...common,
      reserve: (bytes) => this.#room.reserve(bytes),
      release: (bytes) => this.#room.release(bytes),
      publish: (blob) => this.#serial.run(blob.digest, () => this.#becoming.received(blob)),
    });
    const losing = { passing: () => this.#passing, found: (blob: FoundBlob) => this.#enter([blob]) };
    this.#losing = new Losing({ ...common, ...this.#tell, ...losing, recover: at.recover });
    at.volumes.host = this.#losing;
    const giveUp = (entry: BlobEntry): Promise<void> => this.#leaving.giveUp(entry);
    if (o.shares) this.shared = new Shared({ eviction: undefined, ...o, ...kept, giveUp });
    this.#tidying = new Tidying({ ...common, eviction: o.eviction, wallSeconds });
  }

  /** Throws StartError where the directory is another's, of another format, in use, or not usable. */
  static async open(o: BlobStoreOptions): Promise<BlobStore> {
    const ground = await takeGround(o);
    try {
      const store = new BlobStore(o, ground);
      const finding = new FoundBlobs({ ...ground.recover, room: store.#room, trustFrom: o.trustFrom });
      store.missing = await scan(ground.recover, finding);
      await store.#enter(finding.lacking);
      await (store.shared?.open() ?? forgetShared(ground));
      return store;
    } catch (error) {
      await ground.leave();
      throw error;
    }
  }

  /** From now on `watcher` is told, after those who were here before. */
  watch(watcher: StoreWatcher): void {
    this.#watchers.push(watcher);
  }

  get usedBytes(): number {
    return this.#room.usedBytes;
  }

  get count(): number {
    return this.#room.count;
  }

  get(digest: Digest): BlobEntry | undefined {
    const entry = this.#room.get(digest) ?? this.shared?.get(digest);
    return entry ?? (this.#passing.count > 0 ? this.#passing.get(digest) : undefined);
  }

  get room(): Pick<Room, 'completeCount' | 'evictBytes' | 'inOrder' | 'inventory' | 'letGo' | 'letGoBy' | 'shrink'> {
    return this.#room;
  }

  /** Somebody relies on the blob now: nothing that was said of it before lets it go. */
  claim(digest: Digest): void {
    this.#room.claim(digest);
  }

  /** The blob, where it is whole on the disk as far as `proof` shows; what it finds missing or wrong is noted. ApiError UNAVAILABLE. */
  async whole(digest: Digest, proof: Proof): Promise<BlobEntry | undefined> {
    const entry = this.#room.get(digest) ?? this.shared?.get(digest);
    try {
      return entry !== undefined && (await this.#believed.whole(entry, proof)) ? entry : undefined;
    } catch (error) {
      throw asApiError(error, digest);
    }
  }

  /** The file systems that it lies on, and how they are. */
  get volumes(): Pick<Volumes, 'all' | 'problems' | 'warnings'> {
    return this.#ground.volumes;
  }

  /** What is here, in no order; no entry is made. May be walked while the store changes. */
  *blobs(): Iterable<StoredBlob> {
    yield* this.#room.blobs();
    if (this.shared !== undefined) yield* this.shared.all().map(storedBlob);
    yield* this.#passing.all().map(storedBlob);
  }

  /** Blobs that there is no room for, which pass through. */
  get passing(): Pick<Passing, 'bytes' | 'count' | 'grow' | 'waiting'> {
    return this.#passing;
  }

  /** The pull of a blob that passes through has ended: nothing of it stays. */
  readonly passed = (entry: BlobEntry): void => void this.#passing.close(entry);

  /**
   * The blob's entry, made with no piece where there was none. A complete one is answered as it is;
   * a partial one of another piece length is replaced. With `bytes`, which the caller has checked against
   * digest and hashes, a new one is whole at once. Where there is no room and blobs can be fetched again, one with a
   * `window`. ApiError STORAGE_FULL, UNAVAILABLE.
   */
  create(digest: Digest, meta: Metainfo, hashes: Uint8Array, bytes?: Uint8Array): Promise<BlobEntry> {
    return this.#maker.create({ digest, meta, hashes, bytes });
  }

  /**
   * Reads a whole blob back, by the name that a restart finds: why it is not its digest's (DIGEST_INVALID), or cannot be
   * read (another code). A list of piece hashes that is damaged is made again. `pace`: awaited before each read.
   */
  async problemOf(entry: BlobEntry, signal?: AbortSignal, pace?: BeforeRead): Promise<ApiError | undefined> {
    await this.#files.renew(entry.file);
    if (entry.complete && !(await this.#lists.check(entry))) return listDamaged(entry.digest);
    return await this.#files.use(entry.file, (fd) => storedProblem(this.#ground.io, entry, fd, { signal, pace }));
  }

  /** Makes a blob whole by what is here of it, from its own file alone. False: bytes of it must come again. */
  async restore(entry: BlobEntry): Promise<boolean> {
    return await restoreBlob(entry, { arena: this.#ground.io.arena, lists: this.#lists, becoming: this.#becoming });
  }

  /** Unlinks it now; whoever has it pinned can read on. One that is not there is fine. ApiError UNAVAILABLE: ask again. */
  async remove(digest: Digest): Promise<void> {
    const remove = async (): Promise<void> => {
      const entry = this.get(digest);
      if (entry !== undefined) await this.#leaving.detach(entry);
      this.#losing.removed(digest);
      await this.#names.sweep(digest);
    };
    try {
      await this.#serial.run(digest, remove);
    } catch (error) {
      throw asApiError(error, digest);
    }
  }

  /** It is not what it claims to be: who has it open reads no further either, but gets `why`. As `remove`. */
  async revoke(digest: Digest, why: ApiError): Promise<void> {
    this.get(digest)?.becomeRevoked(why);
    await this.remove(digest);
  }

  upload(id: string): Upload | undefined {
    return this.#receiving.upload(id);
  }

  /** ApiError BLOB_UPLOAD_INVALID where the id is taken, STORAGE_FULL, UNAVAILABLE. */
  async beginUpload(id: string, algorithm: DigestAlgorithm): Promise<Upload> {
    return await this.#receiving.begin(id, algorithm);
  }

  /** Blobs that an origin still receives from where they rest. */
  get growing(): Pick<Grower, 'begin' | 'create' | 'settle'> {
    return this.#grower;
  }

  /** Writes the hints now. */
  async flush(): Promise<void> {
    await this.#persist.flush();
  }

  /** Cancels uploads, writes the hints, closes the files, unlocks the directory. No call may be open. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#tidying.close();
    await this.#receiving.cancelAll();
    await this.#grower.close(this.#room.partial());
    await this.#losing.idle();
    await this.#serial.idle();
    this.#passing.closeAll();
    await this.#persist.close();
    await this.#files.closeAll();
    await this.#ground.leave();
  }

  #roomHost(dir: string): Parameters<typeof makeRoom>[2] {
    const { disk, volumes } = this.#ground;
    return {
      ...{ wallSeconds, nowMs: () => performance.now() },
      freeBytes: () => (volumes.only === undefined ? volumes.freeBytes() : disk.freeBytes(dir)),
      evict: (entry) => this.#leaving.giveUp(entry),
      onUnneeded: ({ digest }) => this.#unneeded(digest),
      open: (blob) => this.#entry(blob, undefined),
      // Its list is read again when it is wanted, and its file opened.
      idle: (entry) => {
        this.#hashes.drop(entry);
        this.#files.letGo(entry.file);
      },
    };
  }

  #entry({ digest, meta, volume }: Omit<FoundBlob, 'bits'>, bits: PieceBits | undefined): BlobEntry {
    const file = this.#ground.layout.file(digest, meta, { volume, partial: bits !== undefined });
    return new BlobEntry({ host: this.#host, digest, meta, file, bits });
  }

  async #enter(found: readonly FoundBlob[]): Promise<void> {
    const [room, becoming, { keeps }, { arena }] = [this.#room, this.#becoming, this.#promises, this.#ground.io];
    const entry = (one: FoundBlob): BlobEntry => this.#entry(one, one.bits);
    for (const one of found) await enter(one, { room, becoming, keeps, arena, entry });
  }

  #entryHost(hot: BlobStoreOptions['hot']): EntryHost {
    return {
      ...{ hot, io: this.#ground.io },
      files: this.#files,
      nowMs: () => performance.now(),
      loadHashes: (entry) => this.#lists.load(entry),
      complete: (entry) => this.#becoming.complete(entry),
      degraded: (entry, piece, why) => this.#degraded(entry, piece, why),
      refused: (entry) => this.#refused(entry),
      makeRoom: (bytes) => this.#room.evictBytes(bytes),
      missing: (entry) => this.#missing(entry),
      changed: (entry) => this.#persist.changed(entry),
      touched: (entry) => this.#touched(entry),
    };
  }

  #degraded(entry: BlobEntry, piece: number | undefined, why: string): void {
    this.#damage.found(entry, piece, why);
    // Nothing is mended in a file that is somebody else's, too.
    if (entry.file.shared) return this.#lost(entry);
    this.#room.changed(entry);
    this.#persist.changed(entry);
    if (!entry.file.partial) this.#tell.missing(entry.digest, entry.meta);
  }

  #lost(entry: BlobEntry): void {
    if (this.#passing.close(entry)) return this.#tell.evicted(entry.digest);
    if (this.#room.remove(entry) || this.shared?.remove(entry)) void this.#leaving.giveUp(entry);
  }

  /** A cache goes on without it: whoever wants it gets it as it passes through. */
  #refused(entry: BlobEntry): void {
    if (this.#promises.keeps) return;
    this.#passing.refused();
    this.#lost(entry);
  }

  #unneeded(digest: Digest): void {
    this.#log.info({ digest }, 'nothing links to the blob, or a backend has it and room is needed: it is removed');
    this.#tell.unneeded(digest);
  }

  #missing(entry: BlobEntry): void {
    if (!this.#room.remove(entry) && !this.shared?.remove(entry)) return;
    this.#log.error({ digest: entry.digest }, 'the file of a blob is gone: it must be fetched or pushed again');
    void this.#leaving.giveUp(entry);
    this.#tell.missing(entry.digest, entry.meta);
  }

  #touched(entry: BlobEntry): void {
    this.#room.touch(entry);
    this.#persist.used();
  }

  async #drop(entry: GrowingEntry, revoked: ApiError | undefined): Promise<void> {
    if (revoked !== undefined && !entry.gone) {
      entry.becomeRevoked(revoked);
      this.#tell.revoked(entry.digest, revoked);
    }
    if (this.#room.remove(entry)) await this.#leaving.giveUp(entry);
  }
}
