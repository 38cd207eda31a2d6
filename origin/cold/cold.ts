/**
 * Blobs that no origin holds and a backend has: whether, how large, and fetched for whoever asks.
 *
 * Rule 1: a digest's first owner that answers fetches it, once, however many ask (owner.ts); the others pass questions on.
 * Rule 2: whoever asks is answered within `coldAnswerMs`, so that no caller takes us for dead; what was begun goes on.
 * Rule 3: BLOB_UNKNOWN only where the backend said that it has no such object. One that does not answer is UNAVAILABLE, and so
 *         is one that has other bytes under the blob's name; the message names backend and object.
 * Rule 4: who asks for the size has nothing fetched.
 * Rule 5: at most `largeLane` and `smallLane` are fetched at a time, more wait, and beyond that they are refused. Manifests do
 *         not wait behind layers, and no backend behind another one that hangs, nor a blob behind those that hang (lane.ts).
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { ApiError } from '../../core/contracts/errors.ts';
import type { BlobInfo, GrowingInfo } from '../../core/contracts/origin.ts';
import type { BlobIn, Digest } from '../../core/digest.ts';
import { type Metainfo, pieceCount, pieceLengthFor, piecesMax } from '../../core/piece.ts';
import type { PeerAddress } from '../../core/wire/messages.ts';
import { BackendError, type BackendObject } from '../../platform/backends/backend.ts';
import { type Backed, type Backends, placeOf } from '../../platform/backends/backends.ts';
import { CallContext } from '../../platform/clients/context.ts';
import type { Clock } from '../../platform/net/clock.ts';
import type { ReadablePull } from '../../platform/reader/read.ts';
import type { GrowingEntry } from '../../platform/store/growing/entry.ts';
import type { BlobEntry, BlobStore } from '../../platform/store/store.ts';
import { causeOf } from './cause.ts';
import { Download, type DownloadOf, growthOf, type Pulled } from './download.ts';
import { FetchLane } from './lane.ts';
import { askOwner, type ColdQuestion, type Owners } from './owner.ts';
import { fetchRefusal, mendIt, refused } from './refusals.ts';
import { type AskedBackend, Remembered } from './remembered.ts';
import type { ColdWatch } from './watch.ts';

/** Well below the two seconds after which a caller takes an origin for dead. */
export const coldAnswerMs = 1_000;
/** A reader waits longer for the first byte; less than a proxy does, so that it is told to come back, not to give up. */
const readMs = 8_000;
/** How long a backend may take to say whether it has an object; who asks meanwhile is told to come back. */
const statMsMax = 10_000;
/** A question, passed on to one owner after the other and to the backend. */
const questionMsMax = 30_000;
/** Questions at a time, each of another blob; more are told to come back. */
const questionsMax = 1_024;
/** What is no larger arrives in the time of a few round trips: who asks waits for it, and gets it whole. */
export const waitedBytesMax = 1024 * 1024;
/** Four slots of memory each while it arrives, and a stream of the backend. */
export const largeLane = { runningMax: 16, waitingMax: 256 };
export const smallLane = { runningMax: 32, waitingMax: 1_024 };

export type ColdOptions = {
  readonly backends: Pick<Backends, 'of' | 'all'>;
  readonly owners: Owners;
  /** This origin's URL. */
  readonly self: string;
  readonly peer: PeerAddress;
  readonly store: Pick<BlobStore, 'growing' | 'beginUpload'>;
  /** The blob's own, where it is here whole. */
  readonly infoOf: (entry: BlobEntry) => Promise<BlobInfo>;
  /** It is being fetched here, and can be fed as it comes. */
  readonly onGrowing: (entry: GrowingEntry) => void;
  /** What peers bring of one that is being fetched. */
  readonly pull: (digest: Digest) => Pulled;
  /** It is here now, whole and verified. */
  readonly onFetched: (entry: BlobEntry, from: FetchedFrom) => void;
  /** Another origin receives it. */
  readonly onElsewhere?: (blob: BlobIn, from: PeerAddress) => void;
  readonly watch: ColdWatch;
  readonly clock: Pick<Clock, 'nowMs'>;
};

/** Which backend, and in which repository it was asked for there. */
export type FetchedFrom = { readonly backend: string; readonly repo: string | undefined };
export type Fetched = { readonly entry: BlobEntry; readonly coming: ReadablePull | undefined };
/** Where a blob is: told by another origin, in the backend, or on its way here. */
type Answer = BlobInfo | GrowingInfo | { readonly object: BackendObject } | Download;

export class ColdReads {
  readonly #options: ColdOptions;
  readonly #remembered: Remembered;
  readonly #asking = new Map<string, Promise<Answer>>();
  readonly #stats = new Map<string, Promise<BackendObject>>();
  readonly #downloads = new Map<Digest, Download>();
  readonly #large: FetchLane;
  readonly #small: FetchLane;
  readonly #closing = new AbortController();
  readonly #ends = new Set<Promise<void>>();

  constructor(options: ColdOptions) {
    this.#options = options;
    this.#remembered = new Remembered(options.clock);
    const names = options.backends.all.map(({ name }) => name);
    this.#large = new FetchLane(largeLane, names);
    this.#small = new FetchLane(smallLane, names);
  }

  get running(): number {
    return [this.#large, this.#small].reduce((sum, { running, aside }) => sum + running + aside, 0);
  }

  get waiting(): number {
    return this.#large.waiting + this.#small.waiting;
  }

  /** What is being fetched here now. */
  download(digest: Digest): Download | undefined {
    return this.#downloads.get(digest);
  }

  /**
   * What can be told of the blob now. Throws BLOB_UNKNOWN, UNAVAILABLE. Undefined: its repository has no backend.
   * `growing`: the caller takes one that grows.
   */
  async info(question: ColdQuestion, growing: boolean): Promise<BlobInfo | GrowingInfo | undefined> {
    const { blob } = question;
    const backed = this.#options.backends.of(blob.repo);
    if (backed === undefined) return undefined;
    const late = this.#late(coldAnswerMs);
    try {
      const answer = await Promise.race([this.#ask(question, backed), late.over]);
      if (answer === undefined) throw notYet(backed, blob);
      if (!(answer instanceof Download)) return this.#told(answer, { backed, blob, growing });
      return await this.#arriving(answer, growing, late.over);
    } finally {
      late.cancel();
    }
  }

  /**
   * The blob's entry, once bytes of it may come, and by what they do; or once it is whole. Throws BLOB_UNKNOWN where it is on
   * another origin, UNAVAILABLE where it comes there: its reader asks that one. Undefined: its repository has no backend.
   */
  async fetch(blob: BlobIn, ctx: CallContext): Promise<Fetched | undefined> {
    const backed = this.#options.backends.of(blob.repo);
    if (backed === undefined) return undefined;
    const late = this.#late(readMs);
    try {
      const answer = await Promise.race([this.#ask({ blob, hops: 0, cold: undefined }, backed), late.over]);
      ctx.signal.throwIfAborted();
      if (answer === undefined) throw notYet(backed, blob);
      if (answer instanceof Download) return await this.#fetched(answer, late.over);
      if ('meta' in answer) throw new ApiError('BLOB_UNKNOWN', `blob ${blob.digest} is on another origin`);
      throw new ApiError('UNAVAILABLE', `blob ${blob.digest} is being fetched by another origin: try again`);
    } finally {
      late.cancel();
    }
  }

  /**
   * It is here, and nobody asked for it: fetched as `slowly` allows, until somebody does. False: another origin has it, or its
   * repository has no backend. Rejects as `fetch` does.
   */
  async restore(blob: BlobIn, slowly: (bytes: number) => Promise<void>): Promise<boolean> {
    const backed = this.#options.backends.of(blob.repo);
    if (backed === undefined) return false;
    const running = this.#downloads.get(blob.digest);
    const answer = running ?? (await this.#ask({ blob, hops: 0, cold: 'stat' }, backed));
    if (!(answer instanceof Download) && !('object' in answer)) return false;
    const download =
      answer instanceof Download ? answer : this.#begin({ backed, ...blob, object: answer.object }, slowly);
    try {
      await download.whole;
    } catch (error) {
      throw fetchRefusal(download, error);
    }
    return true;
  }

  async #fetched(download: Download, late: Promise<undefined>): Promise<Fetched> {
    const readable = async (): Promise<Fetched> => {
      await download.begun;
      return download.entry === undefined
        ? { entry: await download.whole, coming: undefined }
        : { entry: download.entry, coming: download };
    };
    let found: Fetched | undefined;
    try {
      found = await Promise.race([readable(), late]);
    } catch (error) {
      throw fetchRefusal(download, error);
    }
    if (found === undefined) throw notYet(download.backed, download);
    return found;
  }

  /** A push brought it: what was said of it holds no more. */
  forget(digest: Digest): void {
    this.#remembered.forget(digest);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(new ApiError('UNAVAILABLE', 'this origin is shutting down'));
    await Promise.all([...this.#ends]);
  }

  // ---- whom to ask -----------------------------------------------------------------------------

  /** The same question is put once at a time, whoever asks. */
  #ask(question: ColdQuestion, backed: Backed): Promise<Answer> {
    const { blob, hops, cold = '' } = question;
    const running = this.#downloads.get(blob.digest);
    if (running?.backed === backed && running.key === backed.blobKey(blob.digest, blob.repo) && cold === '') {
      running.slowly = undefined;
      return Promise.resolve(running);
    }
    const key = `${placeOf(backed, blob.digest, blob.repo)} ${backed.name} ${cold} ${hops}`;
    const asking = this.#asking.get(key);
    if (asking !== undefined) return asking;
    if (this.#asking.size >= questionsMax) {
      return Promise.reject(refused(backed, 'UNAVAILABLE', `${questionsMax} blobs are asked of backends: try again`));
    }
    const asked = this.#answer(question, backed).finally(() => this.#asking.delete(key));
    asked.catch(() => undefined);
    this.#asking.set(key, asked);
    return asked;
  }

  async #answer(question: ColdQuestion, backed: Backed): Promise<Answer> {
    const { blob, cold } = question;
    const { owners, self } = this.#options;
    using ctx = CallContext.begin().within(questionMsMax);
    const told = await askOwner(owners, { self, backend: backed.name }, question, ctx);
    if (told !== undefined) {
      if ('growth' in told && cold !== 'stat') this.#options.onElsewhere?.(blob, told.peer);
      return told;
    }
    const object = await this.#stat(backed, blob);
    if (pieceCount({ length: object.size, pieceLength: pieceLengthFor(object.size) }) > piecesMax) {
      const text = `${backed.blobKey(blob.digest, blob.repo)} has ${object.size} bytes: more than a blob may have`;
      throw this.#damaged(backed, blob, text);
    }
    return cold === 'stat' ? { object } : this.#begin({ backed, ...blob, object });
  }

  async #stat(backed: Backed, blob: BlobIn): Promise<BackendObject> {
    const said = this.#remembered.get(askedOf(backed, blob));
    if (said?.kind === 'stored') return said.object;
    if (said !== undefined) throw said.error;
    const key = `${placeOf(backed, blob.digest, blob.repo)} ${backed.name}`;
    const running = this.#stats.get(key) ?? this.#statNow(backed, blob).finally(() => this.#stats.delete(key));
    this.#stats.set(key, running);
    return await running;
  }

  async #statNow(backed: Backed, { digest, repo }: BlobIn): Promise<BackendObject> {
    const key = backed.blobKey(digest, repo);
    const asked = askedOf(backed, { digest, repo });
    const late = AbortSignal.timeout(statMsMax);
    try {
      const object = await backed.backend.stat(key, AbortSignal.any([late, this.#closing.signal]));
      if (object !== undefined) {
        this.#remembered.set(asked, { kind: 'stored', object });
        return object;
      }
      const error = refused(
        backed,
        'BLOB_UNKNOWN',
        `no origin holds ${digest}, and backend ${backed.name} has no ${key}`,
      );
      this.#remembered.set(asked, { kind: 'missing', error });
      throw error;
    } catch (error) {
      if (error instanceof ApiError) throw error;
      const why = late.aborted
        ? new BackendError('stalled', `${backed.name}: no answer for ${key} within ${statMsMax / 1000} s`)
        : (error as Error);
      this.#options.watch.unanswered(backed.name, { key, digest, error: why });
      const text = `backend ${backed.name} does not say whether it has ${key} (${why.message}): try again`;
      const failed = refused(backed, 'UNAVAILABLE', text);
      this.#remembered.set(asked, { kind: 'failed', error: failed });
      throw failed;
    }
  }

  // ---- fetching --------------------------------------------------------------------------------

  /** `slowly`: nobody waits for it. */
  #begin(of: DownloadOf, slowly?: Download['slowly']): Download {
    const { backed, digest, object } = of;
    const running = this.#downloads.get(digest);
    if (running !== undefined) {
      if (slowly === undefined) running.slowly = undefined;
      return running;
    }
    this.#closing.signal.throwIfAborted();
    const { size } = object;
    const lane = size <= waitedBytesMax ? this.#small : this.#large;
    if (lane.full(backed.name)) {
      const text = `${lane.running} blobs are being fetched from backends, and ${lane.waiting} wait: try again`;
      throw refused(backed, 'UNAVAILABLE', text);
    }
    const { store, watch, onGrowing: grows, pull } = this.#options;
    const came = (bytes: number): void => watch.came(backed.name, bytes);
    const download = new Download(of, { store, signal: this.#closing.signal, came, grows, pull });
    download.slowly = slowly;
    this.#downloads.set(digest, download);
    const end = this.#run(download, lane).finally(() => {
      this.#downloads.delete(digest);
      this.#ends.delete(end);
    });
    this.#ends.add(end);
    return download;
  }

  async #run(download: Download, lane: FetchLane): Promise<void> {
    const { watch, clock, onFetched } = this.#options;
    const { backed, repo } = download;
    let begunMs = clock.nowMs();
    const at = () => ({ repo, ms: Math.round(clock.nowMs() - begunMs) });
    try {
      const fetching = async (): Promise<BlobEntry> => {
        begunMs = clock.nowMs();
        watch.begun(download);
        return await download.run();
      };
      const entry = await lane.run(backed.name, fetching, this.#closing.signal, () => download.received);
      onFetched(entry, { backend: backed.name, repo });
      watch.finished(download, at());
    } catch (error) {
      // It may not have had its turn.
      download.fail(error as Error);
      watch.failed(download, error as Error, at());
      const kind = causeOf(error) === 'mismatch' ? 'damaged' : 'failed';
      this.#remembered.set(askedOf(backed, download), { kind, error: fetchRefusal(download, error) });
    }
  }

  #damaged(backed: Backed, blob: BlobIn, what: string): ApiError {
    const error = refused(backed, 'UNAVAILABLE', `backend ${backed.name}: ${what}: ${mendIt}`, true);
    this.#remembered.set(askedOf(backed, blob), { kind: 'damaged', error });
    return error;
  }

  // ---- what is told ----------------------------------------------------------------------------

  async #arriving(download: Download, growing: boolean, late: Promise<undefined>): Promise<BlobInfo | GrowingInfo> {
    const { backed, digest, repo, size } = download;
    const waits = !growing || size <= waitedBytesMax;
    try {
      const entry = waits ? await Promise.race([download.whole, late]) : undefined;
      if (entry !== undefined) return await this.#options.infoOf(entry);
      // Whoever hears of it asks this origin for its pieces at once.
      if (growing) await Promise.race([download.begun, late]);
    } catch (error) {
      throw fetchRefusal(download, error);
    }
    if (!growing || size === 0 || download.entry === undefined) throw notYet(backed, { digest, repo });
    return { digest, growth: download.growth, peer: this.#options.peer };
  }

  #told(
    answer: BlobInfo | GrowingInfo | { readonly object: BackendObject },
    { backed, blob, growing }: { backed: Backed; blob: BlobIn; growing: boolean },
  ): BlobInfo | GrowingInfo {
    if ('meta' in answer) return answer;
    const told: GrowingInfo | BlobInfo = 'growth' in answer ? answer : this.#sized(blob.digest, answer.object.size);
    if ('growth' in told && !growing) throw notYet(backed, blob);
    return told;
  }

  #sized(digest: Digest, length: number): BlobInfo | GrowingInfo {
    const { peer } = this.#options;
    if (length > 0) return { digest, growth: growthOf(length), peer };
    const meta: Metainfo = { length, pieceLength: pieceLengthFor(length), root: growthOf(1).root };
    return { digest, meta, inline: '', peer };
  }

  #late(ms: number): { readonly over: Promise<undefined>; cancel(): void } {
    const stop = new AbortController();
    const over = sleep(ms, undefined, { signal: stop.signal }).catch(() => undefined) as Promise<undefined>;
    return { over, cancel: () => stop.abort() };
  }
}

function askedOf(backed: Backed, { digest, repo }: BlobIn): AskedBackend {
  return { backend: backed.name, digest, place: placeOf(backed, digest, repo) };
}

function notYet(backed: Backed, { digest, repo }: BlobIn): ApiError {
  const text = `blob ${digest} is being fetched from backend ${backed.name} (${backed.blobKey(digest, repo)}): try again`;
  return refused(backed, 'UNAVAILABLE', text);
}
