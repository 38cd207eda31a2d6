/**
 * Blobs that an origin still receives: between what is told of them, the store's entry, and the swarm.
 *
 * Rule 1: at who pulls one, the swarm says what is known of its list, and the entry follows. At who receives it, the entry
 *   does, and the swarm follows.
 * Rule 2: who needs the entry waits for what the store is doing with it (`part.making`).
 * Rule 3: where what is told contradicts itself, or the blob is not its digest's, nothing of it stays, and who reads it is
 *   cut off: no response that was begun ends as if it were whole.
 */

import type { Waits } from '../../../core/announce/types.ts';
import { ApiError } from '../../../core/contracts/errors.ts';
import { type Growth, growthValid } from '../../../core/piece.ts';
import type { Input, Output } from '../../../core/swarm/types.ts';
import type { Tracking } from '../../clients/tracking.ts';
import { GrowingEntry } from '../../store/growing/entry.ts';
import type { BlobEntry } from '../../store/pieces/entry.ts';
import type { BlobStore } from '../../store/store.ts';
import type { Logger } from '../../telemetry/log.ts';
import { blake3Hex } from '../../workers/hash.ts';
import type { PartEnd } from './life.ts';
import type { Part } from './part.ts';
import type { BlobsHost } from './pull.ts';

type Learned = Extract<Output, { kind: 'learned' }>;

export type GrowingHost = {
  input(input: Input): void;
  readonly store: Pick<BlobStore, 'growing' | 'revoke'>;
  readonly tracking: Pick<Tracking, 'set' | 'grows'>;
  readonly log: Logger;
  readonly statsOf: BlobsHost['statsOf'];
  /** It is whole by what came here: the swarm begins with it anew. */
  readonly arrived: (entry: BlobEntry) => void;
  /** Makes the part's entry. */
  readonly enter: (part: Part, make: () => Promise<BlobEntry>) => Promise<BlobEntry | undefined>;
  readonly end: (part: Part, end: PartEnd, why: Error) => void;
  /** Work that must end before the node does. */
  readonly track: (work: Promise<void>) => void;
};

export class GrowingParts {
  readonly #host: GrowingHost;

  constructor(host: GrowingHost) {
    this.#host = host;
  }

  /** The swarm knows more of the list of one that grows, at last all of it. */
  learned(part: Part, learned: Learned): void {
    const { entry } = part;
    if (part.making === undefined && entry !== undefined && learned.growth !== undefined) {
      return this.#extend(part, entry, learned.hashes);
    }
    this.#host.track(part.makes(this.#next(part, part.making, learned)));
  }

  /** A tracker told of one that grows: its length is known, and readers can begin, though no hash may be here yet. */
  told(part: Part, growth: Growth): void {
    if (part.no === undefined || !growthValid(growth)) return;
    this.#host.input({ kind: 'grown', blob: part.no, growth });
    if (part.no === undefined || part.state !== 'seeking' || part.making !== undefined) return;
    const { length, pieceLength } = growth;
    const nothing = { length, pieceLength, known: 0, root: blake3Hex(noHashes) };
    this.#host.track(part.makes(this.#make(part, nothing, noHashes)));
  }

  /** The swarm has just heard of the part. */
  joins(part: Part, entry: GrowingEntry): void {
    this.tell(part, entry);
    if (part.pulls) this.#asks(part, false);
  }

  /** The swarm hears what is known of the entry, and which pieces of it are here, or came since. */
  tell(part: Part, entry: GrowingEntry, gained: readonly number[] = heldOf(entry)): void {
    const { growth } = entry;
    if (part.no === undefined || growth === undefined) return;
    this.#host.input({ kind: 'grown', blob: part.no, growth, hashes: entry.hashes, gained });
  }

  /** This process receives the blob: what comes of it is fed at once. */
  follow(part: Part, entry: GrowingEntry): void {
    const gained: number[] = [];
    let due = false;
    const tell = (): void => {
      due = false;
      if (part.entry !== entry || part.state !== 'growing') return;
      for (const piece of gained) part.held(piece);
      if (entry.growth !== undefined) this.tell(part, entry, gained.splice(0));
      else this.#received(part, entry);
    };
    entry.onGrown = (piece) => {
      if (piece !== undefined) gained.push(piece);
      if (!due) queueMicrotask(tell);
      due = true;
    };
  }

  /** What the swarm says of one. refresh: a neighbour knows more than we were told; whole: all of it. */
  said(part: Part, kind: 'refresh' | 'whole' | 'odds' | 'revoked'): void {
    if (kind === 'refresh' || kind === 'whole') return this.#asks(part, kind === 'whole' ? kind : true);
    if (kind === 'odds') return this.#contradicts(part);
    const why = `blob ${part.digest} was not what it claimed to be: its origin took it back${part.said || ': ask again to hear why'}`;
    this.#drop(part, 'revoked', new ApiError('UNAVAILABLE', why));
  }

  /** Somebody waits for the piece. */
  waits(part: Part, piece: number): void {
    if (part.entry instanceof GrowingEntry && piece >= part.entry.known) this.#asks(part, true);
  }

  /** Who pulls it waits for what is not known yet: the tracker is asked anew, soon where somebody `waits`. */
  #asks({ digest, entry }: Part, waits: Waits): void {
    if (entry instanceof GrowingEntry && entry.growth !== undefined)
      this.#host.tracking.grows(digest, entry.known, waits);
  }

  /** It is not what it claimed to be: `why` is told to all who wait for it or read it. */
  #drop(part: Part, end: 'revoked' | 'odds', why: ApiError): void {
    this.#host.log.warn({ digest: part.digest, why: why.message }, 'a blob is taken back: its pieces are dropped');
    // First: who reads it hears of the error, and not of a removal.
    const removed = this.#host.store.revoke(part.digest, why);
    this.#host.end(part, end, why);
    this.#host.track(removed);
  }

  /** The entry is an ordinary one by now. */
  settled(part: Part, entry: GrowingEntry): void {
    // A push may have been faster.
    if (part.state !== 'growing') return;
    if (entry.complete) return this.#received(part, entry);
    part.settle('settled');
    part.passage?.due();
    this.#host.tracking.set(part.digest, 'want', entry.meta);
  }

  // ---- within ----------------------------------------------------------------------------------

  async #next(
    part: Part,
    before: Promise<BlobEntry | undefined> | undefined,
    { growth, meta, hashes }: Learned,
  ): Promise<BlobEntry | undefined> {
    const entry = before === undefined ? part.entry : await before;
    if (part.no === undefined) return undefined;
    if (growth === undefined)
      return entry instanceof GrowingEntry ? await this.#settle(part, entry, { meta, hashes }) : entry;
    if (entry === undefined) return await this.#make(part, growth, hashes);
    this.#extend(part, entry, hashes);
    return entry;
  }

  async #make(part: Part, growth: Growth, hashes: Uint8Array): Promise<BlobEntry | undefined> {
    const { digest } = part;
    const made = await this.#host.enter(part, async () => {
      const entry = await this.#host.store.growing.create(digest, growth, hashes);
      if (entry.complete || entry.growth !== undefined) return entry;
      // The swarm would go on as one that holds nothing of it.
      throw new ApiError('UNAVAILABLE', `the whole list of ${digest} has become known meanwhile: ask for it again`);
    });
    if (made !== undefined) this.#asks(part, false);
    return made;
  }

  #extend(part: Part, entry: BlobEntry, hashes: Uint8Array): void {
    if (!(entry instanceof GrowingEntry)) return;
    if (!entry.extend(hashes)) return this.#contradicts(part);
    part.grew();
    part.passage?.due();
    this.#asks(part, false);
  }

  async #settle(
    part: Part,
    entry: GrowingEntry,
    { meta, hashes }: Pick<Extract<Learned, { growth?: undefined }>, 'meta' | 'hashes'>,
  ): Promise<BlobEntry | undefined> {
    try {
      const settled = await this.#host.store.growing.settle(entry, meta, hashes);
      if (part.no === undefined) return undefined;
      if (!settled) {
        this.#contradicts(part);
        return undefined;
      }
      this.settled(part, entry);
      return entry;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (part.no !== undefined) this.#host.end(part, 'refused', error);
      return undefined;
    }
  }

  /** It is whole: received here, or pushed. */
  #received(part: Part, entry: GrowingEntry): void {
    if (!entry.complete || part.no === undefined) return;
    entry.onGrown = undefined;
    const { known = 0, pieces = 1 } = this.#host.statsOf(part.no) ?? {};
    // A neighbour that has all of it told the swarm the whole list before.
    if (known === pieces) return this.#host.arrived(entry);
    this.#host.input({ kind: 'settled', blob: part.no, meta: entry.meta, hashes: entry.hashes });
    part.settle('received');
    this.#host.tracking.set(part.digest, 'have', entry.meta);
  }

  #contradicts(part: Part): void {
    const why = `what was told of ${part.digest} while an origin received it contradicts what was told before`;
    this.#drop(part, 'odds', new ApiError('UNAVAILABLE', `${why}: ask for it again`));
  }
}

const noHashes = new Uint8Array(0);

/** The pieces that the entry holds. */
function heldOf(entry: BlobEntry): number[] {
  const held: number[] = [];
  for (let piece = 0; piece < entry.pieces; piece++) if (entry.has(piece)) held.push(piece);
  return held;
}
