/**
 * Open uploads: who may write to which, and until when.
 *
 * Rule 1: bytes are taken at exactly the offset where the upload stands, from one writer at a time;
 *         anything else is told where it stands, and changes nothing.
 * Rule 2: a writer that is cut leaves the upload where its bytes end, to be continued from there.
 * Rule 3: a commit may be asked for again, while it runs and after it: the answer is the same.
 * Rule 4: the number of open uploads is limited, and one that nobody continues is removed. Where room is
 *         short, one that nobody writes to gives way at once (core/fair/admit.ts says whose).
 * Rule 5: manifests have room of their own: whatever is being uploaded, a tag can be set.
 */

import { ApiError } from '../core/contracts/errors.ts';
import { type Uploader, type UploadStatus, uploadIdPattern } from '../core/contracts/origin.ts';
import type { Digest, DigestAlgorithm } from '../core/digest.ts';
import { admit, type FairPlace } from '../core/fair/admit.ts';
import { manifestBytesMax } from '../core/oci/limits.ts';
import type { Time } from '../platform/net/clock.ts';
import type { BlobEntry } from '../platform/store/store.ts';
import type { Upload } from '../platform/store/upload.ts';
import { Interruption } from './interruption.ts';

/** Commits remembered, so that one whose answer was lost can be asked for again. */
export const committedMax = 4096;

/** Manifests that are being stored at once: a proxy has all of its bytes when it begins, so each takes a moment. */
export const manifestsMax = 64;
/** A writer that was silent for so long has lost its connection, or may as well: it gives way to one that goes on. */
export const silentWriterMs = 10_000;

/** What this file needs of an upload. */
type StoreUpload = Pick<Upload, 'offset' | 'append' | 'commit' | 'cancel'>;
/** What this file needs of the store. */
export type UploadStore = {
  /** As the store's: the blob, where it is here indeed. */
  whole(digest: Digest, proof: 'size'): Promise<BlobEntry | undefined>;
  beginUpload(id: string, algorithm: DigestAlgorithm): Promise<StoreUpload>;
};
export type UploadsOptions = {
  readonly store: UploadStore;
  readonly openMax: number;
  readonly idleMs: number;
  readonly clock: Time;
  /** This origin is being emptied: what was begun goes on, and nothing else begins. */
  readonly leaving?: (() => boolean) | undefined;
};

type Writing = {
  readonly kind: 'writing';
  readonly interruption: Interruption;
  readonly stopped: Promise<void>;
  /** The client is waited for, not the disk. */
  waiting: boolean;
};
type State =
  | { readonly kind: 'idle' }
  | Writing
  | { readonly kind: 'committing'; readonly digest: Digest; readonly done: Promise<BlobEntry> };
type Open = { readonly upload: StoreUpload; readonly by: Uploader; state: State; usedMs: number };
/** The store makes room for it. */
type Beginning = { readonly by: Uploader; readonly usedMs: number };

const nobody: Uploader = { client: '', kind: 'blob' };

export class Uploads {
  readonly #options: UploadsOptions;
  readonly #open = new Map<string, Open | Beginning>();
  /** In order of commit; the oldest is forgotten first. */
  readonly #committed = new Map<string, Digest>();

  constructor(options: UploadsOptions) {
    this.#options = options;
  }

  get count(): number {
    return this.#open.size;
  }

  /** Begins the upload, or tells where it stands if it is open. TOOMANYREQUESTS where nothing can give way to it. */
  async begin(
    id: string,
    algorithm: DigestAlgorithm,
    by: Uploader = nobody,
  ): Promise<{ status: UploadStatus; begun: boolean }> {
    if (!uploadIdPattern.test(id)) {
      throw new ApiError('BLOB_UPLOAD_INVALID', 'an upload id has 16 to 64 lower-case letters, digits and dashes');
    }
    if (this.#open.has(id)) return { status: this.status(id), begun: false };
    if (this.#options.leaving?.() === true)
      throw new ApiError('UNAVAILABLE', 'this origin is being drained and takes no uploads: begin at another one');
    const leaving = this.#makeRoom(by);
    this.#open.set(id, { by, usedMs: this.#options.clock.nowMs() });
    try {
      await leaving;
      const upload = await this.#options.store.beginUpload(id, algorithm);
      this.#open.set(id, { upload, by, state: { kind: 'idle' }, usedMs: this.#options.clock.nowMs() });
    } catch (error) {
      this.#open.delete(id);
      throw error;
    }
    return { status: this.status(id), begun: true };
  }

  /** Where the upload stands; BLOB_UPLOAD_UNKNOWN. */
  status(id: string): UploadStatus {
    return statusOf(id, this.#find(id));
  }

  /** Appends `body` at `offset`. BLOB_UPLOAD_RANGE with the status in `detail` where that is not the place, or another writes. */
  async append(id: string, offset: number, body: AsyncIterable<Uint8Array>): Promise<UploadStatus> {
    const open = this.#find(id);
    const status = statusOf(id, open);
    if (this.#silent(open)) {
      const text = `upload ${id}: another request goes on with it`;
      await this.#stop(open, new ApiError('BLOB_UPLOAD_RANGE', text, status));
      return await this.append(id, offset, body);
    }
    if (open.state.kind !== 'idle') {
      throw new ApiError(
        'BLOB_UPLOAD_RANGE',
        `upload ${id} is being written by another request: ask where it stands`,
        status,
      );
    }
    if (offset !== open.upload.offset) {
      throw new ApiError('BLOB_UPLOAD_RANGE', `upload ${id} stands at ${open.upload.offset}, not at ${offset}`, status);
    }
    const interruption = new Interruption();
    const ended = Promise.withResolvers<void>();
    const writing: Writing = { kind: 'writing', interruption, stopped: ended.promise, waiting: true };
    open.state = writing;
    open.usedMs = this.#options.clock.nowMs();
    try {
      for await (const chunk of interruption.until(body)) {
        writing.waiting = false;
        await this.#write(id, open, chunk);
        writing.waiting = true;
        open.usedMs = this.#options.clock.nowMs();
      }
    } finally {
      open.state = { kind: 'idle' };
      open.usedMs = this.#options.clock.nowMs();
      ended.resolve();
    }
    return statusOf(id, open);
  }

  /** A failure of the disk leaves nothing to be continued. */
  async #write(id: string, open: Open, chunk: Uint8Array): Promise<void> {
    if (open.by.kind === 'manifest' && open.upload.offset + chunk.length > manifestBytesMax) {
      await this.#drop(id, open);
      throw new ApiError('SIZE_INVALID', `a manifest has at most ${manifestBytesMax} bytes`);
    }
    try {
      await open.upload.append(chunk);
    } catch (error) {
      await this.#drop(id, open);
      throw error;
    }
  }

  /** Verifies and commits; resolves once the blob is synced. DIGEST_INVALID keeps nothing. */
  async commit(id: string, digest: Digest): Promise<BlobEntry> {
    const before = this.#committed.get(id);
    const entry = before === digest ? await this.#options.store.whole(digest, 'size') : undefined;
    if (entry !== undefined) return entry;
    const open = this.#find(id);
    const { state } = open;
    if (state.kind === 'committing' && state.digest === digest) return await state.done;
    if (state.kind !== 'idle') {
      throw new ApiError(
        'BLOB_UPLOAD_RANGE',
        `upload ${id} is still being written: finish that first`,
        statusOf(id, open),
      );
    }
    const done = this.#commit(id, open, digest);
    open.state = { kind: 'committing', digest, done };
    return await done;
  }

  async #commit(id: string, open: Open, digest: Digest): Promise<BlobEntry> {
    try {
      const entry = await open.upload.commit(digest);
      this.#committed.set(id, digest);
      for (const oldest of this.#committed.keys()) {
        if (this.#committed.size <= committedMax) break;
        this.#committed.delete(oldest);
      }
      return entry;
    } finally {
      // Whether it was good or not, the store has ended it.
      this.#open.delete(id);
    }
  }

  /** Removes the upload; one that is being written ends with its writer. */
  async cancel(id: string): Promise<void> {
    const open = this.#find(id);
    if (open.state.kind === 'committing') {
      throw new ApiError('BLOB_UPLOAD_INVALID', `upload ${id} is being committed: it can no longer be cancelled`);
    }
    await this.#drop(id, open);
  }

  /** Removes what has been idle for too long; called now and then. Answers their ids. */
  async sweep(): Promise<string[]> {
    const before = this.#options.clock.nowMs() - this.#options.idleMs;
    const idle = this.#all().filter(([, open]) => open.state.kind === 'idle' && open.usedMs <= before);
    for (const [id, open] of idle) await this.#drop(id, open);
    return idle.map(([id]) => id);
  }

  /** Before it returns, the place is free; what it resolves with is only that the store has it back. TOOMANYREQUESTS. */
  #makeRoom(by: Uploader): Promise<void> {
    const limit = by.kind === 'manifest' ? manifestsMax : this.#options.openMax;
    const places: FairPlace<string>[] = [];
    for (const [id, open] of this.#open) {
      if (open.by.kind !== by.kind) continue;
      places.push({ item: id, client: open.by.client, usedMs: open.usedMs, idle: this.#givesWay(open) });
    }
    const admitted = admit(places, by.client, limit);
    if (admitted.kind === 'room') return Promise.resolve();
    if (admitted.kind === 'instead') return this.#giveWay(admitted.item);
    throw new ApiError('TOOMANYREQUESTS', `${places.length} uploads are being written to this origin: try again later`);
  }

  #givesWay(open: Open | Beginning): boolean {
    return 'state' in open && (open.state.kind === 'idle' || this.#silent(open));
  }

  #silent(open: Open): boolean {
    const { state, usedMs } = open;
    return state.kind === 'writing' && state.waiting && usedMs <= this.#options.clock.nowMs() - silentWriterMs;
  }

  async #giveWay(id: string): Promise<void> {
    const open = this.#find(id);
    this.#open.delete(id);
    const text = `upload ${id} gave way to another, since nothing was sent to it: begin a new one`;
    await this.#stop(open, new ApiError('BLOB_UPLOAD_UNKNOWN', text));
    await open.upload.cancel();
  }

  /** Ends the writer, if there is one; the upload stands where its bytes end. */
  async #stop({ state }: Open, why: ApiError): Promise<void> {
    if (state.kind !== 'writing') return;
    state.interruption.stop(why);
    await state.stopped;
  }

  #all(): [string, Open][] {
    return [...this.#open].filter((one): one is [string, Open] => 'state' in one[1]);
  }

  async #drop(id: string, open: Open): Promise<void> {
    if (this.#open.get(id) !== open) return;
    this.#open.delete(id);
    await open.upload.cancel();
  }

  #find(id: string): Open {
    const open = this.#open.get(id);
    if (open === undefined || !('state' in open)) {
      throw new ApiError(
        'BLOB_UPLOAD_UNKNOWN',
        `there is no upload ${id.slice(0, 64)} on this origin: begin a new one`,
      );
    }
    return open;
  }
}

function statusOf(id: string, open: Open): UploadStatus {
  return { id, offset: open.upload.offset };
}
