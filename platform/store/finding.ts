/**
 * What a start finds, blob by blob: whole ones go into the table at once, others wait for the end (start.ts).
 *
 * Rule 1: what is here the names on the disk tell. What the last process wrote down (contents.ts) tells in which order it
 *   was used, and what has gone since; and which files need not be looked at, where there are many and that process ended
 *   by itself.
 * Rule 2: before anything changes in the store, it is noted that what was written down is not to be relied on any more.
 */

import { type Digest, parseDigest } from '../../core/digest.ts';
import { type Contents, doubtContents, readContents } from './contents.ts';
import { type Disk, diskCode, readWhole, unlinkIfThere } from './disk/disk.ts';
import type { Layout } from './layout.ts';
import type { FoundBlob, ScanInto, StoreLog } from './recover.ts';
import type { Room } from './room/room.ts';

/** Of fewer each file is looked at, however the last process ended: that takes no time. */
export const trustFromDefault = 10_000;

export type FoundBlobsOptions = {
  readonly disk: Disk;
  readonly layout: Layout;
  readonly log: StoreLog;
  readonly room: Pick<Room, 'inventory' | 'foundWhole'>;
  readonly trustFrom?: number | undefined;
};

export class FoundBlobs implements ScanInto {
  readonly #o: FoundBlobsOptions;
  /** Those that are not whole. */
  readonly #lacking = new Map<Digest, FoundBlob>();
  #trusted = false;

  constructor(o: FoundBlobsOptions) {
    this.#o = o;
  }

  /** Throws what the disk says where it must not be gone on. */
  async begin(): Promise<void> {
    const { disk, layout, room, log, trustFrom = trustFromDefault } = this.#o;
    const contents = await this.#told();
    if (contents === undefined) return;
    const doubted = !contents.clean || (await doubtContents(disk, layout.contents));
    if (!doubted) await unlinkIfThere(disk, layout.contents);
    this.#trusted = contents.clean && contents.count >= trustFrom;
    if (contents.count >= trustFrom && !contents.clean)
      log.info({ blobs: contents.count }, 'the last process did not end by itself: every file is looked at');
    for (const told of contents.records) if (parseDigest(told.digest) !== undefined) room.inventory.add(told);
  }

  /** Its file was as long as its name says when the last process ended. */
  trusts(digest: Digest): boolean {
    return this.#trusted && this.#o.room.inventory.wasWhole(digest);
  }

  get(digest: Digest): FoundBlob | undefined {
    return this.#lacking.get(digest) ?? this.#o.room.inventory.found(digest);
  }

  /** In the place of what was found of this digest before. */
  put(blob: FoundBlob): void {
    if (blob.bits !== undefined || blob.shortBytes !== undefined) {
      this.#lacking.set(blob.digest, blob);
      return;
    }
    this.#lacking.delete(blob.digest);
    this.#o.room.foundWhole(blob);
  }

  get lacking(): readonly FoundBlob[] {
    return [...this.#lacking.values()];
  }

  /** The scan is over: what was here, and is not. */
  end(): Digest[] {
    return [...this.#o.room.inventory.end((digest) => this.#lacking.has(digest))];
  }

  async #told(): Promise<Contents | undefined> {
    const { disk, layout, log } = this.#o;
    try {
      const contents = await readContents(disk, layout.contents);
      return contents ?? (await readAccess(disk, layout.access));
    } catch (error) {
      if (diskCode(error) === undefined) throw error;
      log.warn({ error: String(error) }, 'which blobs were used last cannot be read: all count as used long ago');
      return undefined;
    }
  }
}

/** What releases before wrote: digests, in order of use. */
async function readAccess(disk: Disk, path: string): Promise<Contents | undefined> {
  const access = await readWhole(disk, path);
  if (access === undefined) return undefined;
  const lines = Buffer.from(access).toString('latin1').split('\n');
  // When is not known: they grow old from now on.
  const now = Math.floor(Date.now() / 1000);
  const records = lines.map((digest) => ({ digest: digest as Digest, whole: false, came: now, used: now }));
  return { clean: false, count: lines.length, records };
}
