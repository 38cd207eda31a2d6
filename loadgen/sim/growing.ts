/**
 * The backend that an origin receives blobs from, while hosts pull them: the front of each moves at a rate, from the first
 * question for it on. The origin hashes in no time; the digest is compared with the last piece.
 */

import type { Growth, Metainfo } from '../../core/piece.ts';
import { hashBytes } from '../../core/piece.ts';
import type { Input } from '../../core/swarm/types.ts';
import { rootOfHashes } from './contents.ts';
import type { FleetContext, SimBlob } from './fleet.ts';
import { CallEvent } from './network/network.ts';

/** What is there of a blob so far. */
type Front = { known: number; readonly sinceMs: number };

export type BackendConfig = {
  readonly context: FleetContext;
  readonly metas: readonly Metainfo[];
  readonly hashes: readonly Uint8Array[];
  /** To the swarm of the origin that receives it. */
  readonly tell: (input: Input) => void;
};

export class Backend {
  readonly #config: BackendConfig;
  readonly #fronts = new Map<number, Front>();

  constructor(config: BackendConfig) {
    this.#config = config;
  }

  /** What the origin answers of the blob: how much it knows, or the metainfo. The first question has it received. */
  ask(no: number): Growth | Metainfo {
    const front = this.#fronts.get(no) ?? this.#begin(no);
    const meta = this.#config.metas[no] as Metainfo;
    return front.known === this.#blob(no).pieces ? meta : this.#growthOf(no, front.known);
  }

  /** How long the blob has been received for. */
  ageMs(no: number): number {
    const front = this.#fronts.get(no);
    return front === undefined ? 0 : this.#config.context.events.nowMs - front.sinceMs;
  }

  #begin(no: number): Front {
    const { events } = this.#config.context;
    const front = { known: 0, sinceMs: events.nowMs };
    this.#fronts.set(no, front);
    this.#config.tell({ kind: 'grown', blob: no, growth: this.#growthOf(no, 0), hashes: new Uint8Array(0) });
    this.#next(no, front);
    return front;
  }

  /** All blobs together come at the rate. */
  #next(no: number, front: Front): void {
    const { events, options, blobs } = this.#config.context;
    const { length, pieceLength, pieces } = this.#blob(no);
    const bytes = Math.min(length, (front.known + 1) * pieceLength);
    const atMs = front.sinceMs + (bytes * blobs.length * 1000) / options.grow;
    const arrives = (): void => {
      front.known += 1;
      if (front.known < pieces) {
        this.#say(no, front.known);
        return this.#next(no, front);
      }
      const { metas, hashes, tell } = this.#config;
      return tell({ kind: 'settled', blob: no, meta: metas[no] as Metainfo, hashes: hashes[no] as Uint8Array });
    };
    events.schedule(new CallEvent(arrives), Math.max(atMs, events.nowMs));
  }

  #say(no: number, known: number): void {
    const hashes = this.#known(no, known);
    this.#config.tell({ kind: 'grown', blob: no, growth: this.#growthOf(no, known), hashes, gained: [known - 1] });
  }

  #growthOf(no: number, known: number): Growth {
    const { length, pieceLength } = this.#blob(no);
    return { length, pieceLength, known, root: rootOfHashes(this.#known(no, known)) };
  }

  #known(no: number, known: number): Uint8Array {
    return (this.#config.hashes[no] as Uint8Array).subarray(0, known * hashBytes);
  }

  #blob(no: number): SimBlob {
    return this.#config.context.blobs[no] as SimBlob;
  }
}
