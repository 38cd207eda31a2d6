/**
 * Open uploads: who may write to which, and until when.
 *
 * Rule 1: bytes are taken at exactly the offset where the upload stands, from one writer at a time;
 *         anything else is told where it stands, and changes nothing.
 * Rule 2: a writer that is cut leaves the upload where its bytes end, to be continued from there.
 * Rule 3: a commit may be asked for again, while it runs and after it: the answer is the same.
 * Rule 4: the number of open uploads is limited, and one that nobody continues is removed; at the limit
 *         the one that was left alone for longest gives way.
 */

import { ApiError } from '../core/contracts/errors.ts';
import { type UploadStatus, uploadIdPattern } from '../core/contracts/origin.ts';
import type { Digest, DigestAlgorithm } from '../core/digest.ts';
import type { BlobEntry } from '../platform/store/store.ts';
import type { Upload } from '../platform/store/upload.ts';

/** Commits remembered, so that one whose answer was lost can be asked for again. */
export const committedMax = 4096;

/** At the limit, an upload that nothing was sent to for so long gives way to a new one: twice what a retry waits. */
export const givesWayAfterMs = 60_000;

/** What this file needs of the store. */
export type UploadStore = {
  get(digest: Digest): BlobEntry | undefined;
  beginUpload(id: string, algorithm: DigestAlgorithm): Promise<Upload>;
};
export type UploadsOptions = {
  readonly store: UploadStore;
  readonly openMax: number;
  readonly idleMs: number;
  readonly nowMs: () => number;
};

type State =
  | { readonly kind: 'idle' }
  | { readonly kind: 'writing' }
  | { readonly kind: 'committing'; readonly digest: Digest; readonly done: Promise<BlobEntry> };
type Open = { readonly upload: Upload; state: State; usedMs: number };

export class Uploads {
  readonly #options: UploadsOptions;
  /** undefined while the store makes room for it. */
  readonly #open = new Map<string, Open | undefined>();
  /** In order of commit; the oldest is forgotten first. */
  readonly #committed = new Map<string, Digest>();

  constructor(options: UploadsOptions) {
    this.#options = options;
  }

  get count(): number {
    return this.#open.size;
  }

  /** Begins the upload, or tells where it stands if it is open. TOOMANYREQUESTS at the limit. */
  async begin(id: string, algorithm: DigestAlgorithm): Promise<{ status: UploadStatus; begun: boolean }> {
    if (!uploadIdPattern.test(id)) {
      throw new ApiError('BLOB_UPLOAD_INVALID', 'an upload id has 16 to 64 lower-case letters, digits and dashes');
    }
    if (this.#open.has(id)) return { status: this.status(id), begun: false };
    if (this.#open.size >= this.#options.openMax && !(await this.#makeRoom())) {
      throw new ApiError(
        'TOOMANYREQUESTS',
        `${this.#options.openMax} uploads are open on this origin: try again later`,
      );
    }
    this.#open.set(id, undefined);
    try {
      const upload = await this.#options.store.beginUpload(id, algorithm);
      this.#open.set(id, { upload, state: { kind: 'idle' }, usedMs: this.#options.nowMs() });
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
    open.state = { kind: 'writing' };
    try {
      for await (const chunk of body) {
        await this.#write(id, open, chunk);
        open.usedMs = this.#options.nowMs();
      }
    } finally {
      open.state = { kind: 'idle' };
      open.usedMs = this.#options.nowMs();
    }
    return statusOf(id, open);
  }

  /** A failure of the disk leaves nothing to be continued. */
  async #write(id: string, open: Open, chunk: Uint8Array): Promise<void> {
    try {
      await open.upload.append(chunk);
    } catch (error) {
      await this.#drop(id, open);
      throw error;
    }
  }

  /** Verifies and commits; resolves once the blob is durable. DIGEST_INVALID keeps nothing. */
  async commit(id: string, digest: Digest): Promise<BlobEntry> {
    const before = this.#committed.get(id);
    const entry = before === digest ? this.#options.store.get(digest) : undefined;
    if (entry?.complete === true) return entry;
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
    const before = this.#options.nowMs() - this.#options.idleMs;
    const idle = [...this.#open].filter(([, open]) => open?.state.kind === 'idle' && open.usedMs <= before);
    for (const [id, open] of idle) await this.#drop(id, open as Open);
    return idle.map(([id]) => id);
  }

  /** Clients that only begin must not keep everybody from pushing until the next sweep. */
  async #makeRoom(): Promise<boolean> {
    const before = this.#options.nowMs() - givesWayAfterMs;
    let longest: [string, Open] | undefined;
    for (const [id, open] of this.#open) {
      if (open?.state.kind !== 'idle' || open.usedMs > before) continue;
      if (longest === undefined || open.usedMs < longest[1].usedMs) longest = [id, open];
    }
    if (longest === undefined) return false;
    await this.#drop(...longest);
    return this.#open.size < this.#options.openMax;
  }

  async #drop(id: string, open: Open): Promise<void> {
    if (this.#open.get(id) !== open) return;
    this.#open.delete(id);
    await open.upload.cancel();
  }

  #find(id: string): Open {
    const open = this.#open.get(id);
    if (open === undefined) {
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
