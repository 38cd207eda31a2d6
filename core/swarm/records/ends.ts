/**
 * The other end of a link: of one that we pull on the Feeder, which pulling/ writes, of one that we feed on the Puller,
 * which feeding/ writes; and the grants that lie between. Data only; ours.ts says who may write what.
 */

import type { Wish } from '../../wire/messages.ts';
import { hashListsMax, hashListsPerMs, wishesAtOnceMax, wishesPerMs } from '../limits.ts';
import { Budget } from './budget.ts';
import type { AllowanceState } from './lives.ts';

/**
 * What is thought of a feeder, and all that is (pulling/trust.ts draws every conclusion).
 * untried: no piece has come from it. letDown: nor has one, and what it owed was given up, or missing.
 * proven: so many have come. `slowMs`: a high percentile of how long they take, an estimate; 0: none was waited for yet.
 */
export type Opinion =
  | { readonly kind: 'untried' }
  | { readonly kind: 'letDown' }
  | { readonly kind: 'proven'; readonly pieces: number; readonly slowMs: number };

/** Its place where our downlink is full (pulling/window.ts). waits: it passed, and will hear. promised: room is kept for it. */
export type Place =
  | { readonly kind: 'none' }
  | { readonly kind: 'waits' }
  | { readonly kind: 'promised'; readonly sinceMs: number };

/** The other end of a link that we pull on. */
export class Feeder {
  readonly opinion: Opinion = { kind: 'untried' };
  readonly place: Place = { kind: 'none' };
  /** When a piece last came. */
  readonly arrivedMs: number;
  /** Of the pieces on their way from it, those that have stood still for a while. */
  readonly standingPieces: number = 0;
  readonly standingBytes: number = 0;
  /** Pieces on their way from others, as it last heard. */
  readonly toldOthers: number = 0;
  constructor(nowMs: number) {
    this.arrivedMs = nowMs;
  }
}

/** The other end of a link that we feed on. */
export class Puller {
  readonly nextGrant: number = 1;
  /** Grants out, those of them accepted, sinks that would take something. */
  readonly outstanding: number = 0;
  readonly sending: number = 0;
  readonly takers: number = 0;
  /** Its part of the node's uplink load. */
  readonly weight: number = 0;
  /** As last heard: pieces that others send it, bytes on their way to it. */
  readonly others: number = 0;
  readonly inBytes: number = 0;
  readonly restsUntilMs: number = 0;
  /** It passed for want of room with this many bytes on their way to it: no more until there are fewer, or until then. */
  readonly fullBytes: number = 0;
  readonly fullUntilMs: number = 0;
  /** Times in a row that grants expired, after each of which it spoke. */
  readonly ignored: number = 0;
  /** When anything last came, and when a receipt did. */
  readonly heardMs: number;
  readonly receiptMs: number;
  /** Bytes of hash lists that it may still be sent; changes of wishes that it may still say. */
  readonly hashLists: Budget;
  readonly wishes: Budget;
  constructor(nowMs: number) {
    this.heardMs = nowMs;
    this.receiptMs = nowMs;
    this.hashLists = new Budget(hashListsMax, hashListsPerMs, nowMs);
    this.wishes = new Budget(wishesAtOnceMax, wishesPerMs, nowMs);
  }
}

/** A grant that we gave: `piece` is -1 while the puller has not said. */
export class Allowance {
  readonly state: AllowanceState = 'offered';
  readonly grant: number;
  readonly named: boolean;
  readonly piece: number;
  readonly bytes: number;
  readonly sinceMs: number;
  constructor(grant: number, piece: number, bytes: number, sinceMs: number) {
    this.grant = grant;
    this.named = piece >= 0;
    this.piece = piece;
    this.bytes = bytes;
    this.sinceMs = sinceMs;
  }
}

export type SinkWish = Wish & { readonly sinceMs: number };

/** The wishes but that for `piece`. */
export function withoutWish<W extends Wish>(wishes: readonly W[], piece: number): W[] {
  for (let i = 0; i < wishes.length; i += 1)
    if (wishes[i]!.piece === piece) return wishes.filter((wish) => wish.piece !== piece);
  return wishes as W[];
}
