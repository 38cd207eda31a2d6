/**
 * Parts of records that know none of the others: the other end of a link (of one that we pull on the Feeder, which
 * pulling/ writes, of one that we feed on the Puller, which feeding/ writes), the grants that lie between, and how a
 * blob looks for neighbours. Data only; ours.ts says who may write what.
 */

import type { PeerAddress, Wish } from '../../wire/messages.ts';
import { openersMax } from '../limits.ts';
import type { SeenBits, SeenBytes } from './bits.ts';
import type { AllowanceState } from './lives.ts';

/** Takes `item` out of `list`; the order is not kept. */
export function takeOut<T>(list: T[], item: T): boolean {
  const at = list.indexOf(item);
  if (at < 0) return false;
  const last = list.pop()!;
  if (at < list.length) list[at] = last;
  return true;
}

/** Something that may be had so many times at once, and so many times a millisecond after that. */
export class Budget {
  #left: number;
  #sinceMs: number;
  readonly #most: number;
  readonly #perMs: number;

  constructor(most: number, perMs: number, nowMs: number) {
    this.#left = most;
    this.#most = most;
    this.#perMs = perMs;
    this.#sinceMs = nowMs;
  }

  /** More was spent than there was, when last something was. */
  get overdrawn(): boolean {
    return this.#left < 0;
  }

  /** False where there is less than that. */
  spend(count: number, nowMs: number): boolean {
    this.#left = Math.min(this.#most, this.#left + (nowMs - this.#sinceMs) * this.#perMs) - count;
    this.#sinceMs = nowMs;
    return this.#left >= 0;
  }
}

// ---- the two ends of a link -------------------------------------------------------------------------

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

/** What of a blob may come from other zones; pulling/ writes it. */
export class Abroad {
  /** Whether we know our zone; where we do not, nothing is far. */
  readonly kept: boolean = false;
  /** Open pieces that no agent of our zone is known to hold, and how many they are. */
  readonly open: SeenBits = new Int32Array(0);
  readonly count: number = 0;
  /** By piece: agents of our zone that hold it, and not everything; how many hold everything. */
  readonly near: SeenBytes = new Uint8Array(0);
  readonly nearAll: number = 0;
  /** Pieces held when that changed last, and since when; nothing comes: until then anything may come from anywhere. */
  readonly held: number = 0;
  readonly sinceMs: number = 0;
  readonly liftedUntilMs: number = 0;
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

/** The wishes but that for `piece`. */
export function withoutWish<W extends Wish>(wishes: readonly W[], piece: number): W[] {
  for (let i = 0; i < wishes.length; i += 1)
    if (wishes[i]!.piece === piece) return wishes.filter((wish) => wish.piece !== piece);
  return wishes as W[];
}

// ---- how a blob looks for neighbours ----------------------------------------------------------------

export type Candidate = { readonly address: PeerAddress; readonly notBeforeMs: number; readonly failures: number };

/** How long nobody has had anything for us. */
export type Starving = {
  /** When this round began, and what was held then. */
  readonly sinceMs: number;
  readonly held: number;
  /** Rounds that brought nothing; 0: we do not starve. */
  readonly rounds: number;
  /** Openings beyond the degree that are left in this round. */
  readonly openings: number;
};

/**
 * Who opened a blob at a full origin and could not stay: named to the next ones that cannot, since they look for
 * neighbours as well. Everybody comes to an origin first where no tracker answers, so they are spread over all hosts.
 */
export class Openers {
  readonly #latest: { address: PeerAddress; atMs: number }[] = [];
  #next = 0;

  add(address: PeerAddress, nowMs: number): void {
    if (address.port === 0) return;
    const known = this.#latest.find((one) => one.address.node === address.node);
    if (known !== undefined) {
      known.atMs = nowMs;
      return;
    }
    this.#latest[this.#next] = { address, atMs: nowMs };
    this.#next = (this.#next + 1) % openersMax;
  }

  /** Those that came lately. */
  since(ms: number): PeerAddress[] {
    return this.#latest.filter(({ atMs }) => atMs >= ms).map(({ address }) => address);
  }
}

/** How a blob stands in its graph, with its edges (`E`), which records.ts knows. */
export class Neighbourhood<E> {
  readonly edges: readonly E[] = [];
  readonly candidates: readonly Candidate[] = [];
  readonly openers = new Openers();
  readonly starving: Starving = { sinceMs: 0, held: -1, rounds: 0, openings: 0 };
  readonly seekAtMs: number = 0;
  readonly seekEveryMs: number = 0;
}
