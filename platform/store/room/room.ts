/**
 * The byte budget: what is used, what may go when more is wanted.
 *
 * Rule 1: room is reserved whole when a blob is created, so that it cannot run out half way.
 * Rule 2: complete blobs nobody uses go first, least recently used first; then partial ones nobody
 *   uses. What is pinned never goes. Where the store keeps, nothing complete goes but what nobody needs any
 *   more, by the word of who knows (let-go.ts). Nothing goes in vain. Where nothing can go and a blob is damaged, the push
 *   that mends it finds room beyond the budget.
 * Rule 3: the choice and the accounting are one synchronous step; only the unlinking takes time.
 * Rule 4: a step costs what it changes, however many blobs there are: all that is known of them is in `BlobTable`.
 */

import type { Digest } from '../../../core/digest.ts';
import { hashBytes, type Metainfo, unitBytes } from '../../../core/piece.ts';
import { bytesOnDisk } from '../layout.ts';
import type { BlobEntry } from '../pieces/entry.ts';
import { none } from '../table/columns.ts';
import { Inventory } from '../table/inventory.ts';
import { Live } from '../table/live.ts';
import { type BlobRow, BlobTable } from '../table/table.ts';
import { budgetFull, diskFull, spareBytes } from './full.ts';
import { LetGo, noneGone } from './let-go.ts';
import type { RoomOptions } from './options.ts';
import { type StoredBlob, storedBlob } from './stored-blob.ts';

/** A blob of one piece and its hash list, at most. */
const smallBytesMax = unitBytes + hashBytes;
/** Small blobs in use at the same time that a full budget does not hold up: manifests and configs of a thousand pulls. */
export const smallBeyondBytesMax = 16 * 1024 * 1024;

/** Of `shrink` at a time. */
const shrinkBytesMax = 1024 * 1024 * 1024;
const noIndex = 'nothing goes by itself, since no index is configured here to say what may';

export class Room {
  readonly #table = new BlobTable();
  readonly inventory = new Inventory(this.#table, (row) => this.#complete(row));
  readonly #live: Live;
  readonly #partial = new Set<BlobEntry>();
  readonly #o: RoomOptions;
  readonly #letGo: LetGo | undefined;
  #used = 0;
  /** Of that, for blobs that are just being created. */
  #reserved = 0;

  constructor(o: RoomOptions) {
    this.#o = o;
    this.#live = new Live({ table: this.#table, letGo: o.idle, max: o.idleMax });
    if (o.askUnneeded === undefined) return;
    this.#letGo = new LetGo({
      ask: o.askUnneeded,
      nowMs: o.nowMs,
      candidates: (volume) => this.#candidates(volume),
      mayGo: (digest) => this.#mayGo(this.#table.find(digest)),
      release: (digest) => this.#release(digest),
    });
  }

  /** It was pushed, or somebody relies on it: what was asked about it before does not count. */
  claim(digest: Digest): void {
    this.#letGo?.claim(digest);
    const row = this.#table.find(digest);
    if (row !== none) this.#table.touch(row, this.#o.wallSeconds());
  }

  get usedBytes(): number {
    return this.#used;
  }

  get count(): number {
    return this.#table.count;
  }

  get(digest: Digest): BlobEntry | undefined {
    const row = this.#table.find(digest);
    return row === none ? undefined : this.#entry(row);
  }

  get completeCount(): number {
    return this.#table.count - this.#partial.size;
  }

  /** As the store's `blobs`. */
  *blobs(): Iterable<StoredBlob> {
    for (const row of this.#table.rows()) {
      const entry = this.#live.get(row);
      yield entry === undefined ? { ...this.#table.blob(row), complete: true, damaged: false } : storedBlob(entry);
    }
  }

  /** Least recently used first. */
  *inOrder(): Iterable<Digest> {
    for (const row of this.#table.order.walk()) yield this.#table.digest(row);
  }

  /** Those that are not whole. */
  partial(): readonly BlobEntry[] {
    return [...this.#partial];
  }

  /** Reserves `bytes`, evicting what it takes. Settle it with `add` or `release`. ApiError STORAGE_FULL. */
  async reserve(bytes: number): Promise<void> {
    const { budgetBytes, dir } = this.#o;
    const gone: Promise<void>[] = [];
    // Nothing is evicted in vain; what is small is let in beyond the budget, and evicted again first of all that can be.
    while (this.possible(bytes) < bytes && !this.#isSmall(bytes)) {
      if (bytes <= budgetBytes && (await this.#ask(bytes - this.possible(bytes)))) continue;
      if (this.#mayMend(bytes)) break;
      throw budgetFull({ bytes, budgetBytes, dir, usedBytes: this.#used, why: this.#why() });
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
    for (const row of this.#victims()) {
      room += this.#table.bytes(row);
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
    this.#letGo?.came(entry.digest);
    this.#enter(entry);
  }

  /** A reservation for a blob that was counted already, and is complete now; its file was on volume `before`. */
  keep(entry: BlobEntry, before: number): void {
    const bytes = bytesOnDisk(entry.meta);
    this.release(bytes);
    this.#count(before, -bytes, -1);
    this.#count(entry.file.volume, bytes, 1);
    this.changed(entry);
  }

  /** A blob found at start that is not whole: counted without a reservation. */
  found(entry: BlobEntry): void {
    this.#used += bytesOnDisk(entry.meta);
    this.#enter(entry);
  }

  /** One that is whole. */
  foundWhole(blob: Omit<BlobRow, 'came'>): void {
    this.#used += bytesOnDisk(blob.meta);
    const seconds = this.#o.wallSeconds();
    this.#table.add({ ...blob, came: seconds }, seconds);
    this.#count(blob.volume, bytesOnDisk(blob.meta), 1);
  }

  /** It became complete, or partial again. */
  changed(entry: BlobEntry): void {
    const row = this.#rowOf(entry);
    if (row !== none) this.#table.update(row, entry.meta, entry.file.volume);
    if (row === none || entry.complete) this.#partial.delete(entry);
    else this.#partial.add(entry);
    // What is not whole is not forgotten, whoever lets go of it.
    if (row !== none && !entry.complete) this.#live.use(row, entry);
  }

  /** No longer counted. False: it was not. */
  remove(entry: BlobEntry): boolean {
    const row = this.#rowOf(entry);
    if (row === none) return false;
    this.#partial.delete(entry);
    this.#drop(row, entry.meta, entry.file.volume);
    return true;
  }

  /** What lies on the volume: each is no longer counted once it is given. An entry where there is one. */
  *lose(volume: number): Generator<BlobEntry | BlobRow, undefined> {
    for (const row of this.#table.rows()) {
      if (this.#table.volume(row) !== volume) continue;
      const entry = this.#live.get(row);
      const blob = entry ?? this.#table.blob(row);
      if (entry !== undefined) this.#partial.delete(entry);
      this.#drop(row, blob.meta, volume);
      yield blob;
    }
    return undefined;
  }

  #count(volume: number, bytes: number, blobs: 1 | -1): void {
    const on = this.#o.volumes[volume];
    if (on === undefined) return;
    on.usedBytes += bytes;
    on.blobs += blobs;
  }

  #drop(row: number, meta: Metainfo, volume: number): void {
    this.#live.remove(row);
    this.#table.remove(row);
    this.#used -= bytesOnDisk(meta);
    this.#count(volume, -bytesOnDisk(meta), -1);
  }

  touch(entry: BlobEntry): void {
    const row = this.#rowOf(entry);
    if (row === none) return;
    this.#table.touch(row, this.#o.wallSeconds());
    this.#live.use(row, entry);
  }

  /** Evicts at least `bytes`, if it can, where the disk is full; of one volume, where that is named. False: nothing could go. */
  async evictBytes(bytes: number, volume?: number): Promise<boolean> {
    let freed = 0;
    for (const row of this.#victims(true)) {
      if (volume !== undefined && this.#table.volume(row) !== volume) continue;
      freed += this.#table.bytes(row);
      await this.#evict(row);
      if (freed >= bytes) break;
    }
    return freed > 0 || (await this.#ask(bytes, volume));
  }

  /** Of `digests`, removes what may go: what can be fetched again, or nobody needs. Why others stayed. */
  async letGo(digests: readonly Digest[]): Promise<string> {
    for (const digest of digests) {
      const row = this.#table.find(digest);
      if (row !== none && this.#goesByItself(row)) await this.#evict(row);
    }
    return (await this.#letGo?.those(digests)) ?? (this.#o.keeps ? noIndex : 'they are in use');
  }

  /** Of `digests`, removes what may go by that word, whether or not room is needed. */
  letGoBy: LetGo['by'] = async (...of) => (await this.#letGo?.by(...of)) ?? { ...noneGone, failure: noIndex };

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
      else if (!(await this.#ask(bytes))) throw diskFull({ bytes, free, disks: this.#o.disks(), why: this.#why() });
    }
  }

  /** Whether whoever knows let something go. */
  async #ask(bytes: number, volume?: number): Promise<boolean> {
    return (await this.#letGo?.make(bytes, volume)) ?? false;
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

  #victim(): number | undefined {
    for (const row of this.#victims(true)) return row;
    return undefined;
  }

  /** In the order in which they go. `chosen`: what stays counts as used now: nobody comes across it again and again. */
  *#victims(chosen = false): Generator<number, undefined> {
    if (!this.#o.keeps) {
      for (const row of this.#table.order.walk()) {
        if (!this.#complete(row)) continue;
        if (this.#goesByItself(row)) yield row;
        else if (chosen) this.#table.touch(row, this.#table.used(row));
      }
    }
    yield* this.#partialVictims();
    return undefined;
  }

  *#partialVictims(): Generator<number, undefined> {
    for (const entry of this.#partial) {
      const row = this.#rowOf(entry);
      if (row !== none && this.#goesByItself(row)) yield row;
    }
    return undefined;
  }

  /** Nobody uses it, and nobody has to be asked. */
  #goesByItself(row: number): boolean {
    const entry = this.#live.get(row);
    return entry?.pinned !== true && (!this.#o.keeps || entry?.file.partial === true) && !this.#stays(row);
  }

  // ---- what somebody else has to be asked about ------------------------------------------------

  *#candidates(volume?: number): Generator<Digest, undefined> {
    for (const row of this.#table.order.walk()) {
      if (this.#mayGo(row) && (volume ?? this.#table.volume(row)) === this.#table.volume(row))
        yield this.#table.digest(row);
    }
    return undefined;
  }

  /** Of a damaged one, whoever mends it has a pin, for as long as nobody has what is lacking: that keeps nothing here. */
  #mayGo(row: number): boolean {
    const entry = row === none ? undefined : this.#live.get(row);
    return row !== none && entry?.file.partial !== true && !(entry?.complete && entry.pinned) && !this.#stays(row);
  }

  #stays(row: number): boolean {
    return this.#o.stays?.(this.#table.digest(row)) === true;
  }

  /** Nobody needs it: what it took, and its end; undefined: it is used again. */
  #release(digest: Digest): { readonly bytes: number; readonly gone: Promise<void> } | undefined {
    const row = this.#table.find(digest);
    if (!this.#mayGo(row)) return undefined;
    const entry = this.#entry(row);
    this.#o.onUnneeded(entry);
    // Whoever was mending it does so no longer.
    return entry.pinned ? undefined : { bytes: this.#table.bytes(row), gone: this.#evict(row) };
  }

  // ---- entries ---------------------------------------------------------------------------------

  #entry(row: number): BlobEntry {
    const entry = this.#live.get(row) ?? this.#o.open(this.#table.blob(row));
    this.#live.use(row, entry);
    return entry;
  }

  /** What is not whole has an entry. */
  #complete(row: number): boolean {
    return this.#live.get(row)?.complete ?? true;
  }

  /** `none`: the entry is not counted, or not any more. */
  #rowOf(entry: BlobEntry): number {
    const row = this.#table.find(entry.digest);
    return row !== none && this.#live.get(row) === entry ? row : none;
  }

  #enter(entry: BlobEntry): void {
    const seconds = this.#o.wallSeconds();
    const { digest, meta, file } = entry;
    const row = this.#table.add({ digest, meta, volume: file.volume, came: seconds }, seconds);
    this.#count(file.volume, bytesOnDisk(meta), 1);
    this.#live.use(row, entry);
    this.changed(entry);
  }

  async #evict(row: number): Promise<void> {
    const entry = this.#entry(row);
    this.remove(entry);
    await this.#o.evict(entry);
  }
}
