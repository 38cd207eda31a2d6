/**
 * Two ends of a simulated connection, and what may happen between them.
 *
 * Rule 1: what was written is copied once, when it is read; until then it is the writer's memory, which a writer that
 *   resets takes back with all that is under way.
 * Rule 2: what a paused reader's system takes for it is bounded: beyond `heldBytesMax` the writer is not told `done`.
 */

import type { Clock } from './clock.ts';
import type { Between, Lane, Medium } from './medium.ts';
import type { Connection, Ears, Endpoint } from './net.ts';
import { type Parcel, Pour } from './pour.ts';

/** What a system's buffers hold of a connection that is not read from. */
export const heldBytesMax = 512 * 1024;
/** A header this short goes with what is written after it, as one segment. */
const joinedBytesMax = 4 * 1024;

/** What an end waits for from the other side: to be connected, to hear anything, to be read, to hear that all is over. */
export type EndWait = {
  readonly what: 'connection' | 'firstByte' | 'reader' | 'end';
  /** Since then it has not moved. */
  readonly sinceMs: number;
};

export class End implements Connection {
  readonly remote: Endpoint;
  /** Resolves once it is closed, whoever closed it. */
  readonly over: Promise<void>;
  readonly #resolve: () => void;
  readonly #ears: Ears;
  readonly #clock: Clock;
  readonly #pour: Pour;
  #lane: Lane | undefined;
  #other: End | undefined;
  #pair: Pair | undefined;
  #state: 'connecting' | 'open' | 'closed' = 'connecting';
  /** What waits for `uncork`, or for the connection. */
  #corked: Parcel[] = [];
  #cork = false;
  /** What we write has ended; its end has left; the other side's has come; we have read so far. */
  #ending = false;
  #left = false;
  #heardEnd = false;
  #readEnd = false;
  /** Written and not yet taken by the other side. */
  #outBytes = 0;
  #heldBytes = 0;
  #heard = false;
  #movedMs: number;

  constructor(o: { remote: Endpoint; ears: Ears; clock: Clock }) {
    this.remote = o.remote;
    this.#ears = o.ears;
    this.#clock = o.clock;
    this.#movedMs = o.clock.nowMs();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.over = promise;
    this.#resolve = resolve;
    this.#pour = new Pour(o.ears, { later: (call) => o.clock.soon(call), empty: () => this.#emptied() });
  }

  get connecting(): boolean {
    return this.#state === 'connecting';
  }

  get open(): boolean {
    return this.#state !== 'closed';
  }

  /** For whoever judges a run: undefined where it waits for nothing. */
  get waiting(): EndWait | undefined {
    if (!this.open) return undefined;
    const sinceMs = this.#movedMs;
    if (this.connecting) return { what: 'connection', sinceMs };
    if (this.#outBytes > 0) return { what: 'reader', sinceMs };
    if (this.#ending) return { what: 'end', sinceMs };
    return this.#heard ? undefined : { what: 'firstByte', sinceMs };
  }

  write(bytes: Uint8Array, done: () => void): void {
    if (!this.open || this.#ending) return;
    if (this.#outBytes === 0) this.#moved();
    this.#outBytes += bytes.length;
    const used = (): void => {
      this.#outBytes -= bytes.length;
      if (!this.open) return;
      this.#moved();
      done();
      this.#leave();
    };
    this.#corked.push({ bytes, used });
    if (!this.#cork) this.#flush();
  }

  cork(): void {
    this.#cork = true;
  }

  uncork(): void {
    this.#cork = false;
    this.#flush();
  }

  end(): void {
    if (!this.open || this.#ending) return;
    this.#ending = true;
    this.#cork = false;
    this.#moved();
    this.#flush();
    this.#leave();
  }

  pause(): void {
    this.#pour.pause();
  }

  resume(): void {
    this.#pour.resume();
  }

  destroy(): void {
    if (!this.open) return;
    const told = this.#left ? 'closed by the peer' : 'read ECONNRESET';
    const other = this.#other;
    this.#close();
    this.#pair?.tell(other, told);
    other?.abandoned();
  }

  // ---- for the net -----------------------------------------------------------------------------

  /** They are connected; the dialler hears of it by its own lane. */
  join(pair: Pair, other: End, lane: Lane): void {
    this.#pair = pair;
    this.#other = other;
    this.#lane = lane;
  }

  made(side: 'dialler' | 'acceptor'): void {
    if (this.#state !== 'connecting') return;
    this.#state = 'open';
    this.#moved();
    if (side === 'dialler') this.#ears.connected?.();
    this.#flush();
    this.#leave();
  }

  /** It is over, for a reason that is not ours. */
  ended(why: string): void {
    if (!this.open) return;
    this.#close();
    this.#ears.closed(why);
  }

  /** Without power: nobody is told. */
  vanish(): void {
    if (!this.open) return;
    this.#close();
    this.#pair?.vanished(this.#other);
    this.#other?.abandoned();
  }

  arrived(parcels: readonly Parcel[]): void {
    if (!this.open) return;
    this.#heard = true;
    for (const { bytes, used } of parcels) this.#pour.push(bytes, used);
    if (this.#pour.paused) this.#hold();
  }

  endArrived(): void {
    if (!this.open) return;
    this.#heardEnd = true;
    if (!this.#pour.paused) this.#emptied();
  }

  /** The other side has taken its memory back: what it did not hand over is lost. */
  abandoned(): void {
    const at = this.#pour.waiting.findIndex(({ used }) => used !== undefined);
    if (at >= 0) this.#pour.drop(at);
  }

  // ---- within ----------------------------------------------------------------------------------

  #moved(): void {
    this.#movedMs = this.#clock.nowMs();
  }

  #flush(): void {
    if (this.#state !== 'open' || this.#corked.length === 0) return;
    const parcels = this.#corked;
    this.#corked = [];
    let segment: Parcel[] = [];
    for (const [i, parcel] of parcels.entries()) {
      segment.push(this.#onItsWay(parcel));
      if (parcel.bytes.length <= joinedBytesMax && i + 1 < parcels.length) continue;
      this.#send(segment);
      segment = [];
    }
  }

  #onItsWay(parcel: Parcel): Parcel {
    const { medium, ends } = this.#pair as Pair;
    const bytes = medium.sent?.(this.#pair as Pair, ends[0] === this ? 0 : 1, parcel.bytes) ?? parcel.bytes;
    return bytes === parcel.bytes ? parcel : { ...parcel, bytes };
  }

  /** Together, or where the medium takes them apart. */
  #send(segment: readonly Parcel[]): void {
    const bytes = segment.reduce((sum, parcel) => sum + parcel.bytes.length, 0);
    for (const part of apart(segment, this.#pair?.medium.cuts?.(bytes) ?? [])) {
      const length = part.reduce((sum, parcel) => sum + parcel.bytes.length, 0);
      this.#lane?.send(length, () =>
        this.#pair?.pass(() => {
          // Memory of a writer that is gone is not read any more.
          if (this.open) this.#other?.arrived(part);
        }),
      );
    }
  }

  /** The end follows the last of what was written, once that was taken. */
  #leave(): void {
    if (!this.#ending || this.#left || this.#state !== 'open' || this.#outBytes > 0) return;
    this.#left = true;
    this.#lane?.send(0, () => this.#pair?.pass(() => this.#other?.endArrived()));
    this.#clock.soon(() => {
      if (this.open) this.#ears.finished?.();
    });
    this.#overIfBoth();
  }

  /** A paused reader's system takes what fits. */
  #hold(): void {
    for (const [at, { bytes, used }] of [...this.#pour.waiting].entries()) {
      if (used === undefined) continue;
      if (this.#heldBytes + bytes.length > heldBytesMax) return;
      this.#heldBytes += bytes.length;
      this.#pour.keep(at);
    }
  }

  /** All that came has been read. */
  #emptied(): void {
    this.#heldBytes = 0;
    if (!this.#heardEnd) return;
    this.#readEnd = true;
    this.end();
    this.#overIfBoth();
  }

  #overIfBoth(): void {
    if (!this.#left || !this.#readEnd) return;
    this.#clock.soon(() => {
      if (!this.open) return;
      this.#close('in order');
      this.#ears.closed('closed by the peer');
    });
  }

  /** `in order`: the end that we sent may still be under way, and arrives. */
  #close(how?: 'in order'): void {
    this.#state = 'closed';
    this.#corked = [];
    this.#pour.close();
    if (how === undefined) this.#lane?.close();
    this.#resolve();
  }
}

/** What a connection is between its ends: whole, cut, or broken. */
export class Pair implements Between {
  readonly medium: Medium;
  readonly hosts: readonly [string, string];
  readonly ends: readonly [End, End];
  #state: 'whole' | 'cut' | 'broken' = 'whole';
  readonly #held: (() => void)[] = [];

  constructor(medium: Medium, o: { dialler: End; acceptor: End; from: string; to: string }) {
    this.medium = medium;
    this.hosts = [o.from, o.to];
    this.ends = [o.dialler, o.acceptor];
  }

  /** Neither end takes part any more. */
  get dead(): boolean {
    return this.ends.every((end) => !end.open);
  }

  get cutOff(): boolean {
    return this.#state === 'cut';
  }

  /** What is under way is held. */
  cut(): void {
    if (this.#state === 'whole') this.#state = 'cut';
  }

  /** It goes on, or turns out to be dead, which its ends hear after `noticeMs`. */
  mend(lives: boolean, noticeMs = 0): void {
    if (this.#state !== 'cut') return;
    const { clock } = this.medium;
    this.#state = lives ? 'whole' : 'broken';
    const held = this.#held.splice(0);
    const [one, two] = this.ends;
    for (const [end, other] of [[one, two] as const, [two, one] as const]) {
      if (!lives || !other.open) clock.after(noticeMs, () => end.ended('read ECONNRESET'));
    }
    if (lives) for (const arrive of held) arrive();
  }

  /** Whoever is between them resets it: either end hears of it. */
  reset(): void {
    this.#state = 'broken';
    for (const end of this.ends) this.medium.clock.soon(() => end.ended('read ECONNRESET'));
  }

  // ---- for the ends ----------------------------------------------------------------------------

  pass(arrive: () => void): void {
    if (this.#state === 'cut') this.#held.push(arrive);
    else if (this.#state === 'whole') arrive();
  }

  /** One end is gone: the other one hears of it, if anything gets through by then. */
  tell(other: End | undefined, why: string): void {
    if (other === undefined || !other.open) return;
    const [from, to] = this.hosts;
    this.medium.clock.after(this.medium.dialMs(from, to) ?? 0, () => {
      if (this.#state === 'whole') other.ended(why);
    });
  }

  vanished(other: End | undefined): void {
    this.#state = 'broken';
    this.medium.clock.after(this.medium.noticeMs(), () => other?.ended('connect ETIMEDOUT'));
  }
}

/** Joins two ends; the dialler hears of it first of all that comes to it. */
export function pairOf(medium: Medium, o: { dialler: End; acceptor: End; from: string; to: string }): Pair {
  const pair = new Pair(medium, o);
  const back = medium.lane(o.to, o.from, 'feeds');
  o.acceptor.join(pair, o.dialler, back);
  o.dialler.join(pair, o.acceptor, medium.lane(o.from, o.to, 'dialler'));
  o.acceptor.made('acceptor');
  back.send(0, () => pair.pass(() => o.dialler.made('dialler')));
  return pair;
}

const nobody = (): void => undefined;

/** The same bytes in order, taken apart at the given offsets; each parcel's end is told with its last part. */
function apart(segment: readonly Parcel[], cuts: readonly number[]): Parcel[][] {
  if (cuts.length === 0) return [[...segment]];
  const parts: Parcel[][] = [[]];
  let at = 0;
  let next = 0;
  for (const { bytes, used } of segment) {
    let from = 0;
    while (next < cuts.length && (cuts[next] as number) - at < bytes.length) {
      const to = Math.max(from, (cuts[next] as number) - at);
      if (to > from) (parts.at(-1) as Parcel[]).push({ bytes: bytes.subarray(from, to), used: nobody });
      parts.push([]);
      from = to;
      next++;
    }
    (parts.at(-1) as Parcel[]).push({ bytes: bytes.subarray(from), used });
    at += bytes.length;
  }
  return parts.filter((part) => part.length > 0);
}
