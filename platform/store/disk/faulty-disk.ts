/**
 * A disk in memory that loses what was not synced, tears writes, fills up and fails, as a plan says.
 *
 * What is modelled, and no kinder than a journalling file system:
 * - bytes written are safe once their file is synced; before that a crash keeps any of the sectors
 *   (512 bytes) of any of the writes, and any length in between;
 * - a name is safe once its directory is synced, a renamed one once the new directory is; before that
 *   a crash keeps none, all, the oldest few or any of the changes. A rename is atomic;
 * - after `crash` every descriptor is void; what is there is what a reboot would find.
 *
 * Rule: everything random comes from the Prng, so that a run can be replayed. Every operation counts
 * as one for the plan, before it has any effect.
 */

import { assert } from '../../../core/assert.ts';
import type { Prng } from '../../../core/prng.ts';
import { type Disk, diskError, type FileState, type OpenMode } from './disk.ts';

const sectorBytes = 512;
/** The directory that is there from the start; its name is safe. */
export const faultyRoot = '/disk';

/** What happens instead of operation `no` (from 0): a code to fail with, or the power goes. */
export type Fault = { readonly kind: 'fail'; readonly code: string } | { readonly kind: 'crash' };
/** `action` is the name of Disk's function, `path` what it is about. undefined: it works. */
export type FaultPlan = (no: number, action: string, path: string) => Fault | undefined;

/** `truncate`: the file was emptied. */
type Write = { readonly position: number; readonly bytes: Uint8Array; readonly truncate: boolean };
/** `bytes` is what a program sees, `synced` what a crash leaves, `pending` the writes between the two. */
type Inode = {
  readonly no: number;
  bytes: Uint8Array;
  synced: Uint8Array;
  pending: Write[];
  name: string;
  writes: number;
};
/** A change of names that no sync has reached yet. */
type Change =
  | { readonly kind: 'link'; readonly path: string; readonly inode: Inode }
  | { readonly kind: 'unlink'; readonly path: string }
  | { readonly kind: 'rename'; readonly from: string; readonly to: string }
  | { readonly kind: 'mkdir'; readonly path: string };

export type FaultyDiskOptions = { readonly prng: Prng; readonly plan?: FaultPlan; readonly capacityBytes?: number };

export class FaultyDisk implements Disk {
  plan: FaultPlan | undefined;
  /** Operations so far. */
  operations = 0;
  readonly #prng: Prng;
  readonly #capacity: number;
  #files = new Map<string, Inode>();
  #directories = new Set<string>([faultyRoot]);
  #durableFiles = new Map<string, Inode>();
  #durableDirectories = new Set<string>([faultyRoot]);
  #changes: Change[] = [];
  #open = new Map<number, Inode>();
  #locks = new Set<string>();
  #nextFd = 1000;
  #nextInode = 0;
  #powered = true;

  constructor(o: FaultyDiskOptions) {
    this.#prng = o.prng;
    this.plan = o.plan;
    this.#capacity = o.capacityBytes ?? Number.POSITIVE_INFINITY;
  }

  /** Whether the plan has cut the power: every operation fails until `crash` has been called. */
  get off(): boolean {
    return !this.#powered;
  }

  /** Descriptors that were not closed. */
  get openCount(): number {
    return this.#open.size;
  }

  /** Cuts the power and boots again. */
  crash(): void {
    this.#applySome();
    this.#dropUnreachable();
    this.#files = new Map(this.#durableFiles);
    this.#directories = new Set(this.#durableDirectories);
    for (const inode of new Set(this.#files.values())) {
      inode.synced = this.#torn(inode);
      inode.bytes = inode.synced.slice();
      inode.pending = [];
    }
    this.#changes = [];
    this.#open = new Map();
    this.#locks = new Set();
    this.#powered = true;
  }

  /** Kills the process and lets another one begin: what it had open and locked is free, nothing else is lost. */
  kill(): void {
    this.#open = new Map();
    this.#locks = new Set();
    this.#powered = true;
  }

  /** The bytes of a file as a program sees them now; for checks. */
  peek(path: string): Uint8Array | undefined {
    return this.#files.get(path)?.bytes;
  }

  /** Paths of all files; for checks. */
  paths(): string[] {
    return [...this.#files.keys()].sort();
  }

  /** Flips a bit of what is stored, for good: the medium decays. */
  rot(path: string, position: number): void {
    const inode = this.#files.get(path);
    assert(inode !== undefined && position < inode.bytes.length, `rot: ${path} has no byte ${position}`);
    inode.bytes[position] = (inode.bytes[position] as number) ^ 1;
    if (position < inode.synced.length) inode.synced[position] = inode.bytes[position] as number;
  }

  /** Somebody else writes to the file, behind the program's back and for good: `bytes` are all of it now. */
  replace(path: string, bytes: Uint8Array): void {
    const inode = this.#files.get(path);
    assert(inode !== undefined, `replace: there is no ${path}`);
    inode.bytes = bytes.slice();
    inode.synced = bytes.slice();
    inode.pending = [];
    inode.writes += 1;
  }

  /** Somebody else removes the file, for good. */
  vanish(path: string): void {
    assert(this.#files.delete(path), `vanish: there is no ${path}`);
    this.#durableFiles.delete(path);
    this.#changes = this.#changes.filter((change) => (change.kind === 'rename' ? change.to : change.path) !== path);
  }

  // ---- Disk ------------------------------------------------------------------------------------

  async open(path: string, mode: OpenMode): Promise<number> {
    await this.#begin('open', path);
    let inode = this.#files.get(path);
    if (mode === 'create') {
      this.#needDirectory(parentOf(path), 'open');
      if (inode === undefined) {
        this.#nextInode += 1;
        const empty = { bytes: new Uint8Array(0), synced: new Uint8Array(0), pending: [] };
        inode = { ...empty, no: this.#nextInode, name: path, writes: 0 };
        this.#files.set(path, inode);
        this.#changes.push({ kind: 'link', path, inode });
      }
      inode.bytes = new Uint8Array(0);
      inode.pending.push({ position: 0, bytes: new Uint8Array(0), truncate: true });
    }
    if (inode === undefined) throw diskError('ENOENT', 'open', path);
    this.#nextFd += 1;
    this.#open.set(this.#nextFd, inode);
    return this.#nextFd;
  }

  async close(fd: number): Promise<void> {
    const inode = this.#inode(fd, 'close');
    await this.#begin('close', inode.name);
    this.#open.delete(fd);
  }

  async read(fd: number, into: Uint8Array, position: number): Promise<number> {
    const inode = this.#inode(fd, 'read');
    await this.#begin('read', inode.name);
    const bytes = inode.bytes.subarray(position, position + into.length);
    into.set(bytes);
    return bytes.length;
  }

  async write(fd: number, bytes: Uint8Array, position: number): Promise<void> {
    const inode = this.#inode(fd, 'write');
    const copy = new Uint8Array(bytes);
    await this.#begin('write', inode.name);
    const grows = Math.max(0, position + copy.length - inode.bytes.length);
    if (this.#usedBytes() + grows > this.#capacity) throw diskError('ENOSPC', 'write', inode.name);
    inode.bytes = laid(inode.bytes, copy, position);
    inode.pending.push({ position, bytes: copy, truncate: false });
    inode.writes += 1;
  }

  async sync(fd: number): Promise<void> {
    const inode = this.#inode(fd, 'sync');
    await this.#begin('sync', inode.name);
    inode.synced = inode.bytes.slice();
    inode.pending = [];
  }

  async size(fd: number): Promise<number> {
    const inode = this.#inode(fd, 'size');
    await this.#begin('size', inode.name);
    return inode.bytes.length;
  }

  async stat(path: string): Promise<FileState> {
    await this.#begin('stat', path);
    const inode = this.#files.get(path);
    if (inode === undefined) throw diskError('ENOENT', 'stat', path);
    return { size: inode.bytes.length, id: `${inode.no}.${inode.writes}` };
  }

  stampNow(fd: number): number {
    return this.#inode(fd, 'stampNow').writes;
  }

  sizeNow(path: string): number {
    this.#count('sizeNow', path);
    const inode = this.#files.get(path);
    if (inode === undefined) throw diskError('ENOENT', 'stat', path);
    return inode.bytes.length;
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#begin('rename', to);
    this.#needDirectory(parentOf(to), 'rename');
    const inode = this.#files.get(from);
    if (inode === undefined) throw diskError('ENOENT', 'rename', from);
    this.#files.delete(from);
    this.#files.set(to, inode);
    inode.name = to;
    this.#changes.push({ kind: 'rename', from, to });
  }

  async unlink(path: string): Promise<void> {
    await this.#begin('unlink', path);
    if (!this.#files.delete(path)) throw diskError('ENOENT', 'unlink', path);
    this.#changes.push({ kind: 'unlink', path });
  }

  async mkdir(path: string): Promise<void> {
    await this.#begin('mkdir', path);
    if (this.#directories.has(path)) return;
    this.#needDirectory(parentOf(path), 'mkdir');
    this.#directories.add(path);
    this.#changes.push({ kind: 'mkdir', path });
  }

  async list(path: string): Promise<string[]> {
    await this.#begin('list', path);
    this.#needDirectory(path, 'list');
    const all = [...this.#files.keys(), ...this.#directories];
    return all.filter((name) => parentOf(name) === path).map((name) => name.slice(path.length + 1));
  }

  async syncDirectory(path: string): Promise<void> {
    await this.#begin('syncDirectory', path);
    this.#needDirectory(path, 'syncDirectory');
    // All earlier changes of the same names go with it, so that order is kept.
    const touches = (change: Change): boolean =>
      change.kind === 'rename' ? parentOf(change.to) === path : parentOf(change.path) === path;
    const last = this.#changes.findLastIndex(touches);
    const kept: Change[] = [];
    for (const [i, change] of this.#changes.entries()) {
      if (i <= last && (touches(change) || this.#leadsTo(change, i, last, touches))) this.#applyDurably(change);
      else kept.push(change);
    }
    this.#changes = kept;
  }

  async freeBytes(path: string): Promise<number> {
    await this.#begin('freeBytes', path);
    return Math.min(this.#capacity - this.#usedBytes(), Number.MAX_SAFE_INTEGER);
  }

  space = async (path: string) => ({ freeBytes: await this.freeBytes(path), totalBytes: this.#capacity });

  async lock(path: string): Promise<() => Promise<void>> {
    await this.#begin('lock', path);
    if (this.#locks.has(path)) throw diskError('EBUSY', 'lock', path);
    this.#locks.add(path);
    return async () => {
      this.#locks.delete(path);
    };
  }

  // ---- within ----------------------------------------------------------------------------------

  /** Every operation waits a turn, so that others may come between as on a real disk. */
  async #begin(action: string, path: string): Promise<void> {
    await undefined;
    this.#count(action, path);
  }

  #count(action: string, path: string): void {
    if (!this.#powered) throw diskError('EIO', action, path);
    const fault = this.plan?.(this.operations, action, path);
    this.operations += 1;
    if (fault?.kind === 'crash') this.#powered = false;
    if (fault !== undefined) throw diskError(fault.kind === 'fail' ? fault.code : 'EIO', action, path);
  }

  #inode(fd: number, action: string): Inode {
    const inode = this.#open.get(fd);
    if (inode === undefined) throw diskError('EBADF', action, `fd ${fd}`);
    return inode;
  }

  #needDirectory(path: string, action: string): void {
    if (!this.#directories.has(path)) throw diskError('ENOENT', action, path);
  }

  #usedBytes(): number {
    let bytes = 0;
    for (const inode of new Set([...this.#files.values(), ...this.#open.values()])) bytes += inode.bytes.length;
    return bytes;
  }

  /** Whether a synced change, later than `i`, rests on this one: the name that it moves was made by it. */
  #leadsTo(change: Change, i: number, last: number, touches: (change: Change) => boolean): boolean {
    const made = change.kind === 'rename' ? change.to : change.path;
    return this.#changes
      .slice(i + 1, last + 1)
      .some((later) => touches(later) && later.kind === 'rename' && later.from === made);
  }

  #applySome(): void {
    const mode = this.#prng.below(4);
    const prefix = this.#prng.below(this.#changes.length + 1);
    for (const [i, change] of this.#changes.entries()) {
      const keep = [false, true, i < prefix, this.#prng.below(2) === 0][mode] as boolean;
      if (keep) this.#applyDurably(change);
    }
  }

  /** A name in a directory whose own name was lost is lost with it. */
  #dropUnreachable(): void {
    const reachable = (path: string): boolean =>
      path === faultyRoot || (this.#durableDirectories.has(path) && reachable(parentOf(path)));
    for (const path of this.#durableDirectories) if (!reachable(path)) this.#durableDirectories.delete(path);
    for (const path of this.#durableFiles.keys()) if (!reachable(parentOf(path))) this.#durableFiles.delete(path);
  }

  #applyDurably(change: Change): void {
    switch (change.kind) {
      case 'link':
        this.#durableFiles.set(change.path, change.inode);
        return;
      case 'unlink':
        this.#durableFiles.delete(change.path);
        return;
      case 'mkdir':
        this.#durableDirectories.add(change.path);
        return;
      case 'rename': {
        const inode = this.#durableFiles.get(change.from);
        if (inode === undefined) return;
        this.#durableFiles.delete(change.from);
        this.#durableFiles.set(change.to, inode);
      }
    }
  }

  /** What a crash leaves of the file: the synced bytes and any sectors of the writes since. */
  #torn(inode: Inode): Uint8Array {
    const ends = inode.pending.map((write) => write.position + write.bytes.length);
    // Room for all that may be kept, so that sector by sector nothing is copied twice.
    const bytes = new Uint8Array(Math.max(inode.synced.length, ...ends));
    bytes.set(inode.synced);
    let length = inode.synced.length;
    for (const write of inode.pending) {
      const mode = this.#prng.below(3);
      if (mode === 0) continue;
      if (write.truncate) {
        bytes.fill(0, 0, length);
        length = 0;
      }
      for (let at = 0; at < write.bytes.length; at += sectorBytes) {
        if (mode !== 1 && this.#prng.below(2) !== 0) continue;
        const sector = write.bytes.subarray(at, at + sectorBytes);
        bytes.set(sector, write.position + at);
        length = Math.max(length, write.position + at + sector.length);
      }
    }
    return bytes.slice(0, length);
  }
}

/** `bytes` with `more` laid over it from `position`; longer where needed, with room to grow on. */
function laid(bytes: Uint8Array, more: Uint8Array, position: number): Uint8Array {
  const end = position + more.length;
  let out = bytes;
  if (end > bytes.length) {
    const grows = bytes.byteOffset === 0 && end <= bytes.buffer.byteLength;
    out = new Uint8Array(grows ? bytes.buffer : new ArrayBuffer(Math.max(end, 2 * bytes.length)), 0, end);
    if (!grows) out.set(bytes);
  }
  out.set(more, position);
  return out;
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/'));
}
