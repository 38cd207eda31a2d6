/**
 * Blobs of a cache whose bytes a container runtime on this host has as well, in one file that is both's (`shared/` of a
 * volume): read and fed as all others, and on the disk once.
 *
 * Rule 1: what is here takes no room of its own: the budget does not count it, and nothing of it goes for want of room.
 * Rule 2: the runtime may let go of it at any moment: our name keeps the bytes. Then it becomes a blob of the cache like
 *   any other, where the budget has room for it beside all that is there, and its disk is not above the low watermark;
 *   else it goes.
 * Rule 3: nothing is written to a file that may be somebody else's. One that turns out to be damaged is let go of.
 * Rule 4: where the cache has the blob already, its entry goes on in the shared file: who reads or feeds it notices nothing.
 */

import { chmod } from 'node:fs/promises';
import { ApiError } from '../../../core/contracts/errors.ts';
import type { Digest } from '../../../core/digest.ts';
import type { PieceIo } from '../../workers/piece-io.ts';
import { type Disk, diskCode, unlinkIfThere } from '../disk/disk.ts';
import type { OpenFiles } from '../disk/open-files.ts';
import { GrowingEntry } from '../growing/entry.ts';
import { type BlobFile, bytesOnDisk, type Layout, listSuffix, parseBlobName } from '../layout.ts';
import type { Names, Serial } from '../names.ts';
import { BlobEntry, type EntryHost } from '../pieces/entry.ts';
import type { HashCache } from '../pieces/hash-cache.ts';
import type { StoreLog } from '../recover.ts';
import type { Passing } from '../room/passing.ts';
import type { Room } from '../room/room.ts';
import { type Eviction, freeAt } from '../room/tidying.ts';
import type { BeforeRead } from '../stored.ts';
import type { Volumes } from '../volumes/volumes.ts';
import { type How, identityOf, NotShareable } from './files.ts';
import { nameTaken, type TakenFile, takeFile } from './taking.ts';

/** Blobs of one runtime's store; some kilobytes of memory each. Kubernetes runs a few hundred images on a host. */
export const sharedBlobsMax = 20_000;

export type SharedOptions = {
  readonly disk: Disk;
  readonly io: PieceIo;
  readonly layout: Layout;
  readonly files: OpenFiles;
  readonly volumes: Pick<Volumes, 'all' | 'there'>;
  readonly names: Names;
  readonly room: Room;
  readonly hashes: HashCache;
  readonly serial: Serial<Digest>;
  readonly host: EntryHost;
  readonly log: StoreLog;
  readonly passing: Pick<Passing, 'get'>;
  readonly budgetBytes: number;
  readonly eviction: Eviction | undefined;
  /** The cache makes room for it where the runtime lets go of it. */
  readonly stays?: ((digest: Digest) => boolean) | undefined;
  /** Unlinks what is counted no longer. */
  readonly giveUp: (entry: BlobEntry) => Promise<void>;
};

/** `id`: which file of the runtime's it is (files.ts). */
type SharedBlob = { readonly entry: BlobEntry; readonly id: string };
export type Reading = { readonly signal: AbortSignal; readonly pace?: BeforeRead | undefined };
/** `before`: the cache had it already, so many bytes on disk. */
export type TakenBlob = { readonly entry: BlobEntry; readonly how: How; readonly before: number };

export class Shared {
  readonly #o: SharedOptions;
  readonly #blobs = new Map<Digest, SharedBlob>();
  #next = 0;
  #bytes = 0;

  constructor(o: SharedOptions) {
    this.#o = o;
  }

  get count(): number {
    return this.#blobs.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get(digest: Digest): BlobEntry | undefined {
    return this.#blobs.get(digest)?.entry;
  }

  all(): BlobEntry[] {
    return [...this.#blobs.values()].map(({ entry }) => entry);
  }

  /** Which file of the runtime's it is; undefined: it is not here. */
  idOf(digest: Digest): string | undefined {
    return this.#blobs.get(digest)?.id;
  }

  /** Whether the cache has a copy of its own: it lies twice. */
  doubled(digest: Digest): boolean {
    return this.#o.room.get(digest) !== undefined;
  }

  /** No longer counted; its file is the caller's to unlink. False: it was not. */
  remove(entry: BlobEntry): boolean {
    if (this.#blobs.get(entry.digest)?.entry !== entry) return false;
    this.#blobs.delete(entry.digest);
    this.#bytes -= entry.meta.length;
    return true;
  }

  /** What the last process shared. What the cache has by itself stays so until it is taken again. */
  async open(): Promise<void> {
    for (const volume of this.#o.volumes.there) await this.#find(volume);
  }

  async #find(volume: number): Promise<void> {
    const { disk, layout, room } = this.#o;
    const dir = layout.volume(volume).shared;
    await disk.mkdir(dir);
    const names = new Set(await disk.list(dir));
    for (const name of names) {
      const listed = name.endsWith(listSuffix) && names.has(name.slice(0, -listSuffix.length));
      if (listed && parseBlobName('sha256', name.slice(0, -listSuffix.length)) !== undefined) continue;
      const found = names.has(name + listSuffix) ? parseBlobName('sha256', name) : undefined;
      if (found === undefined) await unlinkIfThere(disk, `${dir}/${name}`);
      else {
        const file = layout.file(found.digest, found.meta, { volume, partial: false, shared: true });
        const { size } = await disk.stat(file.path);
        const usable =
          size >= found.meta.length && room.get(found.digest) === undefined && this.get(found.digest) === undefined;
        if (usable) this.#add(this.#entry({ ...found, file }), (await identityOf(file.path)).id);
        else for (const path of [file.path, file.list.path]) await unlinkIfThere(disk, path);
      }
    }
  }

  /**
   * The blob, of the runtime's file `from`, once its bytes were read and are the digest's. undefined: it is being received
   * by another way, or there are too many: another time. Throws NotTheBlob, NotShareable, what the disk says.
   */
  async take(digest: Digest, from: string, reading: Reading): Promise<TakenBlob | undefined> {
    const { layout, volumes, disk, room } = this.#o;
    if (!this.#takes(digest) || this.#blobs.size >= sharedBlobsMax) return undefined;
    let refused: NotShareable | undefined;
    for (const volume of volumes.there) {
      this.#next += 1;
      const aside = `${layout.volume(volume).shared}/new-${this.#next}`;
      const before = room.get(digest);
      const known = before?.complete ? { meta: before.meta, hashes: await before.listed() } : undefined;
      try {
        const parts = { disk, io: this.#o.io };
        const taken = await takeFile(parts, { digest, from, aside, known, signal: reading.signal, pace: reading.pace });
        return await this.#o.serial.run(digest, () => this.#enter(digest, taken, { volume, aside }));
      } catch (error) {
        if (!(error instanceof NotShareable)) throw error;
        refused = error;
      }
    }
    if (refused !== undefined) throw refused;
    return undefined;
  }

  #takes(digest: Digest): boolean {
    const { room, passing } = this.#o;
    const existing = room.get(digest);
    return !(existing instanceof GrowingEntry && existing.growth !== undefined) && passing.get(digest) === undefined;
  }

  async #enter(
    digest: Digest,
    taken: TakenFile,
    { volume, aside }: { readonly volume: number; readonly aside: string },
  ): Promise<TakenBlob | undefined> {
    const { layout, disk, room, files, names, hashes } = this.#o;
    const { meta, fd, id, how } = taken;
    const file = layout.file(digest, meta, { volume, partial: false, shared: true });
    const existing = room.get(digest);
    const same = existing === undefined || existing.meta.root === meta.root;
    try {
      if (!this.#takes(digest) || !same) throw new Unfit();
      await nameTaken(disk, aside, { file, hashes: taken.hashes });
    } catch (error) {
      await disk.close(fd);
      for (const path of [aside, file.list.path]) await unlinkIfThere(disk, path);
      if (error instanceof Unfit) return undefined;
      throw error;
    }
    const replaced = this.#blobs.get(digest)?.entry;
    const had = existing ?? replaced;
    files.adopt(file, fd);
    if (existing !== undefined) room.remove(existing);
    if (replaced !== undefined) this.remove(replaced);
    const before = existing?.file;
    const entry = had ?? this.#entry({ digest, meta, file });
    entry.takeHashes(taken.hashes);
    const old = had?.file;
    entry.becomeComplete(undefined, file);
    this.#add(entry, id);
    hashes.add(entry);
    if (old !== undefined) await names.supersede(old, file);
    return { entry, how, before: before === undefined ? 0 : bytesOnDisk(meta) };
  }

  /** The runtime has it no longer. True: the cache keeps it. */
  async letGo(digest: Digest): Promise<boolean> {
    const entry = this.get(digest);
    if (entry === undefined) return false;
    if (await this.#o.serial.run(digest, () => this.#keep(entry))) return true;
    if (!this.remove(entry)) return false;
    await this.#o.giveUp(entry);
    return false;
  }

  /** Whether the file is ours alone now, and a blob of the cache. */
  async #keep(entry: BlobEntry): Promise<boolean> {
    const { disk, layout, room, files, log, budgetBytes } = this.#o;
    const { digest, meta, file } = entry;
    const bytes = bytesOnDisk(meta);
    const must = this.#o.stays?.(digest) === true;
    if (this.get(digest) !== entry || (!must && room.usedBytes + bytes > budgetBytes)) return false;
    let reserved = false;
    try {
      if (!(must || (await this.#hasSpace(file))) || (await identityOf(file.path)).names !== 1) return false;
      await room.reserve(bytes);
      reserved = true;
      const own = layout.file(digest, meta, { volume: file.volume, partial: false });
      const fd = await this.#makeOwn(entry, own);
      files.adopt(own, fd);
      this.remove(entry);
      entry.becomeComplete(undefined, own);
      room.add(entry);
      reserved = false;
      await unlinkIfThere(disk, file.list.path);
      file.unlinked = true;
      await files.close(file);
      return true;
    } catch (error) {
      if (!(error instanceof ApiError) && diskCode(error) === undefined) throw error;
      log.warn({ digest, why: String(error) }, 'what the runtime let go of cannot be kept: it goes');
      return false;
    } finally {
      if (reserved) room.release(bytes);
    }
  }

  /** No other name leads to the file: its list is put where a cached blob has it. */
  async #makeOwn(entry: BlobEntry, own: BlobFile): Promise<number> {
    const { disk, names } = this.#o;
    await chmod(entry.file.path, 0o644);
    await names.ensureShard(own);
    const fd = await disk.open(entry.file.path, 'update');
    try {
      await disk.write(fd, await entry.listed(), entry.meta.length);
      await disk.rename(entry.file.path, own.whole);
      return fd;
    } catch (error) {
      await disk.close(fd);
      throw error;
    }
  }

  async #hasSpace(file: BlobFile): Promise<boolean> {
    const { eviction, volumes, disk } = this.#o;
    const path = volumes.all[file.volume]?.plan.path;
    if (eviction?.watermarks === undefined || path === undefined) return true;
    const { freeBytes, totalBytes } = await disk.space(path);
    return freeBytes >= freeAt(eviction.watermarks.low, totalBytes);
  }

  #entry({ digest, meta, file }: Pick<BlobEntry, 'digest' | 'meta' | 'file'>): BlobEntry {
    return new BlobEntry({ host: this.#o.host, digest, meta, file, bits: undefined });
  }

  #add(entry: BlobEntry, id: string): void {
    this.#blobs.set(entry.digest, { entry, id });
    this.#bytes += entry.meta.length;
  }
}

/** It is received by another way. */
class Unfit extends Error {}

/** Sharing is not configured (any more): what was shared goes, since nobody sees to it. */
export async function forgetShared({
  disk,
  layout,
  volumes,
}: Pick<SharedOptions, 'disk' | 'layout' | 'volumes'>): Promise<void> {
  for (const volume of volumes.there) {
    const dir = layout.volume(volume).shared;
    try {
      for (const name of await disk.list(dir)) await unlinkIfThere(disk, `${dir}/${name}`);
    } catch (error) {
      if (diskCode(error) === undefined) throw error;
    }
  }
}
