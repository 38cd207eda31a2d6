/**
 * One blob on its way from a backend to this origin's disk, and whoever waits for it.
 *
 * Rule 1: the bytes are the digest's, or nothing is kept.
 * Rule 2: a stream that breaks off goes on by range where it stood, `resumesMax` times, and `vainMax` times in a row without
 *         a byte, or for `awayMsMax` where some of it is here: what came and who reads it are not lost by a restart there.
 *         (The backend's own wrappers have tried by then; this is for what they leave.)
 * Rule 3: an object that was written anew meanwhile is gone on with, if it is as long: whoever writes a blob again writes the
 *         same bytes, and the digest tells.
 * Rule 4: whoever waits for a piece is told when it is here, or when the download has failed.
 * Rule 5: where a peer that has all of it told the list meanwhile, what is still missing comes from peers, and is waited for.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { ApiError } from '../../core/contracts/errors.ts';
import type { BlobIn, Digest } from '../../core/digest.ts';
import { type Growth, pieceLengthFor } from '../../core/piece.ts';
import { backoffMs } from '../../core/retry/retry.ts';
import { type BackendCause, BackendError, type BackendObject } from '../../platform/backends/backend.ts';
import type { Backed } from '../../platform/backends/backends.ts';
import type { ReadablePull } from '../../platform/reader/read.ts';
import type { GrowingEntry } from '../../platform/store/growing/entry.ts';
import type { BlobEntry, BlobStore } from '../../platform/store/store.ts';
import { blake3Hex } from '../../platform/workers/hash.ts';
import { fetchRefusal } from './refusals.ts';
import { type ColdSink, openColdSink } from './sink.ts';

/** Of one download: a connection that is cut ten times on the way is bad, and the blob may be terabytes. */
export const resumesMax = 32;
/** In a row, without a byte. */
export const vainMax = 4;
/** A server that is started anew, or a network that changes its ways, is back within it. */
const awayMsMax = 30_000;
const again = { delayMs: 100, delayMsMax: 2_000 };
/** Of another version of the object. */
const changesMax = 2;
/** A backend that wants to be left alone for longer is: who reads does not wait so long, and others wait for the place. */
const quietMsMax = 30_000;
/** What another attempt may change. */
const passing: ReadonlySet<BackendCause> = new Set(['throttled', 'unavailable', 'stalled', 'damaged', 'credentials']);

const noHashes = blake3Hex(new Uint8Array());

export type DownloadOf = BlobIn & { readonly backed: Backed; readonly object: BackendObject };
export type DownloadHost = {
  readonly store: Pick<BlobStore, 'growing' | 'beginUpload'>;
  readonly signal: AbortSignal;
  readonly came: (bytes: number) => void;
  /** Bytes of it may come now, and be read. */
  readonly grows: (entry: GrowingEntry) => void;
  /** What peers bring of it. */
  readonly pull: (digest: Digest) => Pulled;
};
/** As a node pulls it. */
export type Pulled = Pick<ReadablePull, 'waitFor'> & { readonly complete: Promise<unknown> };
type Waiter = { readonly piece: number; settle(error?: Error): void };

export class Download implements ReadablePull {
  readonly backed: Backed;
  readonly digest: Digest;
  /** That it is fetched for. */
  readonly repo: string | undefined;
  /** Times that the stream was taken up again. */
  resumes = 0;
  /** Bytes that came from the backend. */
  received = 0;
  /** Where nobody waits for it: resolves when so many more bytes may come. */
  slowly: ((bytes: number) => Promise<void>) | undefined;
  readonly #host: DownloadHost;
  readonly #whole = Promise.withResolvers<BlobEntry>();
  readonly #waiters = new Set<Waiter>();
  #object: BackendObject;
  #sink: ColdSink | undefined;
  readonly #begun = Promise.withResolvers<void>();
  /** What whoever waits for a piece is told from now on. */
  #over: Error | undefined;
  #pulled: Pulled | undefined;

  constructor(of: DownloadOf, host: DownloadHost) {
    this.backed = of.backed;
    this.digest = of.digest;
    this.repo = of.repo;
    this.#object = of.object;
    this.#host = host;
    this.#whole.promise.catch(() => undefined);
    this.#begun.promise.catch(() => undefined);
  }

  /** Bytes of the blob. */
  get size(): number {
    return this.#object.size;
  }

  get key(): string {
    return this.backed.blobKey(this.digest, this.repo);
  }

  /** The blob, once it is here whole. */
  get whole(): Promise<BlobEntry> {
    return this.#whole.promise;
  }

  /** What can be read of it by now; its pieces are waited for here. Undefined: nothing before it is whole. */
  get entry(): GrowingEntry | undefined {
    return this.#sink?.entry;
  }

  /** Resolves once bytes may come: `entry` is final. Rejects where that has failed. */
  get begun(): Promise<void> {
    return this.#begun.promise;
  }

  /** Of a blob with bytes: what is known of its list. */
  get growth(): Growth {
    return this.entry?.growth ?? growthOf(this.size);
  }

  /** Once. Rejects with BackendError, with ApiError, or with the signal's reason. */
  async run(): Promise<BlobEntry> {
    try {
      const sink = await openColdSink(this.#host.store, this.digest, this.size);
      this.#sink = sink;
      if (sink.entry !== undefined) this.#host.grows(sink.entry);
      this.#begun.resolve();
      const entry = await this.#receive(sink);
      if (!entry.complete) await this.#rest();
      this.#over = new ApiError('UNAVAILABLE', `a piece of ${this.digest} was lost on the disk: ask again`);
      this.#settle(undefined);
      this.#whole.resolve(entry);
      return entry;
    } catch (error) {
      this.fail(error as Error);
      throw error;
    }
  }

  /** It ends so; again is harmless. */
  fail(error: Error): void {
    this.#over ??= fetchRefusal(this, error);
    this.#settle(this.#over);
    this.#begun.reject(error);
    this.#whole.reject(error);
  }

  async waitFor(piece: number, signal?: AbortSignal): Promise<void> {
    if (this.entry?.has(piece) === true) return;
    if (this.#over !== undefined) throw this.#over;
    if (this.#pulled !== undefined) return await this.#pulled.waitFor(piece, signal);
    signal?.throwIfAborted();
    await new Promise<void>((resolve, reject) => {
      const givenUp = (): void => waiter.settle(signal?.reason);
      const waiter: Waiter = {
        piece,
        settle: (error) => {
          this.#waiters.delete(waiter);
          signal?.removeEventListener('abort', givenUp);
          if (error === undefined) resolve();
          else reject(error);
        },
      };
      this.#waiters.add(waiter);
      signal?.addEventListener('abort', givenUp, { once: true });
    });
  }

  async settled(): Promise<void> {
    await this.whole;
  }

  /** Bytes come in their order, whoever reads where. */
  reader(): { move(): void; close(): void } {
    return { move: () => undefined, close: () => undefined };
  }

  async #receive(sink: ColdSink): Promise<BlobEntry> {
    try {
      let changes = 0;
      let vain = 0;
      let cameAtMs = performance.now();
      while (sink.needed && sink.offset < this.size) {
        const before = sink.offset;
        const failure = await this.#stream(sink);
        if (failure === undefined) break;
        vain = sink.offset > before ? 0 : vain + 1;
        if (vain === 0) cameAtMs = performance.now();
        const waited = sink.offset > 0 && failure.why === 'unavailable' && performance.now() - cameAtMs <= awayMsMax;
        if (failure.why === 'changed' && ++changes <= changesMax) await this.#lookAgain(failure);
        else if (!passing.has(failure.why) || ++this.resumes > resumesMax || (vain > vainMax && !waited)) throw failure;
        if ((failure.afterMs ?? 0) > quietMsMax) throw failure;
        const waitMs = Math.max(failure.afterMs ?? 0, Math.random() * backoffMs(again, vain + 1));
        await sleep(waitMs, undefined, { signal: this.#host.signal });
        // What was with the workers when it broke off.
        this.#wake();
      }
      return await sink.finish();
    } catch (error) {
      await sink.abort();
      throw error;
    }
  }

  /** Until it ends; why it did so too early. */
  async #stream(sink: ColdSink): Promise<BackendError | undefined> {
    const { backed, key, size } = this;
    const { signal, came } = this.#host;
    try {
      const range = { start: sink.offset, end: size, version: this.#object.version };
      for await (const chunk of backed.backend.read(key, range, signal)) {
        if (chunk.length > size - sink.offset)
          throw new BackendError('damaged', `${backed.name}: more came of ${key} than the ${size} bytes that it has`);
        await sink.append(chunk);
        this.received += chunk.length;
        came(chunk.length);
        this.#wake();
        await this.slowly?.(chunk.length);
        if (!sink.needed) return undefined;
      }
      if (sink.offset >= size) return undefined;
      return new BackendError('damaged', `${backed.name}: ${key} broke off after ${sink.offset} of ${size} bytes`);
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof BackendError) return error;
      throw error;
    }
  }

  async #lookAgain(changed: BackendError): Promise<void> {
    const object = await this.backed.backend.stat(this.key, this.#host.signal);
    if (object?.size !== this.size) throw changed;
    this.#object = object;
  }

  async #rest(): Promise<void> {
    const pulled = this.#host.pull(this.digest);
    this.#pulled = pulled;
    for (const waiter of [...this.#waiters]) pulled.waitFor(waiter.piece).then(() => waiter.settle(), waiter.settle);
    await pulled.complete;
  }

  #wake(): void {
    for (const waiter of [...this.#waiters]) if (this.entry?.has(waiter.piece)) waiter.settle();
  }

  #settle(error: Error | undefined): void {
    for (const waiter of [...this.#waiters]) waiter.settle(error);
  }
}

/** Nothing of the list is known yet. `length` > 0. */
export function growthOf(length: number): Growth {
  return { length, pieceLength: pieceLengthFor(length), known: 0, root: noHashes };
}
