/**
 * Pieces that arrived: into the store, and what came of it to the swarm, to those who wait, and to whoever may want the
 * bytes now.
 *
 * Rule: every arrival is answered by one `verified`, even where its blob has left.
 */

import { ApiError } from '../../../core/contracts/errors.ts';
import { distanceOf } from '../../../core/place.ts';
import type { BlobNo, BlobStats, Input, LinkNo, Verdict } from '../../../core/swarm/types.ts';
import type { PeerAddress } from '../../../core/wire/messages.ts';
import type { BlobEntry } from '../../store/pieces/entry.ts';
import type { Logger } from '../../telemetry/log.ts';
import type { Slot } from '../../workers/arena.ts';
import type { Distance, PeerMetrics, PeerRole } from '../metrics.ts';
import type { Part } from './part.ts';
import { lacking, type Repair } from './repair.ts';

export type ArrivalsParts = {
  readonly host: {
    input(input: Input): void;
    statsOf(blob: BlobNo): BlobStats | undefined;
    readonly log: Logger;
    readonly metrics: PeerMetrics;
  };
  readonly repair: Repair;
  /** The store has answered for the piece, and the swarm has heard. */
  readonly settled: (part: Part, blob: BlobNo) => void;
  /** The store gave the blob up. */
  readonly refused: (part: Part, why: Error) => void;
};

/** Who sent a piece. */
export type Sender = { readonly role: PeerRole; readonly from: Distance };

export function senderOf(self: PeerAddress, peer: PeerAddress | undefined): Sender {
  return {
    role: peer?.role ?? 'unknown',
    from: self.zone === '' ? 'unknown' : distanceOf(self.zone, peer?.zone ?? ''),
  };
}

export type Arrival = Sender & {
  readonly blob: BlobNo;
  readonly piece: number;
  readonly link: LinkNo;
};

export class Arrivals {
  readonly #parts: ArrivalsParts;

  constructor(parts: ArrivalsParts) {
    this.#parts = parts;
  }

  /** Takes the slot. `part`: undefined where the blob has left before. */
  async store(part: Part | undefined, arrival: Arrival, slot: Slot): Promise<void> {
    const { host } = this.#parts;
    const { blob, piece, link } = arrival;
    const bytes = slot.length;
    if (part !== undefined) part.verifying++;
    const entry = part?.making === undefined ? part?.entry : await part.making;
    const wanted = (): boolean => part?.used === true || (host.statsOf(blob)?.sinks ?? 0) > 0;
    let verdict = await storeSlot(entry, piece, { slot, wanted });
    // Given up again, or found wrong by somebody else, while this was under way: then it comes again.
    if (verdict === 'held' && entry?.has(piece) === false) verdict = 'unwanted';
    if (part !== undefined) this.#count(part, arrival, { verdict, bytes });
    if (verdict === 'held' && part !== undefined) this.#lackingStill(part, blob);
    host.input({ kind: 'verified', blob, piece, link, verdict });
    if (part !== undefined) this.#parts.settled(part, blob);
    if (part?.no === undefined) return;
    if (verdict === 'held') {
      part.held(piece);
      part.passage?.held(piece);
    }
    if (verdict === 'failed') this.#failed(part, piece);
  }

  #count(part: Part, { piece, role, from }: Arrival, { verdict, bytes }: { verdict: Verdict; bytes: number }): void {
    const { metrics, log } = this.#parts.host;
    metrics.piece(verdict);
    if (verdict === 'held') metrics.verified(from, bytes);
    if (verdict === 'held' && role === 'origin') part.stats.bytesFromOrigins += bytes;
    else if (verdict === 'held') part.stats.bytesFromPeers += bytes;
    if (verdict === 'corrupt') log.warn({ digest: part.digest, piece }, 'a peer sent a corrupt piece');
  }

  /** The swarm is about to take the blob for whole. Of what the disk has lost meanwhile it hears before that. */
  #lackingStill(part: Part, blob: BlobNo): void {
    const stats = this.#parts.host.statsOf(blob);
    const { entry } = part;
    if (stats === undefined || stats.held + 1 < stats.pieces || entry === undefined) return;
    if (!entry.complete && entry.window === undefined)
      for (const piece of lacking(entry)) this.#parts.repair.lacks(part, piece);
  }

  /** The disk would not take a piece: those who wait for it hear why; the swarm tries again later, and brings what else was found bad. */
  #failed(part: Part, piece: number): void {
    const { entry, digest } = part;
    const why = entry?.failure ?? new ApiError('UNAVAILABLE', `piece ${piece} of ${digest} cannot be stored`);
    this.#parts.host.log.warn({ digest, piece, why: why.message }, 'a piece cannot be stored');
    if (entry?.gone === true) return this.#parts.refused(part, why);
    part.refused(piece, why);
    for (const other of lacking(entry)) if (other !== piece) this.#parts.repair.lacks(part, other);
  }
}

/** Takes the slot. `wanted`: whether somebody may read the piece soon; asked once it is held. */
export async function storeSlot(
  entry: BlobEntry | undefined,
  piece: number,
  { slot, wanted }: { readonly slot: Slot; readonly wanted: () => boolean },
): Promise<Verdict> {
  let verdict: Verdict = 'failed';
  // A piece that is held already is not looked at again: what came now may be anything, and is shown to nobody.
  const had = entry?.has(piece) === true;
  try {
    // Asked for before it was known that there is no room for the whole blob, or that nobody would read it.
    if (entry?.window?.has(piece) === false) verdict = 'unwanted';
    else if (entry !== undefined) verdict = await entry.write(piece, slot);
  } finally {
    if (entry !== undefined && verdict === 'held' && !had && wanted()) entry.keep(piece, slot);
    else slot.release();
  }
  return verdict;
}
