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

/** None. */
const none = -1;

/**
 * Which events wait for a round, and which of them are a host's, is told by numbers alone: the events themselves, of six
 * classes and long out of every cache, are looked at only as they run.
 */
export class RoundQueue implements Events {
  nowMs = 0;
  count = 0;
  readonly roundMs: number;
  #round = 0;
  #pending = 0;
  #halted = false;
  /** By place: what waits, its host, and the place that comes after it in its list. Free places are a list, too. */
  readonly #events: (SimEvent | undefined)[] = [];
  #hostOf = new Int32Array(1024);
  #nextOf = new Int32Array(1024);
  #free = none;
  /** By round: its list, newest first. */
  readonly #wheel = new Int32Array(roundCount).fill(none);
  #far: { readonly event: SimEvent; readonly round: number }[] = [];
  /** By host: its list of this round, oldest first. */
  #heads = new Int32Array(64).fill(none);
  readonly #hosts: number[] = [];

  constructor(roundMs: number) {
    this.roundMs = roundMs;
  }

  schedule(event: SimEvent, atMs: number): void {
    assert(!Number.isNaN(atMs), 'an event without a time');
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
    const place = this.#place(event);
    const at = round & roundMask;
    this.#nextOf[place] = this.#wheel[at] as number;
    this.#wheel[at] = place;
  }

  /** A free place, which is the event's from now on. */
  #place(event: SimEvent): number {
    const place = this.#free === none ? this.#events.length : this.#free;
    if (place === this.#events.length) {
      if (place === this.#nextOf.length) {
        this.#hostOf = longer(this.#hostOf, 2 * place);
        this.#nextOf = longer(this.#nextOf, 2 * place);
      }
      this.#events.push(event);
    } else {
      this.#free = this.#nextOf[place] as number;
      this.#events[place] = event;
    }
    const host = event.host + 1;
    this.#hostOf[place] = host;
    if (host >= this.#heads.length) this.#heads = longer(this.#heads, 2 * host).fill(none, this.#heads.length);
    return place;
  }

  #runRound(): void {
    const at = this.#round & roundMask;
    let place = this.#wheel[at] as number;
    this.#wheel[at] = none;
    const heads = this.#heads;
    const hosts = this.#hosts;
    while (place !== none) {
      const next = this.#nextOf[place] as number;
      const host = this.#hostOf[place] as number;
      if (heads[host] === none) hosts.push(host);
      this.#nextOf[place] = heads[host] as number;
      heads[host] = place;
      place = next;
    }
    // Pushed newest first: the last one had the oldest event; those of no host go before all.
    this.#runHost(0);
    for (let i = hosts.length - 1; i >= 0; i--) this.#runHost(hosts[i] as number);
    hosts.length = 0;
  }

  #runHost(host: number): void {
    let place = this.#heads[host] as number;
    this.#heads[host] = none;
    while (place !== none) {
      const next = this.#nextOf[place] as number;
      const event = this.#events[place] as SimEvent;
      this.#events[place] = undefined;
      this.#nextOf[place] = this.#free;
      this.#free = place;
      this.#pending--;
      if (!event.dead) {
        this.count++;
        event.run();
      }
      place = next;
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

function longer(array: Int32Array<ArrayBuffer>, length: number): Int32Array<ArrayBuffer> {
  const grown = new Int32Array(length);
  grown.set(array);
  return grown;
}
