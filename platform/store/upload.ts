/**
 * A blob on its way in from a client, its digest unknown until the end.
 *
 * Rule 1: each byte is copied once, into a slot; a worker then hashes it (digest and units) and
 *   writes it, in one pass. Nothing is read again.
 * Rule 2: at most `jobsMax` slots are with the worker; beyond that `append` waits, and so does the client.
 * Rule 3: who is slow holds no memory: a slot half full that waits for its client for long is parked,
 *   its bytes written as they are and read back when the client goes on. (Else a few clients that
 *   wait for each other at two origins could hold all slots of both.)
 * Rule 4: nothing is kept of an upload that fails, is cancelled, or was not committed before a crash.
 */

import { Bug } from '../../core/assert.ts';
import { ApiError } from '../../core/contracts/errors.ts';
import { type Digest, type DigestAlgorithm, digestAlgorithm, digestOf } from '../../core/digest.ts';
import { type Metainfo, pieceCount, pieceLengthFor, piecesMax, unitBytes } from '../../core/piece.ts';
import type { Slot } from '../workers/arena.ts';
import { blake3Hex, foldUnits } from '../workers/hash.ts';
import { type HashStream, IoFailure, type PieceIo } from '../workers/piece-io.ts';
import { type Disk, diskCode, unlinkIfThere } from './disk/disk.ts';
import { asApiError, refusal } from './disk/errors.ts';
import type { BlobEntry } from './pieces/entry.ts';
import type { StoreLog } from './recover.ts';
import { storedDigest } from './stored.ts';

/** Slots with the worker at a time, for one upload. */
const jobsMax = 4;
/** Small uploads take one unit; from here on slots are larger, for fewer jobs. */
const largeFrom = 4 * unitBytes;
const largeSlotBytes = 2 * unitBytes;
/** A half full slot is kept this long for its client. */
const parkAfterMs = 1000;
/** Where bytes are synced, the disk is set to work while bytes still come: the last sync is then short. */
const syncEveryBytes = 32 * 1024 * 1024;

export type ReceivedBlob = {
  readonly digest: Digest;
  readonly meta: Metainfo;
  readonly hashes: Uint8Array;
  readonly path: string;
  readonly fd: number;
};

export interface UploadHost {
  readonly io: PieceIo;
  readonly disk: Disk;
  readonly log: StoreLog;
  readonly synced: boolean;
  /** Room in the byte budget; ApiError STORAGE_FULL. */
  reserve(bytes: number): Promise<void>;
  release(bytes: number): void;
  /** Gives the blob its name: file, descriptor and reservation (length and hash list) are the store's then. */
  publish(blob: ReceivedBlob): Promise<BlobEntry>;
  ended(upload: Upload): void;
}

type State = 'open' | 'busy' | 'ended';
/** The slot that is being filled; or its bytes are parked in the file, where they belong. */
type Filling = { readonly slot: Slot | undefined; readonly size: number; filled: number };
type Unparked = Filling & { readonly slot: Slot };

export class Upload {
  readonly id: string;
  readonly algorithm: DigestAlgorithm;
  readonly #host: UploadHost;
  readonly #path: string;
  readonly #stream: HashStream;
  readonly #stopped = new AbortController();
  readonly #jobs: Promise<void>[] = [];
  readonly #unitHashes: Uint8Array[] = [];
  #fd = -1;
  #state: State = 'open';
  #offset = 0;
  #reserved = 0;
  #streamOpen = true;
  #filling: Filling | undefined;
  #failure: ApiError | undefined;
  #parkTimer: NodeJS.Timeout | undefined;
  /** The parking that is under way, if any; the next call waits for it. */
  #parking: Promise<void> = Promise.resolve();
  #sync: Promise<void> | undefined;
  #syncFrom = syncEveryBytes;
  #current: Promise<unknown> = Promise.resolve();

  constructor(o: { id: string; algorithm: DigestAlgorithm; path: string; host: UploadHost }) {
    this.id = o.id;
    this.algorithm = o.algorithm;
    this.#path = o.path;
    this.#host = o.host;
    this.#stream = o.host.io.hashStream(o.algorithm);
  }

  /** Bytes taken so far. */
  get offset(): number {
    return this.#offset;
  }

  /** For the store: makes the file. */
  async begin(): Promise<void> {
    this.#fd = await this.#host.disk.open(this.#path, 'create');
  }

  /** Takes all of `chunk`, which is the caller's again when this resolves. After an error the upload can only be cancelled. */
  async append(chunk: Uint8Array): Promise<void> {
    await this.#exclusive(async () => {
      try {
        for (let at = 0; at < chunk.length; ) at += await this.#take(chunk, at);
      } catch (error) {
        this.#failure ??= failureOf(error, this.id);
      }
      if (this.#failure !== undefined) throw this.#failure;
    });
    if (this.#filling?.slot !== undefined) this.#parkLater();
  }

  /** Ends the upload either way. DIGEST_INVALID, STORAGE_FULL, SIZE_INVALID, UNAVAILABLE: nothing is kept. */
  async commit(digest: Digest): Promise<BlobEntry> {
    try {
      return await this.#exclusive(async () => {
        if (this.#failure !== undefined) throw this.#failure;
        await this.#drain();
        await this.#verify(digest);
        return await this.#publish(digest);
      });
    } catch (error) {
      await this.cancel();
      throw asApiError(error, digest);
    }
  }

  /** Removes everything of it. Waits for what is being done; again, or after the end, is harmless. */
  async cancel(): Promise<void> {
    if (this.#state === 'ended') return;
    this.#stopped.abort(new ApiError('BLOB_UPLOAD_UNKNOWN', `upload ${this.id} was cancelled: begin a new one`));
    await this.#current.catch(() => undefined);
    await Promise.all([...this.#jobs, this.#parking, this.#sync]);
    // Another cancel, or the commit that it waited for, may have ended it meanwhile.
    await this.#discard();
  }

  // ---- within ----------------------------------------------------------------------------------

  async #exclusive<T>(work: () => Promise<T>): Promise<T> {
    if (this.#state === 'busy') throw new Bug(`upload ${this.id}: two calls at once`);
    if (this.#state === 'ended' || this.#stopped.signal.aborted) {
      throw new ApiError('BLOB_UPLOAD_UNKNOWN', `upload ${this.id} has ended: begin a new one`);
    }
    this.#state = 'busy';
    clearTimeout(this.#parkTimer);
    const running = this.#parking.then(work);
    this.#current = running;
    try {
      return await running;
    } finally {
      if (this.#state === 'busy') this.#state = 'open';
    }
  }

  /** False: it has ended already. */
  #end(): boolean {
    if (this.#state === 'ended') return false;
    this.#state = 'ended';
    clearTimeout(this.#parkTimer);
    this.#filling?.slot?.release();
    this.#filling = undefined;
    if (this.#streamOpen) this.#stream.abort();
    this.#streamOpen = false;
    this.#host.ended(this);
    return true;
  }

  /** Copies what fits of `chunk` into the slot; a full one goes to the worker. Returns bytes taken. */
  async #take(chunk: Uint8Array, at: number): Promise<number> {
    this.#stopped.signal.throwIfAborted();
    const filling = await this.#slotToFill();
    const { slot } = filling;
    let from = at;
    while (filling.filled < slot.length && from < chunk.length) {
      const window = slot.window(filling.filled);
      const bytes = Math.min(window.length, chunk.length - from);
      window.set(chunk.subarray(from, from + bytes));
      filling.filled += bytes;
      from += bytes;
    }
    this.#offset += from - at;
    if (filling.filled === slot.length) await this.#send(filling);
    return from - at;
  }

  /** The slot that is being filled, back from where it was parked, or a new one. */
  async #slotToFill(): Promise<Unparked> {
    const { arena } = this.#host.io;
    const before = this.#filling;
    if (before?.slot !== undefined) return before as Unparked;
    const wanted = this.#offset < largeFrom ? unitBytes : largeSlotBytes;
    const size = before?.size ?? Math.min(wanted, arena.shareBytes('receive'));
    if (before === undefined) {
      await this.#host.reserve(size);
      this.#reserved += size;
    }
    const slot = await arena.acquire('receive', size, this.#stopped.signal);
    const filling: Unparked = { slot, size, filled: before?.filled ?? 0 };
    this.#filling = filling;
    if (before !== undefined) await this.#unpark(filling);
    return filling;
  }

  #parkLater(): void {
    this.#parkTimer = setTimeout(() => {
      const filling = this.#filling;
      if (this.#state !== 'open' || filling?.slot === undefined) return;
      this.#parking = this.#park(filling as Unparked);
    }, parkAfterMs).unref();
  }

  /** Writes the slot's bytes where they belong, and lets it go. */
  async #park(filling: Unparked): Promise<void> {
    try {
      await this.#throughSlot(filling, (bytes, position) => this.#host.disk.write(this.#fd, bytes, position));
    } catch (error) {
      this.#failure ??= failureOf(error, this.id);
    }
    this.#filling = { slot: undefined, size: filling.size, filled: filling.filled };
    filling.slot.release();
  }

  async #unpark(filling: Unparked): Promise<void> {
    await this.#throughSlot(filling, async (bytes, position) => {
      const got = await this.#host.disk.read(this.#fd, bytes, position);
      if (got < bytes.length) throw refusal(`upload ${this.id}`, 'SHORT');
    });
  }

  async #throughSlot(filling: Unparked, move: (bytes: Uint8Array, position: number) => Promise<void>): Promise<void> {
    const start = this.#offset - filling.filled;
    for (let done = 0; done < filling.filled; ) {
      const bytes = filling.slot.window(done).subarray(0, filling.filled - done);
      await move(bytes, start + done);
      done += bytes.length;
    }
  }

  /** Not waited for, but a failure counts: the system tells it once only. */
  #syncAhead(): void {
    if (!this.#host.synced || this.#sync !== undefined || this.#offset < this.#syncFrom) return;
    this.#syncFrom = this.#offset + syncEveryBytes;
    this.#sync = this.#syncNow();
  }

  async #syncNow(): Promise<void> {
    try {
      await this.#host.disk.sync(this.#fd);
    } catch (error) {
      this.#failure ??= failureOf(error, this.id);
    }
    this.#sync = undefined;
  }

  /** Hands the slot to the worker; waits for the oldest where many are there. */
  async #send(filling: Unparked): Promise<void> {
    this.#filling = undefined;
    this.#jobs.push(this.#write(filling, this.#offset - filling.filled));
    if (this.#jobs.length > jobsMax) await this.#jobs.shift();
    this.#syncAhead();
    if (this.#failure !== undefined) throw this.#failure;
  }

  async #write(filling: Unparked, position: number): Promise<void> {
    const { slot, filled } = filling;
    try {
      const hashes = await this.#stream.append({ fd: this.#fd, position, slot, length: filled });
      if (hashes instanceof IoFailure) this.#failure ??= refusal(`upload ${this.id}`, hashes.errno);
      else this.#unitHashes.push(hashes);
    } finally {
      slot.release();
    }
  }

  /** The last, short slot, and whatever the worker still has. */
  async #drain(): Promise<void> {
    if (this.#filling !== undefined) await this.#send(await this.#slotToFill());
    await Promise.all([...this.#jobs.splice(0), this.#sync]);
    if (this.#failure !== undefined) throw this.#failure;
  }

  async #verify(digest: Digest): Promise<void> {
    this.#streamOpen = false;
    let found = digestOf(this.algorithm, await this.#stream.finish());
    const algorithm = digestAlgorithm(digest);
    if (algorithm !== this.algorithm) {
      // The client changed its mind: the one case that costs a second read.
      const hex = await storedDigest(this.#host.io, { fd: this.#fd, length: this.#offset, algorithm });
      if (hex instanceof IoFailure) throw refusal(`upload ${this.id}`, hex.errno);
      found = digestOf(algorithm, hex);
    }
    if (found !== digest) {
      throw new ApiError(
        'DIGEST_INVALID',
        `the ${this.#offset} bytes of the upload have digest ${found}, not ${digest}: send them again`,
      );
    }
  }

  async #publish(digest: Digest): Promise<BlobEntry> {
    const length = this.#offset;
    const pieceLength = pieceLengthFor(length);
    if (pieceCount({ length, pieceLength }) > piecesMax) {
      throw new ApiError(
        'SIZE_INVALID',
        `a blob of ${length} bytes is larger than ${piecesMax} pieces of ${pieceLength} bytes`,
      );
    }
    const hashes = foldUnits(joined(this.#unitHashes), pieceLength);
    const meta: Metainfo = { length, pieceLength, root: blake3Hex(hashes) };
    const spare = this.#reserved - length - hashes.length;
    if (spare < 0) await this.#host.reserve(-spare);
    else this.#host.release(spare);
    this.#reserved -= spare;
    const entry = await this.#host.publish({ digest, meta, hashes, path: this.#path, fd: this.#fd });
    this.#reserved = 0;
    this.#end();
    return entry;
  }

  async #discard(): Promise<void> {
    if (!this.#end()) return;
    const { disk, log, release } = this.#host;
    release(this.#reserved);
    try {
      if (this.#fd >= 0) await disk.close(this.#fd);
      await unlinkIfThere(disk, this.#path);
    } catch (error) {
      if (diskCode(error) === undefined) throw error;
      log.warn(
        { upload: this.id, error: String(error) },
        'what an upload left could not be removed: the next start does',
      );
    }
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.length === 0 ? 0 : parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

function failureOf(error: unknown, id: string): ApiError {
  const failure = asApiError(error, `upload ${id}`);
  if (failure instanceof ApiError) return failure;
  throw error;
}
