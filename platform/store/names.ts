/**
 * The names of blobs on disk: made, made whole, unlinked, with what else must be synced then.
 *
 * Rule: a caller has the digest's turn (`Serial`).
 */

import { type Digest, digestHex } from '../../core/digest.ts';
import { type Disk, diskCode, unlinkIfThere } from './disk/disk.ts';
import type { OpenFiles } from './disk/open-files.ts';
import type { BlobFile, Layout } from './layout.ts';
import type { BlobEntry } from './pieces/entry.ts';

export type NamesOptions = {
  readonly disk: Disk;
  readonly layout: Layout;
  readonly files: OpenFiles;
  readonly synced: boolean;
  /** Volumes that can be reached. */
  readonly there: () => readonly number[];
};

export class Names {
  readonly #o: NamesOptions;
  /** Those that are known to be there. */
  readonly #shards = new Set<string>();

  constructor(o: NamesOptions) {
    this.#o = o;
  }

  /** Directories may not be there any more. */
  forget(): void {
    this.#shards.clear();
  }

  /** Makes the file of a partial blob of `length` bytes: its hash list, and `bytes`, where all of them are there. */
  async makePart(file: BlobFile, hashes: Uint8Array, length: number, bytes?: Uint8Array): Promise<void> {
    const { disk, files } = this.#o;
    await this.ensureShard(file);
    const fd = await disk.open(file.part, 'create');
    try {
      if (bytes === undefined) await disk.write(fd, hashes, length);
      else await disk.write(fd, Buffer.concat([bytes, hashes]), 0);
    } catch (error) {
      await disk.close(fd);
      await unlinkIfThere(disk, file.part);
      throw error;
    }
    files.adopt(file, fd);
    file.hinted = false;
  }

  async ensureShard(file: BlobFile): Promise<void> {
    const { disk, synced } = this.#o;
    const shard = parentOf(file.whole);
    if (this.#shards.has(shard)) return;
    await disk.mkdir(shard);
    if (synced) await disk.syncDirectory(parentOf(shard));
    this.#shards.add(shard);
  }

  /** Every piece is in the file, and synced where that is to be: it gets the name of a whole one. */
  async makeWhole(digest: Digest, file: BlobFile): Promise<void> {
    const { disk, layout, synced } = this.#o;
    const shard = layout.shard(digest, file.volume);
    if (file.partial) {
      const { part, whole, have } = file;
      await disk.rename(part, whole);
      file.partial = false;
      if (file.hinted) await unlinkIfThere(disk, have);
    }
    // Also where an earlier try renamed it and then failed.
    if (synced) await disk.syncDirectory(shard);
  }

  /** Removes every name of the digest, on every volume that is there, also those that a failed commit or removal left, and syncs that. */
  async sweep(digest: Digest): Promise<void> {
    for (const volume of this.#o.there()) await this.#sweep(digest, volume);
  }

  async #sweep(digest: Digest, volume: number): Promise<void> {
    const { disk, layout, synced } = this.#o;
    const shard = layout.shard(digest, volume);
    let names: string[];
    try {
      names = await disk.list(shard);
    } catch (error) {
      if (diskCode(error) === 'ENOENT') return;
      throw error;
    }
    for (const name of names) {
      if (name.startsWith(`${digestHex(digest)}.`)) await unlinkIfThere(disk, `${shard}/${name}`);
    }
    if (synced) await disk.syncDirectory(shard);
  }

  /** Whoever has the entry pinned can read on. */
  async unlink(entry: BlobEntry): Promise<void> {
    const { disk, files } = this.#o;
    const { file } = entry;
    if (entry.pinned) await this.#holdForReaders(entry);
    const { path, have } = file;
    await unlinkIfThere(disk, path);
    file.unlinked = true;
    if (file.partial && file.growing === undefined) await unlinkIfThere(disk, have);
    if (file.shared) await unlinkIfThere(disk, file.list.path);
    await files.close(file);
  }

  /** Removes what was here of a blob that has just arrived whole by another way, as `by`. */
  async supersede(file: BlobFile, by: BlobFile): Promise<void> {
    const { disk, files } = this.#o;
    try {
      if (file.path !== by.path) await unlinkIfThere(disk, file.path);
      if (file.partial && file.growing === undefined) await unlinkIfThere(disk, file.have);
    } catch (error) {
      // The next start finds both, and takes the one that is whole.
      if (diskCode(error) === undefined || file.volume === by.volume) throw error;
    }
    file.unlinked = true;
    await files.close(file);
  }

  async #holdForReaders(entry: BlobEntry): Promise<void> {
    try {
      entry.becomeGone(await this.#o.files.hold(entry.file));
    } catch (error) {
      // Gone already: there is nothing to keep for them.
      if (diskCode(error) === undefined) throw error;
    }
  }
}

/** One piece of work at a time for each key, in order of arrival. Failures are their caller's alone. */
export class Serial<K> {
  readonly #last = new Map<K, Promise<unknown>>();

  async run<T>(key: K, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(key);
    const mine = (async () => {
      if (before !== undefined) await before;
      return await work();
    })();
    const settled = mine.then(
      () => undefined,
      () => undefined,
    );
    this.#last.set(key, settled);
    try {
      return await mine;
    } finally {
      if (this.#last.get(key) === settled) this.#last.delete(key);
    }
  }

  /** Resolves once everything given so far is done. */
  async idle(): Promise<void> {
    await Promise.all(this.#last.values());
  }
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/'));
}
