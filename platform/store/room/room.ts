/**
 * The byte budget: what is used, what may go when more is wanted.
 *
 * Rule 1: room is reserved whole when a blob is created, so that it cannot run out half way.
 * Rule 2: complete blobs nobody uses go first, least recently used first; then partial ones nobody
 *   uses. What is pinned never goes. Where the store keeps, nothing complete goes but what nobody needs any
 *   more, by the word of who knows (let-go.ts). Nothing goes in vain. Where nothing can go and a blob is damaged, the push
 *   that mends it finds room beyond the budget.
 * Rule 3: the choice and the accounting are one synchronous step; only the unlinking takes time.
 */

import { ApiError } from '../../../core/contracts/errors.ts';
import type { Digest } from '../../../core/digest.ts';
import { hashBytes, unitBytes } from '../../../core/piece.ts';
import { bytesOnDisk } from '../layout.ts';
import type { BlobEntry } from '../pieces/entry.ts';
import { type AskUnneeded, LetGo } from './let-go.ts';
import { type StoredBlob, storedBlob } from './stored-blob.ts';

/** Left free on the disk for what is small: have bits, logs, other programs. */
export const spareBytes = 16 * 1024 * 1024;

/** A blob of one piece and its hash list, at most. */
const smallBytesMax = unitBytes + hashBytes;
/** Small blobs in use at the same time that a full budget does not hold up: manifests and configs of a thousand pulls. */
export const smallBeyondBytesMax = 16 * 1024 * 1024;

/** Of `shrink` at a time. */
const shrinkBytesMax = 1024 * 1024 * 1024;
const noIndex = 'nothing goes by itself, since no index is configured here to say what may';

export type RoomOptions = {
  readonly dir: string;
  readonly budgetBytes: number;
  readonly keeps: boolean;
  /** Bytes that can still be written to the disk. */
  readonly freeBytes: () => Promise<number>;
  /** Removes the blob; called for what `Room` has already given up. */
  readonly evict: (entry: BlobEntry) => Promise<void>;
  /** Of a store that keeps: who knows what nobody needs. Absent: nothing complete goes. */
  readonly askUnneeded?: AskUnneeded | undefined;
  /** By that word it is about to go: who mends it lets go of it. */
  readonly onUnneeded: (entry: BlobEntry) => void;
  readonly nowMs: () => number;
};

export class Room {
  /** In order of use: the first was used longest ago. */
  readonly #entries = new Map<Digest, BlobEntry>();
  readonly #partial = new Set<BlobEntry>();
  readonly #o: RoomOptions;
  readonly #letGo: LetGo | undefined;
  #used = 0;
  /** Of that, for blobs that are just being created. */
  #reserved = 0;

  constructor(o: RoomOptions) {
    this.#o = o;
    if (o.askUnneeded === undefined) return;
    // Of a damaged one, whoever mends it has a pin, for as long as nobody has what is lacking: that keeps nothing here.
    const mayGo = (entry: BlobEntry): boolean => !entry.file.partial && !(entry.complete && entry.pinned);
    this.#letGo = new LetGo({
      ask: o.askUnneeded,
      nowMs: o.nowMs,
      candidates: () => this.all().filter(mayGo),
      release: (entry) => {
        if (this.get(entry.digest) !== entry || !mayGo(entry)) return false;
        o.onUnneeded(entry);
        return !entry.pinned;
      },
      evict: (entry) => this.#evict(entry),
    });
  }

  /** It was pushed, or somebody relies on it: what was asked about it before does not count. */
  claim(digest: Digest): void {
    this.#letGo?.claim(digest);
    const entry = this.get(digest);
    if (entry !== undefined) this.touch(entry);
  }

  get usedBytes(): number {
    return this.#used;
  }

  get count(): number {
    return this.#entries.size;
  }

  get(digest: Digest): BlobEntry | undefined {
    return this.#entries.get(digest);
  }

  get completeCount(): number {
    return this.#entries.size - this.#partial.size;
  }

  /** As the store's `blobs`. */
  *blobs(): Generator<StoredBlob, undefined> {
    for (const entry of this.all()) if (this.#entries.get(entry.digest) === entry) yield storedBlob(entry);
    return undefined;
  }

  /** Least recently used first. */
  *inOrder(): Generator<Digest, undefined> {
    yield* this.#entries.keys();
    return undefined;
  }

  /** Least recently used first; a copy. */
  all(): BlobEntry[] {
    return [...this.#entries.values()];
  }

  /** Reserves `bytes`, evicting what it takes. Settle it with `add` or `release`. ApiError STORAGE_FULL. */
  async reserve(bytes: number): Promise<void> {
    const { budgetBytes, dir } = this.#o;
    const gone: Promise<void>[] = [];
    // Nothing is evicted in vain; what is small is let in beyond the budget, and evicted again first of all that can be.
    while (this.possible(bytes) < bytes && !this.#isSmall(bytes)) {
      if (bytes <= budgetBytes && (await this.#ask(bytes - this.possible(bytes)))) continue;
      if (this.#mayMend(bytes)) break;
      throw new ApiError(
        'STORAGE_FULL',
        `${bytes} bytes do not fit in the budget of ${budgetBytes} bytes of ${dir} (${this.#used} are in use and cannot be evicted): raise the budget, or remove blobs${this.#why()}`,
      );
    }
    const enough = this.possible(bytes) === bytes || this.#mayMend(bytes);
    while (this.#used + bytes > budgetBytes) {
      const victim = this.#victim();
      if (victim === undefined) break;
      gone.push(this.#evict(victim));
    }
    this.#used += bytes;
    this.#reserved += bytes;
    try {
      await Promise.all(gone);
      if (enough) await this.#freeDisk(bytes);
    } catch (error) {
      this.release(bytes);
      throw error;
    }
  }

  /**
   * Beside a damaged blob there must be room for the push that mends it, which then frees as much: else a full origin
   * would never be whole again. Beyond the budget there is so no more than the largest of them.
   */
  #mayMend(bytes: number): boolean {
    let largest = 0;
    for (const { file, meta } of this.#partial) if (!file.partial) largest = Math.max(largest, bytesOnDisk(meta));
    return this.#o.keeps && this.#used + bytes <= this.#o.budgetBytes + largest && largest > 0;
  }

  /** How many of `bytes` could be reserved now. */
  possible(bytes: number): number {
    let room = this.#o.budgetBytes - this.#used;
    if (room >= bytes) return bytes;
    for (const entry of this.#victims()) {
      room += bytesOnDisk(entry.meta);
      if (room >= bytes) return bytes;
    }
    return Math.max(0, room);
  }

  /** Gives a reservation back. */
  release(bytes: number): void {
    this.#used -= bytes;
    this.#reserved -= bytes;
  }

  /** Turns a reservation into a blob, used now. */
  add(entry: BlobEntry): void {
    this.#reserved -= bytesOnDisk(entry.meta);
    this.#entries.set(entry.digest, entry);
    this.changed(entry);
  }

  /** A reservation for a blob that was counted already, and is complete now. */
  keep(entry: BlobEntry): void {
    this.release(bytesOnDisk(entry.meta));
    this.changed(entry);
  }

  /** A blob found at start: counted without a reservation. */
  found(entry: BlobEntry): void {
    this.#used += bytesOnDisk(entry.meta);
    this.#entries.set(entry.digest, entry);
    this.changed(entry);
  }

  /** It became complete, or partial again. */
  changed(entry: BlobEntry): void {
    if (this.#entries.get(entry.digest) !== entry || entry.complete) this.#partial.delete(entry);
    else this.#partial.add(entry);
  }

  /** No longer counted. False: it was not. */
  remove(entry: BlobEntry): boolean {
    if (this.#entries.get(entry.digest) !== entry) return false;
    this.#entries.delete(entry.digest);
    this.#partial.delete(entry);
    this.#used -= bytesOnDisk(entry.meta);
    return true;
  }

  touch(entry: BlobEntry): void {
    if (this.#entries.get(entry.digest) !== entry) return;
    this.#entries.delete(entry.digest);
    this.#entries.set(entry.digest, entry);
  }

  /** The disk said that it is full: evicts at least `bytes`, if it can. False: nothing could go. */
  async evictBytes(bytes: number): Promise<boolean> {
    let freed = 0;
    while (freed < bytes) {
      const victim = this.#victim();
      if (victim === undefined) break;
      freed += bytesOnDisk(victim.meta);
      await this.#evict(victim);
    }
    return freed > 0 || (await this.#ask(bytes));
  }

  /** Of `digests`, removes what may go: what can be fetched again, or nobody needs. Why others stayed. */
  async letGo(digests: readonly Digest[]): Promise<string> {
    const asked = new Set(digests);
    for (const entry of [...this.#victims()]) if (asked.has(entry.digest)) await this.#evict(entry);
    return (await this.#letGo?.those(digests)) ?? (this.#o.keeps ? noIndex : 'they are in use');
  }

  /** Evicts until at most `bytes` are used, or so much has gone that it is time to answer. Why no more can go. */
  async shrink(bytes: number): Promise<string | undefined> {
    const surplus = Math.min(this.#used - bytes, shrinkBytesMax);
    if (surplus <= 0 || (await this.evictBytes(surplus))) return undefined;
    return this.#letGo?.why ?? (this.#o.keeps ? noIndex : 'what is left is in use');
  }

  /** The disk may be smaller than the budget: what is promised to partial blobs is as good as written. */
  async #freeDisk(bytes: number): Promise<void> {
    for (;;) {
      const free = await this.#o.freeBytes();
      if (free - this.#promised() >= spareBytes) return;
      const victim = this.#victim();
      if (victim !== undefined) await this.#evict(victim);
      else if (!(await this.#ask(bytes))) {
        throw new ApiError(
          'STORAGE_FULL',
          `the disk of ${this.#o.dir} has ${free} bytes free, too few for ${bytes} more: free space on it, or lower the budget${this.#why()}`,
        );
      }
    }
  }

  /** Whether whoever knows let something go. */
  async #ask(bytes: number): Promise<boolean> {
    return (await this.#letGo?.make(bytes)) ?? false;
  }

  /** Why nothing complete of a store that keeps went. */
  #why(): string {
    if (!this.#o.keeps) return '';
    if (this.#letGo === undefined) return `; ${noIndex}`;
    return this.#letGo.why === '' ? '' : `; nothing could go by itself: ${this.#letGo.why}`;
  }

  /** Where blobs can be fetched again, one of a single piece is not worth a way of its own. */
  #isSmall(bytes: number): boolean {
    const { budgetBytes, keeps } = this.#o;
    return !keeps && bytes <= smallBytesMax && this.#used + bytes <= budgetBytes + smallBeyondBytesMax;
  }

  #promised(): number {
    let bytes = this.#reserved;
    for (const entry of this.#partial)
      bytes += Math.max(0, entry.meta.length - entry.heldCount * entry.meta.pieceLength);
    return bytes;
  }

  #victim(): BlobEntry | undefined {
    return this.#victims().next().value;
  }

  /** In the order in which they go. */
  *#victims(): Generator<BlobEntry, undefined> {
    if (!this.#o.keeps) {
      for (const entry of this.#entries.values()) if (entry.complete && !entry.pinned) yield entry;
    }
    for (const entry of this.#partial) if (!entry.pinned && (entry.file.partial || !this.#o.keeps)) yield entry;
    return undefined;
  }

  async #evict(entry: BlobEntry): Promise<void> {
    this.remove(entry);
    await this.#o.evict(entry);
  }
}
