/**
 * What a store does where a volume is lost, and where it is back.
 *
 * Rule 1: a lost volume costs its blobs and no more: each is told as gone, in parts that do not hold up the event loop.
 *   Their files are left as they are.
 * Rule 2: one after the other: what a volume has that is back is found only once all of it has been told as gone.
 * Rule 3: what has come anew meanwhile, or was removed, is removed from the volume that is back: it is older.
 */

import type { Digest } from '../../../core/digest.ts';
import type { Metainfo } from '../../../core/piece.ts';
import { type Disk, diskCode, unlinkIfThere } from '../disk/disk.ts';
import type { OpenFiles } from '../disk/open-files.ts';
import type { Layout } from '../layout.ts';
import type { Names, Serial } from '../names.ts';
import { BlobEntry } from '../pieces/entry.ts';
import type { HashCache } from '../pieces/hash-cache.ts';
import { type FoundBlob, type RecoverOptions, type StoreLog, scanAgain } from '../recover.ts';
import type { Passing } from '../room/passing.ts';
import type { Room } from '../room/room.ts';
import type { BlobRow } from '../table/table.ts';

/** Blobs that are told as gone at a time. */
const batchBlobs = 500;
/** Digests that are remembered as removed while a volume is lost; what is beyond is condemned anew where room is needed. */
const removedMax = 100_000;

export type LosingOptions = {
  readonly disk: Disk;
  readonly layout: Layout;
  readonly files: OpenFiles;
  readonly names: Names;
  readonly room: Pick<Room, 'get' | 'lose'>;
  readonly passing: () => Pick<Passing, 'lose'>;
  readonly hashes: HashCache;
  readonly serial: Serial<Digest>;
  readonly log: StoreLog;
  readonly recover: RecoverOptions;
  readonly evicted: (digest: Digest) => void;
  readonly missing: (digest: Digest, meta: Metainfo) => void;
  readonly found: (blob: FoundBlob) => Promise<void>;
  readonly returned: (digest: Digest) => void;
};

export class Losing {
  readonly #o: LosingOptions;
  #last: Promise<void> = Promise.resolve();
  /** Removed while a volume was lost that may have had them. */
  readonly #removed = new Set<Digest>();

  constructor(o: LosingOptions) {
    this.#o = o;
  }

  /** It was asked for that nothing of it stays. */
  removed(digest: Digest): void {
    const { volumes } = this.#o.recover;
    if (volumes.there.length < volumes.all.length && this.#removed.size < removedMax) this.#removed.add(digest);
  }

  lost(volume: number): void {
    void this.#next(() => this.#lose(volume));
  }

  found(volume: number): Promise<void> {
    return this.#next(() => this.#find(volume));
  }

  async idle(): Promise<void> {
    await this.#last;
  }

  #next(work: () => Promise<void>): Promise<void> {
    this.#last = this.#last.then(work);
    return this.#last;
  }

  async #lose(volume: number): Promise<void> {
    const { names, passing, room } = this.#o;
    names.forget();
    for (const entry of passing().lose(volume)) this.#o.evicted(entry.digest);
    let told = 0;
    for (const blob of room.lose(volume)) {
      this.#give(blob);
      told += 1;
      if (told % batchBlobs === 0) await new Promise((resolve) => setImmediate(resolve));
    }
  }

  #give(blob: BlobEntry | BlobRow): void {
    const { hashes, files, evicted, missing } = this.#o;
    const { digest, meta } = blob;
    let whole = true;
    if (blob instanceof BlobEntry) {
      const { file } = blob;
      whole = !file.partial && file.growing === undefined;
      hashes.forget(blob);
      blob.becomeGone(undefined);
      // Its descriptor is of no use: the last one to use it closes it.
      file.unlinked = true;
      files.close(file).catch(() => undefined);
    }
    evicted(digest);
    if (whole) missing(digest, meta);
  }

  async #find(volume: number): Promise<void> {
    const { log, layout, names, recover, serial, returned } = this.#o;
    names.forget();
    let back = 0;
    try {
      for (const blob of await scanAgain(recover, volume)) {
        const kept = await serial.run(blob.digest, () => this.#keep(blob));
        if (!kept) continue;
        back += 1;
        returned(blob.digest);
      }
    } catch (error) {
      if (diskCode(error) === undefined) throw error;
      log.warn({ volume: layout.volume(volume).dir, error: String(error) }, 'not all that a volume has could be found');
    }
    if (recover.volumes.there.length === recover.volumes.all.length) this.#removed.clear();
    log.info({ volume: layout.volume(volume).dir, blobs: back }, 'what lies on a volume that is back is served again');
  }

  async #keep(blob: FoundBlob): Promise<boolean> {
    const { disk, layout, room, found } = this.#o;
    if (room.get(blob.digest) === undefined && !this.#removed.has(blob.digest)) {
      await found(blob);
      return true;
    }
    const file = layout.file(blob.digest, blob.meta, { volume: blob.volume, partial: blob.bits !== undefined });
    await unlinkIfThere(disk, file.path);
    if (file.partial) await unlinkIfThere(disk, file.have);
    return false;
  }
}
