/**
 * Virtual time in rounds, for thousands of hosts: whatever falls into a round runs at its time, host
 * by host, so that a host's state is fetched from memory once a round and not once an event. An event's
 * time is rounded to the nearest round, so that delays are right on average; nothing runs in the
 * round that schedules it.
 *
 * Rule 1: deterministic. Within a round events of no host come first, then hosts in the order of
 *   their first event; the events of one host in the order in which they were scheduled.
 * Rule 2: constant cost: a wheel of rounds; what lies beyond it waits in a plain list per turn.
 */

import { assert } from '../../../core/assert.ts';
import type { Events, SimEvent } from '../events.ts';

const roundCount = 1 << 13;
const roundMask = roundCount - 1;

export class RoundQueue implements Events {
  nowMs = 0;
  count = 0;
  readonly roundMs: number;
  #round = 0;
  #pending = 0;
  #halted = false;
  /** Newest first. */
  readonly #wheel: (SimEvent | undefined)[] = new Array<SimEvent | undefined>(roundCount).fill(undefined);
  #far: { readonly event: SimEvent; readonly round: number }[] = [];
  /** By host: its events of this round, oldest first. */
  readonly #heads: (SimEvent | undefined)[] = [];
  readonly #hosts: number[] = [];

  constructor(roundMs: number) {
    this.roundMs = roundMs;
  }

  schedule(event: SimEvent, atMs: number): void {
    assert(!Number.isNaN(atMs), 'an event without a time');
    event.atMs = atMs;
    event.dead = false;
    this.#pending++;
    const round = Math.max(this.#round + 1, Math.round(atMs / this.roundMs));
    if (round < this.#round + roundCount) this.#link(event, round);
    else this.#far.push({ event, round });
  }

  halt(): void {
    this.#halted = true;
  }

  run(untilMs: number): boolean {
    this.#halted = false;
    const last = Math.floor(untilMs / this.roundMs);
    while (this.#pending > 0) {
      if (this.#round >= last) return true;
      this.#round++;
      this.nowMs = this.#round * this.roundMs;
      if ((this.#round & roundMask) === 0) this.#nearFar();
      this.#runRound();
      if (this.#halted) return false;
    }
    return false;
  }

  #link(event: SimEvent, round: number): void {
    const at = round & roundMask;
    event.next = this.#wheel[at];
    this.#wheel[at] = event;
  }

  #runRound(): void {
    const at = this.#round & roundMask;
    let event = this.#wheel[at];
    this.#wheel[at] = undefined;
    const heads = this.#heads;
    const hosts = this.#hosts;
    while (event !== undefined) {
      const { next } = event;
      const host = event.host + 1;
      if (heads[host] === undefined) hosts.push(host);
      event.next = heads[host];
      heads[host] = event;
      event = next;
    }
    // Pushed newest first: the last one had the oldest event; those of no host go before all.
    this.#runHost(0);
    for (let i = hosts.length - 1; i >= 0; i--) this.#runHost(hosts[i] as number);
    hosts.length = 0;
  }

  #runHost(host: number): void {
    let event = this.#heads[host];
    this.#heads[host] = undefined;
    while (event !== undefined) {
      const { next } = event;
      event.next = undefined;
      this.#pending--;
      if (!event.dead) {
        this.count++;
        event.run();
      }
      event = next;
    }
  }

  /** Once a turn of the wheel: what is within the next turn comes onto it, in the order of scheduling. */
  #nearFar(): void {
    const far = this.#far;
    this.#far = [];
    for (const waiting of far) {
      if (waiting.round < this.#round + roundCount) this.#link(waiting.event, waiting.round);
      else this.#far.push(waiting);
    }
  }
}
