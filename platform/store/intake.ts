/**
 * Bytes that come in order and become a file: from a client (upload.ts), or from where the cluster's blobs rest
 * (growing/writing.ts).
 *
 * Rule 1: each byte is copied once, into a slot; a worker then hashes it (digest and units) and writes it, in one pass.
 *   Nothing is read again.
 * Rule 2: at most `jobsMax` slots are with the worker; beyond that `append` waits, and so does who sends.
 * Rule 3: who is slow holds no memory: a slot half full that waits for its bytes for long is parked,
 *   its bytes written as they are and read back when they go on. (Else a few clients that
 *   wait for each other at two origins could hold all slots of both.)
 * Rule 4: one call at a time; after an error it can only be ended.
 */

import { Bug } from '../../core/assert.ts';
import { ApiError } from '../../core/contracts/errors.ts';
import type { DigestAlgorithm } from '../../core/digest.ts';
import type { Slot } from '../workers/arena.ts';
import { type HashStream, IoFailure, type PieceIo } from '../workers/piece-io.ts';
import type { Disk } from './disk/disk.ts';
import { asApiError, refusal } from './disk/errors.ts';

/** Slots with the worker at a time, for one intake. */
const jobsMax = 4;
/** A half full slot is kept this long for its next bytes. */
const parkAfterMs = 1000;
/** Where bytes are synced, the disk is set to work while bytes still come: the last sync is then short. */
const syncEveryBytes = 32 * 1024 * 1024;

export type IntakeOptions = {
  /** Named in messages. */
  readonly what: string;
  readonly io: PieceIo;
  readonly disk: Disk;
  readonly synced: boolean;
  readonly algorithm: DigestAlgorithm;
  /** Bytes of the next slot, which begins at `offset`; whole units. What it takes in the budget is the caller's business. */
  readonly slotFor: (offset: number) => number | Promise<number>;
  /** The hashes of the slot's units, 32 bytes each, in order. True: the slot is the caller's from now on. */
  readonly written: (hashes: Uint8Array, slot: Slot, position: number) => boolean;
};

/** The slot that is being filled; or its bytes are parked in the file, where they belong. */
type Filling = { readonly slot: Slot | undefined; readonly size: number; filled: number };
type Unparked = Filling & { readonly slot: Slot };

export class Intake {
  /** Of the file; the caller opens and closes it. */
  fd = -1;
  readonly #o: IntakeOptions;
  readonly #stream: HashStream;
  readonly #stopped = new AbortController();
  readonly #jobs: Promise<void>[] = [];
  #state: 'open' | 'busy' | 'ended' = 'open';
  #offset = 0;
  #streamOpen = true;
  #filling: Filling | undefined;
  #failure: ApiError | undefined;
  #parkTimer: NodeJS.Timeout | undefined;
  /** What must be done before the next call: a slot is being parked, or what is here already is being read. */
  #before: Promise<void> = Promise.resolve();
  #sync: Promise<void> | undefined;
  #syncFrom = syncEveryBytes;
  #current: Promise<unknown> = Promise.resolve();

  constructor(o: IntakeOptions) {
    this.#o = o;
    this.#stream = o.io.hashStream(o.algorithm);
  }

  /** Bytes taken so far. */
  get offset(): number {
    return this.#offset;
  }

  get ended(): boolean {
    return this.#state === 'ended';
  }

  /** Its first `bytes`, whole units, are in the file already: they are read into the digest before anything comes. */
  resume(bytes: number): void {
    this.#offset = bytes;
    this.#syncFrom = bytes + syncEveryBytes;
    this.#before = this.#readBack(bytes);
  }

  /** Takes all of `chunk`, which is the caller's again when this resolves. */
  async append(chunk: Uint8Array): Promise<void> {
    await this.#exclusive(async () => {
      try {
        for (let at = 0; at < chunk.length; ) at += await this.#take(chunk, at);
      } catch (error) {
        this.#fail(error);
      }
      if (this.#failure !== undefined) throw this.#failure;
    });
    if (this.#filling?.slot !== undefined) this.#parkLater();
  }

  /** Runs `work` once every byte is written. */
  async conclude<T>(work: () => Promise<T>): Promise<T> {
    return await this.#exclusive(async () => {
      if (this.#failure !== undefined) throw this.#failure;
      await this.#drain();
      return await work();
    });
  }

  /** The digest of all bytes, lower-case hex; once, while it concludes. */
  async digest(): Promise<string> {
    this.#streamOpen = false;
    return await this.#stream.finish();
  }

  /** Whatever is being done ends soon, with `why`; resolves once it has. Then `end` is to be called. */
  async stop(why: ApiError): Promise<void> {
    this.#stopped.abort(why);
    await this.#current.catch(() => undefined);
    await Promise.all([...this.#jobs, this.#before, this.#sync]);
  }

  /** False: it has ended already. */
  end(): boolean {
    if (this.#state === 'ended') return false;
    this.#state = 'ended';
    clearTimeout(this.#parkTimer);
    this.#filling?.slot?.release();
    this.#filling = undefined;
    if (this.#streamOpen) this.#stream.abort();
    this.#streamOpen = false;
    return true;
  }

  // ---- within ----------------------------------------------------------------------------------

  async #exclusive<T>(work: () => Promise<T>): Promise<T> {
    const { what } = this.#o;
    if (this.#state === 'busy') throw new Bug(`${what}: two calls at once`);
    if (this.#state === 'ended' || this.#stopped.signal.aborted) {
      throw new ApiError('BLOB_UPLOAD_UNKNOWN', `${what} has ended: begin a new one`);
    }
    this.#state = 'busy';
    clearTimeout(this.#parkTimer);
    const running = this.#before.then(work);
    this.#current = running;
    try {
      return await running;
    } finally {
      if (this.#state === 'busy') this.#state = 'open';
    }
  }

  #fail(error: unknown): void {
    const failure = asApiError(error, this.#o.what);
    if (!(failure instanceof ApiError)) throw error;
    this.#failure ??= failure;
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
    const { arena } = this.#o.io;
    const before = this.#filling;
    if (before?.slot !== undefined) return before as Unparked;
    const size = before?.size ?? (await this.#o.slotFor(this.#offset));
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
      this.#before = this.#park(filling as Unparked);
    }, parkAfterMs).unref();
  }

  /** Writes the slot's bytes where they belong, and lets it go. */
  async #park(filling: Unparked): Promise<void> {
    try {
      await this.#throughSlot(filling, (bytes, position) => this.#o.disk.write(this.fd, bytes, position));
    } catch (error) {
      this.#fail(error);
    }
    this.#filling = { slot: undefined, size: filling.size, filled: filling.filled };
    filling.slot.release();
  }

  async #unpark(filling: Unparked): Promise<void> {
    await this.#throughSlot(filling, async (bytes, position) => {
      const got = await this.#o.disk.read(this.fd, bytes, position);
      if (got < bytes.length) throw refusal(this.#o.what, 'SHORT');
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
    if (!this.#o.synced || this.#sync !== undefined || this.#offset < this.#syncFrom) return;
    this.#syncFrom = this.#offset + syncEveryBytes;
    this.#sync = this.#syncNow();
  }

  async #syncNow(): Promise<void> {
    try {
      await this.#o.disk.sync(this.fd);
    } catch (error) {
      this.#fail(error);
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
    let taken = false;
    try {
      const hashes = await this.#stream.append({ fd: this.fd, position, slot, length: filled });
      if (hashes instanceof IoFailure) this.#failure ??= refusal(this.#o.what, hashes.errno);
      // What came after bytes that are not there is nothing.
      else if (this.#failure === undefined) taken = this.#o.written(hashes, slot, position);
    } catch (error) {
      this.#fail(error);
    } finally {
      if (!taken) slot.release();
    }
  }

  /** The last, short slot, and whatever the worker still has. */
  async #drain(): Promise<void> {
    if (this.#filling !== undefined) await this.#send(await this.#slotToFill());
    await Promise.all([...this.#jobs.splice(0), this.#sync]);
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** A unit at a time: the next is read while this one is hashed. */
  async #readBack(bytes: number): Promise<void> {
    const { io, what } = this.#o;
    const running: Promise<unknown>[] = [];
    try {
      for (let position = 0; position < bytes; position += readBackBytes) {
        this.#stopped.signal.throwIfAborted();
        const size = Math.min(readBackBytes, bytes - position);
        const slot = await io.arena.acquire('reader', size, this.#stopped.signal);
        const read = this.#stream.appendStored({ fd: this.fd, position, slot }).finally(() => slot.release());
        running.push(read.then((verdict) => verdict instanceof IoFailure && this.#fail(refusal(what, verdict.errno))));
        if (running.length > 1) await running.shift();
        if (this.#failure !== undefined) break;
      }
    } catch (error) {
      this.#fail(error);
    }
    await Promise.all(running);
  }
}

/** Read back at a time. */
const readBackBytes = 256 * 1024;
