/**
 * The active pipes and the links that they share, as arrays: a flow is a pipe with something on the
 * wire, a link is a host's uplink or downlink, or a zone's way out or in.
 *
 * Rule 1: flows are dense, 0 to count - 1; the last one takes the place of one that ends.
 * Rule 2: link 0 limits nothing; a flow within its zone names it for both zone links.
 */

import type { Pipe } from './network.ts';

type Doubles = Float64Array<ArrayBuffer>;
type Integers = Int32Array<ArrayBuffer>;

export class Flows {
  count = 0;
  readonly pipes: (Pipe | undefined)[] = [];
  /** Links, by flow: uplink, downlink, out of the zone, into the zone. */
  up: Integers = new Int32Array(256);
  down: Integers = new Int32Array(256);
  out: Integers = new Int32Array(256);
  into: Integers = new Int32Array(256);
  /** Bytes to go of what is on the wire. */
  remaining: Doubles = new Float64Array(256);
  /** How many ticks' share it gets this tick: above 1 where it began within the last one. */
  weight: Doubles = new Float64Array(256);
  /** Bytes that it gets this tick. */
  share: Doubles = new Float64Array(256);

  /** The new flow's number; its zone links and its bytes are the caller's to set. */
  add(pipe: Pipe, up: number, down: number): number {
    const at = this.count++;
    if (at === this.up.length) this.#grow(2 * at);
    pipe.slot = at;
    this.pipes[at] = pipe;
    this.up[at] = up;
    this.down[at] = down;
    this.out[at] = 0;
    this.into[at] = 0;
    this.weight[at] = 1;
    return at;
  }

  remove(at: number): void {
    const last = --this.count;
    (this.pipes[at] as Pipe).slot = -1;
    const moved = this.pipes[last] as Pipe;
    this.pipes[last] = undefined;
    if (at === last) return;
    moved.slot = at;
    this.pipes[at] = moved;
    this.up[at] = this.up[last] as number;
    this.down[at] = this.down[last] as number;
    this.out[at] = this.out[last] as number;
    this.into[at] = this.into[last] as number;
    this.remaining[at] = this.remaining[last] as number;
    this.weight[at] = this.weight[last] as number;
    this.share[at] = this.share[last] as number;
  }

  #grow(length: number): void {
    const integers = (old: Integers): Integers => {
      const grown = new Int32Array(length);
      grown.set(old);
      return grown;
    };
    const doubles = (old: Doubles): Doubles => {
      const grown = new Float64Array(length);
      grown.set(old);
      return grown;
    };
    this.up = integers(this.up);
    this.down = integers(this.down);
    this.out = integers(this.out);
    this.into = integers(this.into);
    this.remaining = doubles(this.remaining);
    this.weight = doubles(this.weight);
    this.share = doubles(this.share);
  }
}

export class Links {
  count = 0;
  /** Bytes that it can carry in a tick, and in this one. */
  capacity: Doubles = new Float64Array(64);
  room: Doubles = new Float64Array(64);
  /** Bytes that it did carry in this tick. */
  used: Doubles = new Float64Array(64);
  /** Bytes that it may carry beyond a tick's in the next one; below 0: that it owes. */
  kept: Doubles = new Float64Array(64);
  /** Bytes of this tick that flows got and did not need, for they ended. */
  lost: Doubles = new Float64Array(64);
  /** What a flow gets here that nothing else holds back: kept from tick to tick. */
  level: Doubles = new Float64Array(64);
  /** Scratch of sharing.ts. */
  weight: Doubles = new Float64Array(64);
  taken: Doubles = new Float64Array(64);
  here: Doubles = new Float64Array(64);
  most: Doubles = new Float64Array(64);

  clear(): void {
    this.count = 0;
  }

  /** The new link's number. */
  add(bytesPerTick: number): number {
    const at = this.count++;
    if (at === this.capacity.length) this.#grow(2 * at);
    this.capacity[at] = bytesPerTick;
    this.kept[at] = 0;
    this.used[at] = 0;
    this.room[at] = bytesPerTick;
    this.level[at] = bytesPerTick;
    return at;
  }

  #grow(length: number): void {
    const doubles = (old: Doubles): Doubles => {
      const grown = new Float64Array(length);
      grown.set(old);
      return grown;
    };
    this.capacity = doubles(this.capacity);
    this.room = doubles(this.room);
    this.used = doubles(this.used);
    this.kept = doubles(this.kept);
    this.lost = doubles(this.lost);
    this.level = doubles(this.level);
    this.weight = doubles(this.weight);
    this.taken = doubles(this.taken);
    this.here = doubles(this.here);
    this.most = doubles(this.most);
  }
}
