/**
 * Blobs of which the disk has lost something: what is bad is found together and pulled again, and what could
 * only not be read is looked at again.
 *
 * Rule: a disk that refused to read a piece may do better later. Where nobody else has the piece, this is the
 *   only way back.
 */

import type { Input } from '../../../core/swarm/types.ts';
import type { Tracking } from '../../clients/tracking.ts';
import type { BlobEntry } from '../../store/pieces/entry.ts';
import type { BlobStore } from '../../store/store.ts';
import { look } from '../../store/stored.ts';
import type { PieceMemory } from '../../workers/arena.ts';
import { rereadMs } from '../limits.ts';
import type { PartEnd } from './life.ts';
import type { Part } from './part.ts';

/** Whether the entry can be used at once. */
export function usable(entry: BlobEntry): boolean {
  return entry.hashesLoaded && !entry.gone;
}

/** How a part enters with an entry that is here. */
export function howFound(entry: BlobEntry): PartEnd {
  if (entry.growth !== undefined) return 'grows';
  return entry.complete ? 'found' : 'resumed';
}

/** The pieces that the entry does not hold; of none, none. */
export function lacking(entry: BlobEntry | undefined): number[] {
  const pieces: number[] = [];
  for (let piece = 0; piece < (entry?.pieces ?? 0); piece++) if (entry?.has(piece) === false) pieces.push(piece);
  return pieces;
}

export type RepairHost = {
  nowMs(): number;
  input(input: Input): void;
  readonly arena: PieceMemory;
  readonly store: Pick<BlobStore, 'restore'>;
  readonly tracking: Pick<Tracking, 'set' | 'unset' | 'seek'>;
};

export class Repair {
  readonly #host: RepairHost;
  /** When each was last looked at again; only those that are being pulled. */
  readonly #lookedMs = new WeakMap<Part, number>();

  constructor(host: RepairHost) {
    this.#host = host;
  }

  /** The swarm pulls the piece, also where it took the blob for whole. False: the blob has left. */
  lacks(part: Part, piece: number): boolean {
    if (part.no === undefined) return false;
    if (part.state === 'held') {
      part.reopen();
      this.#host.tracking.set(part.digest, 'want', part.entry?.meta);
    }
    this.#host.input({ kind: 'lost', blob: part.no, piece });
    return true;
  }

  /**
   * Where one piece is bad, others may be: reads all that the entry believes to hold, so that what is bad is pulled
   * together, and not one piece after the other as readers come upon them.
   */
  async inspect(part: Part): Promise<void> {
    const { entry } = part;
    for (let piece = 0; entry !== undefined && piece < entry.pieces && !entry.gone; piece++) {
      if (entry.has(piece)) await look(entry, piece, this.#host.arena);
      if (!entry.has(piece) && !this.lacks(part, piece)) return;
    }
  }

  /**
   * Whether it is being pulled, and lacks pieces that the disk would not read, or only the last step, which the disk refused;
   * and it is time to look again.
   */
  due(part: Part): boolean {
    const { entry } = part;
    if (!part.comes || entry === undefined || (entry.unreadCount === 0 && !entry.unfinished)) return false;
    const nowMs = this.#host.nowMs();
    if (nowMs - (this.#lookedMs.get(part) ?? Number.NEGATIVE_INFINITY) < rereadMs) return false;
    this.#lookedMs.set(part, nowMs);
    return true;
  }

  /** Looks again, and tries the last step again; the entry that is whole by it, or undefined. */
  async reread(part: Part): Promise<BlobEntry | undefined> {
    const { entry } = part;
    if (entry === undefined) return undefined;
    for (const piece of entry.unread) await look(entry, piece, this.#host.arena);
    if (entry.unfinished) await this.#host.store.restore(entry);
    return entry.complete ? entry : undefined;
  }
}
