/**
 * Which blobs this node takes part in: between the swarm, which knows them by number, the store, the
 * trackers and those who wait for bytes.
 *
 * Rule 1: a blob that is whole costs nothing until a peer opens it: it is found in the store then, and
 *   leaves the swarm when nobody wanted it for a while. Only trackers are told that we have it.
 * Rule 2: every `verify` is answered by one `verified`, even where its blob has left; until then the
 *   blob's number means no other blob.
 */

import { ApiError } from '../../../core/contracts/errors.ts';
import type { AnnounceAnswer } from '../../../core/contracts/tracker.ts';
import type { Digest } from '../../../core/digest.ts';
import { type Metainfo, metainfoValid } from '../../../core/piece.ts';
import type { BlobNo, Output, Verdict } from '../../../core/swarm/types.ts';
import type { PeerAddress } from '../../../core/wire/messages.ts';
import type { BlobEntry } from '../../store/pieces/entry.ts';
import type { Slot } from '../../workers/arena.ts';
import { forgottenMs, idleBlobMs, receivingMs } from '../limits.ts';
import type { PeerRole } from '../metrics.ts';
import { inlineBlob } from './inline.ts';
import type { BlobsHost, Part } from './part.ts';
import { passageOf } from './passage.ts';
import { lacking, Repair, usable } from './repair.ts';
import { storeSlot } from './store-slot.ts';
import { Task } from './task.ts';

/** Where a pull may begin before any tracker answers. */
export type PullFrom = { readonly peers?: readonly PeerAddress[] | undefined; readonly meta?: Metainfo | undefined };

type Of<K extends Output['kind']> = Extract<Output, { kind: K }>;
export class Blobs {
  readonly #host: BlobsHost;
  readonly #repair: Repair;
  readonly #parts = new Map<Digest, Part>();
  readonly #byNo: (Part | undefined)[] = [];
  readonly #freeNos: BlobNo[] = [];
  /** Work of the store that must end before this does. */
  readonly #busy = new Set<Promise<void>>();

  constructor(host: BlobsHost) {
    this.#host = host;
    this.#repair = new Repair(host);
  }

  get size(): number {
    return this.#parts.size;
  }

  noOf(digest: Digest): BlobNo | undefined {
    return this.#parts.get(digest)?.task.no;
  }

  pull(digest: Digest, from: PullFrom = {}): Task {
    const known = this.#parts.get(digest);
    if (known !== undefined && (known.pulls || known.task.state === 'held')) {
      if (known.task.state !== 'held') this.#suggest(known, from);
      return known.task;
    }
    const entry = this.#host.store.get(digest);
    const task = new Task(digest, this.#taskHost());
    if (entry !== undefined && usable(entry)) task.enter(entry);
    if (task.state === 'held') return task;
    // Before the swarm seeks: trackers are asked only for what is wanted.
    this.#host.tracking.set(digest, 'want', task.entry?.meta);
    const part = this.#join(task, { pulls: true, given: (from.peers?.length ?? 0) > 0 });
    this.#suggest(part, from);
    return task;
  }

  /** A whole blob: trackers are told; peers get it when they ask. */
  seed(entry: BlobEntry): void {
    if (this.#parts.get(entry.digest)?.pulls !== true) this.#host.tracking.set(entry.digest, 'have', entry.meta);
  }

  /** It came whole by another way: if it is being pulled, that has ended well. */
  arrived(entry: BlobEntry): void {
    const part = this.#parts.get(entry.digest);
    if (part?.pulls !== true || part.task.state === 'held') return;
    this.#leave(part);
    this.#host.tracking.unset(entry.digest);
    part.task.enter(entry);
  }

  /** Ends a pull; what it brought stays in the store. A whole blob stays as it is. */
  stop(digest: Digest): void {
    const part = this.#parts.get(digest);
    if (part === undefined || part.task.state === 'held') return;
    this.#end(part, new ApiError('UNAVAILABLE', `the pull of ${digest} was stopped: begin it again`));
  }

  /** The blob is not ours any more. */
  drop(digest: Digest): void {
    const part = this.#parts.get(digest);
    if (part === undefined) this.#host.tracking.unset(digest);
    else
      this.#end(part, new ApiError('UNAVAILABLE', `blob ${digest} was removed while it was in use: ask for it again`));
  }

  /** A piece that the store claimed to hold is not there: pulled again. */
  lost(digest: Digest, piece: number): void {
    const part = this.#parts.get(digest);
    if (part?.pulls !== true) {
      if (part !== undefined) this.#leave(part);
      return this.#track(this.#repair.inspect(this.pull(digest)));
    }
    const whole = part.task.state === 'held';
    this.#repair.lacks(part.task, piece);
    if (whole) this.#track(this.#repair.inspect(part.task));
  }

  lostNo(blob: BlobNo, piece: number): void {
    const part = this.#byNo[blob];
    if (part !== undefined) this.lost(part.task.digest, piece);
  }

  entryOf(blob: BlobNo): BlobEntry | undefined {
    return this.#byNo[blob]?.task.entry;
  }

  /** A peer opens `digest`: if we hold it whole, the swarm learns so before it answers. */
  wanted(digest: Digest): void {
    if (this.#parts.has(digest)) return;
    const entry = this.#host.serves(digest);
    if (entry === undefined || !entry.complete || !usable(entry)) return;
    const task = new Task(digest, this.#taskHost());
    task.enter(entry);
    this.#join(task, { pulls: false, given: false });
  }

  /** Bytes of a piece are coming. */
  progress(blob: BlobNo): void {
    this.#byNo[blob]?.task.came();
  }

  /** Whether bytes of the blob came just now. */
  receives(digest: Digest): boolean {
    const cameMs = this.#parts.get(digest)?.task.cameMs;
    return cameMs !== undefined && this.#host.nowMs() - cameMs < receivingMs;
  }

  answer(answer: AnnounceAnswer): void {
    const part = this.#parts.get(answer.digest);
    if (part === undefined || part.task.state === 'held' || part.task.inline) return;
    if (answer.inline !== undefined && part.task.state === 'seeking') return this.#track(this.#inline(part, answer));
    const unknown = answer.error === 'unknown' && !part.given;
    if (unknown && part.task.state === 'seeking') {
      return this.#end(
        part,
        new ApiError('BLOB_UNKNOWN', `blob ${answer.digest} is whole on no origin of this cluster`),
      );
    }
    part.task.orphaned = unknown;
    this.#suggest(part, answer);
  }

  // ---- what the swarm says ---------------------------------------------------------------------

  learned({ blob, meta, hashes }: Of<'learned'>): void {
    const part = this.#byNo[blob];
    if (part === undefined || part.task.entry !== undefined) return;
    part.entry = this.#enter(part, meta, hashes);
    this.#track(part.entry.then(() => undefined));
  }

  /** Stores an arrived piece. The slot is released here. */
  verify(output: Of<'verify'>, role: PeerRole): void {
    this.#track(this.#store(output, this.#host.arena.slot(output.slot), role));
  }

  complete({ blob }: Of<'complete'>): void {
    const part = this.#byNo[blob];
    if (part !== undefined) this.#track(this.#finish(part));
  }

  seek({ blob }: Of<'seek'>): void {
    const part = this.#byNo[blob];
    if (part !== undefined && !part.task.inline) this.#host.tracking.seek(part.task.digest, this.#host.neighbours);
  }

  revoked({ blob }: Of<'revoked'>): void {
    const part = this.#byNo[blob];
    if (part === undefined) return;
    const { digest } = part.task;
    this.#host.log.warn({ digest }, 'an origin revoked the blob: its pieces are dropped');
    this.#end(
      part,
      new ApiError('BLOB_UNKNOWN', `blob ${digest} was not what it claimed to be: its origin took it back`),
    );
    this.#track(this.#host.store.remove(digest));
  }

  // ---- the node's ------------------------------------------------------------------------------

  sweep(nowMs: number): void {
    for (const part of this.#parts.values()) {
      const { task } = part;
      task.sweep(nowMs, this.#host);
      if (this.#repair.due(task)) this.#track(this.#reread(task));
      if (part.passage !== undefined) this.#tendPassage(part, nowMs);
      if (task.asks(nowMs)) this.#host.tracking.seek(task.digest, this.#host.neighbours);
      if (task.used || (task.state === 'held' && (this.#host.statsOf(task.no as BlobNo)?.sinks ?? 0) > 0)) {
        part.idleMs = nowMs;
      } else if (task.state === 'held' && nowMs - part.idleMs > idleBlobMs) {
        this.#leave(part);
      } else if (task.state === 'seeking' && nowMs - part.idleMs > forgottenMs) {
        this.#end(part, new ApiError('UNAVAILABLE', `nobody told of ${task.digest}, and nobody waits for it`));
      }
    }
  }

  async close(): Promise<void> {
    for (const part of [...this.#parts.values()]) {
      this.#leave(part);
      part.task.fail(new ApiError('UNAVAILABLE', 'this process is shutting down'));
    }
    while (this.#busy.size > 0) await Promise.all(this.#busy);
  }

  // ---- within ----------------------------------------------------------------------------------

  #join(task: Task, o: { pulls: boolean; given: boolean }): Part {
    const no = this.#freeNos.pop() ?? this.#byNo.length;
    const part: Part = { ...o, task, entry: undefined, passage: undefined, idleMs: this.#host.nowMs(), verifying: 0 };
    task.no = no;
    this.#byNo[no] = part;
    this.#parts.set(task.digest, part);
    const { entry } = task;
    const have = entry === undefined ? undefined : entry.complete ? ('all' as const) : entry.haveBits();
    const known = { meta: entry?.meta, hashes: entry?.hashes, have };
    this.#host.input({ kind: 'blob', blob: no, digest: task.digest, ...known, pull: o.pulls });
    if (entry !== undefined) part.passage = passageOf(task, entry, this.#host);
    return part;
  }

  /** Out of the swarm; the task may live on. */
  #leave(part: Part): void {
    const { task } = part;
    if (task.no === undefined) return;
    this.#host.input({ kind: 'drop', blob: task.no });
    part.passage?.close();
    if (task.entry?.window !== undefined) this.#host.store.passed(task.entry);
    this.#byNo[task.no] = undefined;
    if (part.verifying === 0) this.#freeNos.push(task.no);
    task.no = undefined;
    this.#parts.delete(task.digest);
  }

  #end(part: Part, error: Error): void {
    this.#leave(part);
    this.#host.tracking.unset(part.task.digest);
    part.task.fail(error);
  }

  #suggest(part: Part, { peers = [], meta }: PullFrom): void {
    if (part.task.no === undefined || (peers.length === 0 && meta === undefined)) return;
    const valid = meta !== undefined && metainfoValid(meta) ? meta : undefined;
    this.#host.input({ kind: 'candidates', blob: part.task.no, peers, meta: valid });
  }

  async #enter(part: Part, meta: Metainfo, hashes: Uint8Array): Promise<BlobEntry | undefined> {
    const { task } = part;
    try {
      const entry = await this.#host.store.create(task.digest, meta, hashes);
      if (task.no === undefined) {
        // Stopped meanwhile. Whoever pulls it by now has this entry, or is about to.
        if (entry.window !== undefined && !this.#parts.has(task.digest)) this.#host.store.passed(entry);
        return undefined;
      }
      if (entry.complete) {
        // A push was faster. The swarm would go on as one that lacks every piece, for us and for those who ask us.
        this.arrived(entry);
        this.seed(entry);
        return undefined;
      }
      part.passage = passageOf(task, entry, this.#host);
      task.enter(entry);
      this.#host.tracking.set(task.digest, 'want', meta);
      return entry;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (task.no !== undefined) this.#end(part, error);
      return undefined;
    }
  }

  async #store({ blob, piece, link }: Of<'verify'>, slot: Slot, role: PeerRole): Promise<void> {
    const part = this.#byNo[blob];
    const bytes = slot.length;
    if (part !== undefined) part.verifying++;
    const entry = part?.task.entry ?? (await part?.entry);
    const wanted = (): boolean => part?.task.used === true || (this.#host.statsOf(blob)?.sinks ?? 0) > 0;
    let verdict = await storeSlot(entry, piece, { slot, wanted });
    // Given up again, or found wrong by somebody else, while this was under way: then it comes again.
    if (verdict === 'held' && entry?.has(piece) === false) verdict = 'unwanted';
    if (part !== undefined) this.#verified(part, piece, { verdict, bytes, role });
    if (verdict === 'held' && part !== undefined) this.#lackingStill(part, blob);
    this.#host.input({ kind: 'verified', blob, piece, link, verdict });
    if (part !== undefined) this.#settle(part, blob);
    if (part?.task.no === undefined) return;
    if (verdict === 'held') {
      part.task.held(piece);
      part.passage?.held(piece);
    }
    if (verdict === 'failed') this.#refused(part, piece);
  }

  /** The swarm is about to take the blob for whole. Of what the disk has lost meanwhile it hears before that. */
  #lackingStill({ task }: Part, blob: BlobNo): void {
    const stats = this.#host.statsOf(blob);
    const { entry } = task;
    if (stats === undefined || stats.held + 1 < stats.pieces || entry === undefined) return;
    if (!entry.complete && entry.window === undefined)
      for (const piece of lacking(entry)) this.#repair.lacks(task, piece);
  }

  #verified({ task }: Part, piece: number, o: { verdict: Verdict; bytes: number; role: PeerRole }): void {
    const { verdict, bytes, role } = o;
    this.#host.metrics.piece(verdict);
    if (verdict === 'held' && role === 'origin') task.stats.bytesFromOrigins += bytes;
    else if (verdict === 'held') task.stats.bytesFromPeers += bytes;
    if (verdict === 'corrupt') this.#host.log.warn({ digest: task.digest, piece }, 'a peer sent a corrupt piece');
  }

  /** The number of a blob that has left is free once the store has answered for its last piece. */
  #settle(part: Part, blob: BlobNo): void {
    part.verifying--;
    if (part.verifying === 0 && part.task.no === undefined) this.#freeNos.push(blob);
  }

  /** The disk would not take a piece: those who wait for it hear why; the swarm tries again later, and brings what else was found bad. */
  #refused(part: Part, piece: number): void {
    const { entry, digest } = part.task;
    const why = entry?.failure ?? new ApiError('UNAVAILABLE', `piece ${piece} of ${digest} cannot be stored`);
    this.#host.log.warn({ digest, piece, why: why.message }, 'a piece cannot be stored');
    if (entry?.gone === true) return this.#end(part, why);
    part.task.refused(piece, why);
    for (const other of lacking(entry)) if (other !== piece) this.#repair.lacks(part.task, other);
  }

  /** What the disk would not read is looked at again: what is whole by it is fed at once. */
  async #reread(task: Task): Promise<void> {
    const entry = await this.#repair.reread(task);
    if (entry === undefined) return;
    this.arrived(entry);
    this.seed(entry);
  }

  async #finish(part: Part): Promise<void> {
    const { task } = part;
    const entry = task.entry ?? (await part.entry);
    if (entry === undefined || task.no === undefined) return;
    part.idleMs = this.#host.nowMs();
    task.finish();
    this.#host.tracking.set(task.digest, 'have', entry.meta);
  }

  /** The tracker's answer held the whole blob: no swarm is needed. */
  async #inline(part: Part, answer: AnnounceAnswer): Promise<void> {
    const { task } = part;
    task.inline = true;
    try {
      const entry = await inlineBlob(this.#host, answer);
      if (task.no === undefined) return;
      task.inline = false;
      if (entry === undefined) {
        this.#host.log.warn(
          { digest: task.digest },
          "a tracker's inline blob does not match: pulled from peers instead",
        );
        return this.#suggest(part, answer);
      }
      this.#leave(part);
      this.#host.tracking.unset(task.digest);
      task.stats.bytesFromOrigins += entry.meta.length;
      task.enter(entry);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (task.no !== undefined) this.#end(part, error);
    }
  }

  #tendPassage(part: Part, nowMs: number): void {
    const { task, passage } = part;
    const { entry } = task;
    if (entry?.window === undefined || passage === undefined) return;
    const { passing } = this.#host.store;
    // In turn: it is no stall that those before it take their time.
    if (entry.window.capacity === 0) task.progressMs = nowMs;
    this.#track(passing.grow(entry));
    passage.due();
    if (passing.waiting && entry.window.capacity > 0 && !task.used) {
      this.#end(part, new ApiError('UNAVAILABLE', `${task.digest} passed through, and its room is wanted for others`));
    }
  }

  #track(work: Promise<void>): void {
    this.#busy.add(work);
    void work.finally(() => this.#busy.delete(work));
  }

  #taskHost() {
    return {
      nowMs: this.#host.nowMs,
      readerAt: ({ no }: Task, reader: number, { at, end }: { at: number; end: number }) => {
        if (no === undefined) return;
        this.#host.input({ kind: 'reader', blob: no, reader, at, end });
        this.#byNo[no]?.passage?.readerAt(reader, { at, end });
      },
      readerGone: ({ no }: Task, reader: number) => {
        if (no === undefined) return;
        this.#host.input({ kind: 'readerGone', blob: no, reader });
        this.#byNo[no]?.passage?.readerGone(reader);
      },
      waits: ({ no }: Task) => {
        if (no !== undefined) this.#byNo[no]?.passage?.due();
      },
    };
  }
}
