/**
 * New entries of a store: where there is room for the blob it gets a file of its own; where there is none and blobs can
 * be fetched again, its pieces pass through (passing.ts).
 */

import { assert } from '../../core/assert.ts';
import { ApiError } from '../../core/contracts/errors.ts';
import type { Digest } from '../../core/digest.ts';
import { hashBytes, type Metainfo, metainfoValid, pieceCount } from '../../core/piece.ts';
import { blake3Hex } from '../workers/hash.ts';
import { asApiError, refusal } from './disk/errors.ts';
import { bytesOnDisk, type Layout } from './layout.ts';
import type { Names } from './names.ts';
import { PieceBits } from './pieces/bits.ts';
import { BlobEntry, type EntryHost } from './pieces/entry.ts';
import type { HashCache } from './pieces/hash-cache.ts';
import type { Passing } from './room/passing.ts';
import type { Room } from './room/room.ts';
import type { Serial } from './serial.ts';

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
  readonly layout: Layout;
  readonly names: Names;
  readonly room: Room;
  readonly passing: Passing;
  readonly hashes: HashCache;
  readonly serial: Serial<Digest>;
  readonly get: (digest: Digest) => BlobEntry | undefined;
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
    // One without pieces is whole as soon as it is made; until then the second caller waits with the first.
    if (before?.fits(meta) && (before.complete || before.pieces > 0)) {
      if (!before.complete && !before.hashesLoaded && before.meta.root === meta.root) this.#o.damaged(before, hashes);
      return before;
    }
    try {
      const room = await this.#reserve(meta, bytes === undefined);
      const entry = await serial.run(digest, () => (room ? this.#make(blob) : this.#makePassing(blob)));
      const whole = entry.heldCount === entry.pieces && entry.window === undefined;
      if (whole && !entry.complete && !(await host.complete(entry))) throw entry.failure ?? refusal(digest, 'EIO');
      return entry;
    } catch (error) {
      throw asApiError(error, digest);
    }
  }

  /** False: there is no room, and the blob may pass through. */
  async #reserve(meta: Metainfo, mayPass: boolean): Promise<boolean> {
    try {
      await this.#o.room.reserve(bytesOnDisk(meta));
      return true;
    } catch (error) {
      if (this.#o.keeps || !mayPass || !(error instanceof ApiError) || error.code !== 'STORAGE_FULL') throw error;
      return false;
    }
  }

  /** Uses the reservation, or gives it back. */
  async #make({ digest, meta, hashes, bytes }: NewBlob): Promise<BlobEntry> {
    const { host, layout, names, room } = this.#o;
    let used = false;
    try {
      const existing = await this.#existing(digest, meta);
      if (existing !== undefined) return existing;
      const file = layout.file(digest, meta, true);
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

  async #makePassing({ digest, meta, hashes }: NewBlob): Promise<BlobEntry> {
    return (await this.#existing(digest, meta)) ?? (await this.#o.passing.create(digest, meta, hashes));
  }

  /** One that serves for the blob; one that does not is gone. */
  async #existing(digest: Digest, meta: Metainfo): Promise<BlobEntry | undefined> {
    const existing = this.#o.get(digest);
    if (existing?.fits(meta)) return existing;
    if (existing !== undefined) await this.#o.detach(existing);
    return undefined;
  }
}
