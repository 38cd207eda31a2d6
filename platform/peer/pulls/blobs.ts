/**
 * Which blobs this node takes part in: between the swarm, which knows them by number, the store, the
 * trackers and those who wait for bytes.
 *
 * Rule 1: a blob that is whole costs nothing until a peer opens it: it is found in the store then, and
 *   leaves the swarm when nobody wanted it for a while. Only trackers are told that we have it.
 * Rule 2: every `verify` is answered by one `verified`, even where its blob has left; until then the
 *   blob's number means no other blob.
 */

import { blockedError } from '../../../core/contracts/documents/blocks.ts';
import { ApiError } from '../../../core/contracts/errors.ts';
import type { AnnounceAnswer } from '../../../core/contracts/tracker.ts';
import type { Digest } from '../../../core/digest.ts';
import { metainfoValid } from '../../../core/piece.ts';
import type { BlobNo, Output } from '../../../core/swarm/types.ts';
import { GrowingEntry } from '../../store/growing/entry.ts';
import type { BlobEntry } from '../../store/pieces/entry.ts';
import { haveList } from '../../store/stored.ts';
import { receivingMs } from '../limits.ts';
import { Arrivals, type Sender } from './arrivals.ts';
import { GrowingParts } from './growing.ts';
import { enterInline, type InlineHost } from './inline.ts';
import type { PartEnd } from './life.ts';
import { Part, type PartHost, partHost } from './part.ts';
import { scopingOf } from './passage.ts';
import type { BlobsHost, Pull, PullFrom } from './pull.ts';
import { howFound, Repair, usable } from './repair.ts';

type Of<K extends Output['kind']> = Extract<Output, { kind: K }>;

export class Blobs {
  readonly #host: BlobsHost;
  readonly #repair: Repair;
  readonly #arrivals: Arrivals;
  readonly #growth: GrowingParts;
  readonly #inlines: InlineHost;
  readonly #partHost: PartHost;
  readonly #parts = new Map<Digest, Part>();
  readonly #byNo: (Part | undefined)[] = [];
  readonly #freeNos: BlobNo[] = [];
  /** Work of the store that must end before this does. */
  readonly #busy = new Set<Promise<void>>();

  constructor(host: BlobsHost) {
    this.#host = host;
    this.#repair = new Repair(host);
    this.#arrivals = new Arrivals({
      host,
      repair: this.#repair,
      settled: (part, blob) => this.#settled(part, blob),
      refused: (part, why) => this.#end(part, 'refused', why),
    });
    const end = (part: Part, how: PartEnd, why: Error): void => this.#end(part, how, why);
    const track = (work: Promise<void>): void => this.#track(work);
    const arrived = (entry: BlobEntry): void => this.#whole(entry);
    this.#growth = new GrowingParts({ ...host, enter: (part, make) => this.#enter(part, make), end, track, arrived });
    this.#inlines = {
      ...host,
      end,
      arrived: (entry) => this.arrived(entry),
      suggest: (part, to) => this.#suggest(part, to),
    };
    this.#partHost = partHost(host, (part, piece) => {
      if (part.state === 'growing') this.#growth.waits(part, piece);
    });
  }

  get size(): number {
    return this.#parts.size;
  }

  /** Those that somebody reads, or did just now. */
  running(): Pull[] {
    return [...this.#parts.values()].filter((part) => part.running);
  }

  noOf(digest: Digest): BlobNo | undefined {
    return this.#parts.get(digest)?.no;
  }

  pull(digest: Digest, from: PullFrom = {}): Part {
    const known = this.#parts.get(digest);
    if (known !== undefined) {
      if (known.state !== 'held') this.#suggest(known, from);
      if (from.pace === undefined) known.pace = void known.passage?.hurry();
      return known;
    }
    const entry = this.#host.store.get(digest);
    const given = (from.peers?.length ?? 0) > 0;
    const part = new Part(digest, { ...from, pulls: true, given }, this.#partHost);
    const blocked = this.#host.blocked?.get(digest);
    if (blocked !== undefined) {
      part.fail('stopped', blockedError(blocked));
      return part;
    }
    if (entry !== undefined && (entry.complete || usable(entry))) part.enter(entry, howFound(entry));
    if (part.state === 'whole') return part;
    // Before the swarm seeks: trackers are asked only for what is wanted.
    this.#host.tracking.set(digest, 'want', part.state === 'growing' ? undefined : part.entry?.meta);
    this.#join(part);
    this.#suggest(part, from);
    return part;
  }

  /** A whole blob: trackers are told; peers get it when they ask. */
  seed({ digest, meta }: Pick<BlobEntry, 'digest' | 'meta'>): void {
    if (this.#parts.get(digest)?.pulls === true || this.#host.blocked?.has(digest)) return;
    this.#host.tracking.set(digest, 'have', meta);
  }

  /** This process receives it: peers get what comes of it at once. Nothing where a push was faster. */
  receive(entry: GrowingEntry): void {
    if (entry.growth === undefined) return;
    const known = this.#parts.get(entry.digest);
    const part = known ?? new Part(entry.digest, { pulls: false, given: false }, this.#partHost);
    const enters = part.entry === undefined;
    if (enters) part.enter(entry, 'grows');
    if (known === undefined) this.#join(part);
    else if (enters) this.#growth.tell(part, entry);
    this.#growth.follow(part, entry);
  }

  /** It came whole by another way: if it is being pulled, that has ended well. */
  arrived(entry: BlobEntry): void {
    const part = this.#parts.get(entry.digest);
    if (part === undefined || part.state === 'held') return;
    this.#leave(part);
    this.#host.tracking.unset(entry.digest);
    part.enter(entry, 'arrived');
  }

  /** Ends a pull; what it brought stays in the store. A whole blob stays as it is. */
  stop(digest: Digest): void {
    const part = this.#parts.get(digest);
    if (part === undefined || part.state === 'held') return;
    this.#end(part, 'stopped', new ApiError('UNAVAILABLE', `the pull of ${digest} was stopped: begin it again`));
  }

  /** The blob is not ours any more. */
  drop(digest: Digest): void {
    const part = this.#parts.get(digest);
    if (part === undefined) return this.#host.tracking.unset(digest);
    const why = `blob ${digest} was removed while it was in use: ask for it again`;
    this.#end(part, 'dropped', new ApiError('UNAVAILABLE', why));
  }

  /** A piece that the store claimed to hold is not there: pulled again. */
  lost(digest: Digest, piece: number): void {
    const part = this.#parts.get(digest);
    if (part?.state === 'growing') return void this.#repair.lacks(part, piece);
    if (part?.pulls !== true) {
      if (part !== undefined) this.#leave(part, 'left');
      return this.#track(this.#repair.inspect(this.pull(digest)));
    }
    const whole = part.state === 'held';
    this.#repair.lacks(part, piece);
    if (whole) this.#track(this.#repair.inspect(part));
  }

  lostNo(blob: BlobNo, piece: number): void {
    const part = this.#byNo[blob];
    if (part !== undefined) this.lost(part.digest, piece);
  }

  entryOf(blob: BlobNo): BlobEntry | undefined {
    return this.#byNo[blob]?.entry;
  }

  /** A peer opens `digest`: if we hold it whole, the swarm learns so before it answers; once this settles, if it is not at once. */
  wanted(digest: Digest): Promise<void> | undefined {
    const entry = this.#parts.has(digest) ? undefined : this.#host.serves(digest);
    if (entry?.complete !== true) return undefined;
    if (!entry.hashesLoaded) return haveList(entry).then(() => void (entry.hashesLoaded && this.wanted(digest)));
    const part = new Part(digest, { pulls: false, given: false }, this.#partHost);
    part.enter(entry, 'opened');
    this.#join(part);
    return undefined;
  }

  /** Bytes of a piece are coming. */
  progress(blob: BlobNo): void {
    this.#byNo[blob]?.came();
  }

  /** Whether bytes of the blob came just now. */
  receives(digest: Digest): boolean {
    const cameMs = this.#parts.get(digest)?.cameMs;
    return cameMs !== undefined && this.#host.nowMs() - cameMs < receivingMs;
  }

  answer(answer: AnnounceAnswer): void {
    const part = this.#parts.get(answer.digest);
    if (part === undefined || part.state === 'held' || part.state === 'storing') return;
    if (answer.inline !== undefined && part.state === 'seeking')
      return this.#track(enterInline(part, answer, this.#inlines));
    const unknown = answer.error === 'unknown' && !part.given;
    if (unknown && part.state === 'seeking') {
      const why = `blob ${answer.digest} is whole on no origin of this cluster`;
      return this.#end(part, 'unknown', new ApiError('BLOB_UNKNOWN', why));
    }
    part.heard(answer, unknown);
    this.#suggest(part, answer);
  }

  /** What this process received is not its digest's: who got it from here hears so. */
  revoke(digest: Digest, why: ApiError): void {
    const part = this.#parts.get(digest);
    if (part?.no === undefined) return;
    this.#host.input({ kind: 'revoke', blob: part.no });
    this.#end(part, 'revoked', why);
  }

  // ---- what the swarm says ---------------------------------------------------------------------

  learned(learned: Of<'learned'>): void {
    const { blob, meta, hashes } = learned;
    const part = this.#byNo[blob];
    if (part === undefined) return;
    if (meta === undefined || part.state === 'growing' || part.making !== undefined)
      return this.#growth.learned(part, learned);
    if (part.entry !== undefined) return;
    // Before anything is asked for.
    if (part.paced) this.#host.input({ kind: 'scope', blob, add: [], drop: [] });
    const making = this.#enter(part, () => this.#host.store.create(part.digest, meta, hashes));
    this.#track(part.makes(making));
  }

  /** Stores an arrived piece. The slot is released here. */
  verify({ blob, piece, link, slot }: Of<'verify'>, sender: Sender): void {
    const arrival = { blob, piece, link, ...sender };
    this.#track(this.#arrivals.store(this.#byNo[blob], arrival, this.#host.arena.slot(slot)));
  }

  complete({ blob }: Of<'complete'>): void {
    const part = this.#byNo[blob];
    if (part !== undefined) this.#track(this.#finish(part));
  }

  seek({ blob }: Of<'seek'>): void {
    const part = this.#byNo[blob];
    if (part !== undefined && part.state !== 'storing') this.#host.tracking.seek(part, this.#host.neighbours);
  }

  /** Of one that grows, or was taken back. */
  told(said: Of<'revoked' | 'refresh' | 'odds'>): void {
    const part = this.#byNo[said.blob];
    if (part !== undefined) this.#growth.said(part, said.kind === 'refresh' && said.whole ? 'whole' : said.kind);
  }

  // ---- the node's ------------------------------------------------------------------------------

  sweep(nowMs: number): void {
    for (const part of this.#parts.values()) {
      part.sweep(nowMs, this.#host);
      if ((part.entry?.unreadCount || part.entry?.unfinished) && this.#repair.due(part))
        this.#track(this.#reread(part));
      if (part.passage !== undefined) this.#tendPassage(part, nowMs);
      if (part.asks(nowMs)) this.#host.tracking.seek(part, this.#host.neighbours);
      if (part.no === undefined) continue;
      if (part.used || (part.state === 'held' && (this.#host.statsOf(part.no)?.sinks ?? 0) > 0)) part.usedMs = nowMs;
      const end = part.unused(nowMs);
      if (end === 'idle') this.#leave(part, end);
      else if (end !== undefined) {
        this.#end(part, end, new ApiError('UNAVAILABLE', `nobody waits for ${part.digest} any more: ask for it again`));
      }
    }
  }

  async close(): Promise<void> {
    for (const part of [...this.#parts.values()]) {
      this.#leave(part);
      part.fail('closed', new ApiError('UNAVAILABLE', 'this process is shutting down'));
    }
    while (this.#busy.size > 0) await Promise.all(this.#busy);
  }

  // ---- within ----------------------------------------------------------------------------------

  #join(part: Part): void {
    const { digest, pulls: pull, entry } = part;
    const no = this.#freeNos.pop() ?? this.#byNo.length;
    part.no = no;
    this.#byNo[no] = part;
    this.#parts.set(digest, part);
    const grows = entry instanceof GrowingEntry && entry.growth !== undefined;
    const whole = grows ? undefined : entry;
    const have = whole === undefined ? undefined : whole.complete ? ('all' as const) : whole.haveBits();
    const known = { meta: whole?.meta, hashes: whole?.hashes, have };
    this.#host.input({ kind: 'blob', blob: no, digest, ...known, pull });
    if (grows) this.#growth.joins(part, entry);
    if (entry !== undefined && (part.paced || entry.window !== undefined))
      part.passage = scopingOf(part, entry, this.#host);
  }

  /** Out of the swarm; the part may live on. `end`: and whole. */
  #leave(part: Part, end?: PartEnd): void {
    if (part.no === undefined) return;
    this.#host.input({ kind: 'drop', blob: part.no });
    part.passage?.close();
    if (part.entry?.window !== undefined) this.#host.store.passed(part.entry);
    this.#byNo[part.no] = undefined;
    if (part.verifying === 0) this.#freeNos.push(part.no);
    part.no = undefined;
    this.#parts.delete(part.digest);
    if (end !== undefined) part.go(end);
  }

  #end(part: Part, end: PartEnd, error: Error): void {
    this.#leave(part);
    this.#host.tracking.unset(part.digest);
    part.fail(end, error);
  }

  #suggest(part: Part, { peers = [], meta, growth }: PullFrom): void {
    if (growth !== undefined) this.#growth.told(part, growth);
    if (part.no === undefined || (peers.length === 0 && meta === undefined)) return;
    const valid = meta !== undefined && metainfoValid(meta) ? meta : undefined;
    this.#host.input({ kind: 'candidates', blob: part.no, peers, meta: valid });
  }

  async #enter(part: Part, make: () => Promise<BlobEntry>): Promise<BlobEntry | undefined> {
    const { digest } = part;
    try {
      const entry = await make();
      // It is being received here by now; the list that was learned is the whole one.
      if (part.entry === entry) {
        if (entry instanceof GrowingEntry && entry.growth === undefined) this.#growth.settled(part, entry);
        return entry;
      }
      if (part.no === undefined) {
        // Stopped meanwhile. Whoever pulls it by now has this entry, or is about to.
        if (entry.window !== undefined && !this.#parts.has(digest)) this.#host.store.passed(entry);
        return undefined;
      }
      if (entry.complete) {
        // A push was faster. The swarm would go on as one that lacks every piece, for us and for those who ask us.
        this.#whole(entry);
        return undefined;
      }
      // What began to be received here meanwhile has given way to this entry, and the swarm goes by what that one had.
      if (part.entry !== undefined) throw new ApiError('UNAVAILABLE', `${digest} came in two ways at once: ask again`);
      if (part.paced || entry.window !== undefined) part.passage = scopingOf(part, entry, this.#host);
      const grows = entry.growth !== undefined;
      part.enter(entry, grows ? 'grows' : 'learned');
      if (!grows) this.#host.tracking.set(digest, 'want', entry.meta);
      return entry;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (part.no !== undefined) this.#end(part, 'refused', error);
      return undefined;
    }
  }

  /** What the disk would not read is looked at again: what is whole by it is fed at once. */
  async #reread(part: Part): Promise<void> {
    const entry = await this.#repair.reread(part);
    if (entry !== undefined) this.#whole(entry);
  }

  #whole(entry: BlobEntry): void {
    this.arrived(entry);
    this.seed(entry);
  }

  async #finish(part: Part): Promise<void> {
    const entry = part.making === undefined ? part.entry : await part.making;
    if (entry === undefined || (entry.unfinished && !(await this.#host.store.restore(entry)))) return;
    if (part.no === undefined || part.state !== 'pulling') return;
    part.usedMs = this.#host.nowMs();
    part.finish();
    this.#host.tracking.set(part.digest, 'have', entry.meta);
  }

  #tendPassage(part: Part, nowMs: number): void {
    const { passage, entry } = part;
    if (entry?.window === undefined || passage === undefined) return;
    const { passing } = this.#host.store;
    // In turn: it is no stall that those before it take their time.
    if (entry.window.capacity === 0) part.progressMs = nowMs;
    this.#track(passing.grow(entry));
    passage.due();
    if (passing.waiting && entry.window.capacity > 0 && !part.used) {
      const why = `${part.digest} passed through, and its room is wanted for others`;
      this.#end(part, 'displaced', new ApiError('UNAVAILABLE', why));
    }
  }

  /** The number of a blob that has left is free once the store has answered for its last piece. */
  #settled(part: Part, blob: BlobNo): void {
    part.verifying--;
    if (part.verifying === 0 && part.no === undefined) this.#freeNos.push(blob);
  }

  #track(work: Promise<void>): void {
    this.#busy.add(work);
    void work.finally(() => this.#busy.delete(work));
  }
}
