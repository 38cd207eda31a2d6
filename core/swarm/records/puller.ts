/** The other end of a link that we feed on, as a row of numbers (rows.ts). feeding/ writes it. */

import { hashListsMax, hashListsPerMs, wishesAtOnceMax, wishesPerMs } from '../limits.ts';
import { Budget } from './parts.ts';
import type { Rows } from './rows.ts';

/** The columns; the first eight are what is looked at of every neighbour to find whom to grant to. */
export const pullerAt = {
  outstanding: 0,
  sending: 1,
  inBytes: 2,
  restsUntilMs: 3,
  fullBytes: 4,
  fullUntilMs: 5,
  others: 6,
  weight: 7,
  heardMs: 8,
  receiptMs: 9,
  takers: 10,
  ignored: 11,
  nextGrant: 12,
} as const;
export const pullerWidth = 16;

class PullerRow {
  readonly #rows: Rows;
  #at: number;
  /** Bytes of hash lists that it may still be sent; changes of wishes that it may still say. */
  readonly hashLists: Budget;
  readonly wishes: Budget;

  constructor(rows: Rows, nowMs: number) {
    this.#rows = rows;
    this.#at = rows.take();
    this.nextGrant = 1;
    this.heardMs = nowMs;
    this.receiptMs = nowMs;
    this.hashLists = new Budget(hashListsMax, hashListsPerMs, nowMs);
    this.wishes = new Budget(wishesAtOnceMax, wishesPerMs, nowMs);
  }

  /** Its link is gone. */
  end(): void {
    this.#rows.giveBack(this.#at);
    this.#at = 0;
  }

  /** Where its row begins. */
  get at(): number {
    return this.#at;
  }

  /** Grants out, those of them accepted, sinks that would take something. */
  get outstanding(): number {
    return this.#rows.numbers[this.#at + pullerAt.outstanding]!;
  }
  set outstanding(count: number) {
    this.#rows.numbers[this.#at + pullerAt.outstanding] = count;
  }
  get sending(): number {
    return this.#rows.numbers[this.#at + pullerAt.sending]!;
  }
  set sending(count: number) {
    this.#rows.numbers[this.#at + pullerAt.sending] = count;
  }
  get takers(): number {
    return this.#rows.numbers[this.#at + pullerAt.takers]!;
  }
  set takers(count: number) {
    this.#rows.numbers[this.#at + pullerAt.takers] = count;
  }
  /** Its part of the node's uplink load. */
  get weight(): number {
    return this.#rows.numbers[this.#at + pullerAt.weight]!;
  }
  set weight(load: number) {
    this.#rows.numbers[this.#at + pullerAt.weight] = load;
  }
  /** As last heard: pieces that others send it, bytes on their way to it. */
  get others(): number {
    return this.#rows.numbers[this.#at + pullerAt.others]!;
  }
  set others(pieces: number) {
    this.#rows.numbers[this.#at + pullerAt.others] = pieces;
  }
  get inBytes(): number {
    return this.#rows.numbers[this.#at + pullerAt.inBytes]!;
  }
  set inBytes(bytes: number) {
    this.#rows.numbers[this.#at + pullerAt.inBytes] = bytes;
  }
  get restsUntilMs(): number {
    return this.#rows.numbers[this.#at + pullerAt.restsUntilMs]!;
  }
  set restsUntilMs(ms: number) {
    this.#rows.numbers[this.#at + pullerAt.restsUntilMs] = ms;
  }
  /** It passed for want of room with this many bytes on their way to it: no more until there are fewer, or until then. */
  get fullBytes(): number {
    return this.#rows.numbers[this.#at + pullerAt.fullBytes]!;
  }
  set fullBytes(bytes: number) {
    this.#rows.numbers[this.#at + pullerAt.fullBytes] = bytes;
  }
  get fullUntilMs(): number {
    return this.#rows.numbers[this.#at + pullerAt.fullUntilMs]!;
  }
  set fullUntilMs(ms: number) {
    this.#rows.numbers[this.#at + pullerAt.fullUntilMs] = ms;
  }
  /** Times in a row that grants expired, after each of which it spoke. */
  get ignored(): number {
    return this.#rows.numbers[this.#at + pullerAt.ignored]!;
  }
  set ignored(times: number) {
    this.#rows.numbers[this.#at + pullerAt.ignored] = times;
  }
  get nextGrant(): number {
    return this.#rows.numbers[this.#at + pullerAt.nextGrant]!;
  }
  set nextGrant(no: number) {
    this.#rows.numbers[this.#at + pullerAt.nextGrant] = no;
  }
  /** When anything last came, and when a receipt did. */
  get heardMs(): number {
    return this.#rows.numbers[this.#at + pullerAt.heardMs]!;
  }
  set heardMs(ms: number) {
    this.#rows.numbers[this.#at + pullerAt.heardMs] = ms;
  }
  get receiptMs(): number {
    return this.#rows.numbers[this.#at + pullerAt.receiptMs]!;
  }
  set receiptMs(ms: number) {
    this.#rows.numbers[this.#at + pullerAt.receiptMs] = ms;
  }
}

export type Puller = Readonly<PullerRow>;

export function newPuller(rows: Rows, nowMs: number): Puller {
  return new PullerRow(rows, nowMs);
}
