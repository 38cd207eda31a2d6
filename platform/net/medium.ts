/** What lies between two places of a simulated net (simulated.ts): how long bytes take, and what gets through. */

import type { Clock } from './clock.ts';

/** One direction of one connection. What is sent on it arrives in order. */
export type Lane = {
  /** `arrived` is called when the last of these bytes is there. */
  send(bytes: number, arrived: () => void): void;
  /** What is on its way is lost. */
  close(): void;
};

/** One connection: the places of who dialled and of who accepted. */
export type Between = { readonly hosts: readonly [string, string] };

export type Medium = {
  readonly clock: Clock;
  /** How long until `to` hears that somebody dials it, in ms; undefined: it never does. */
  dialMs(from: string, to: string): number | undefined;
  /** How long until a host notices that the one at the other end is without power. */
  noticeMs(): number;
  /** `feeds`: from the side that accepted, which sends most. */
  lane(from: string, to: string, side: 'dialler' | 'feeds'): Lane;
  /** What comes out at the other end in place of `bytes`, which side `from` of that connection has just sent. */
  sent?(between: Between, from: 0 | 1, bytes: Uint8Array): Uint8Array;
  /** Where `bytes`, written together, come apart on their way: offsets within them, ascending. */
  cuts?(bytes: number): readonly number[];
};

/** As long as a keep-alive takes. */
const noticeMs = 10_000;

/** Every lane alike: so much latency, so many bytes a second of its own. */
export function evenMedium(clock: Clock, o: { readonly latencyMs: number; readonly bytesPerMs: number }): Medium {
  return {
    clock,
    dialMs: () => o.latencyMs,
    noticeMs: () => noticeMs,
    lane: () => {
      let freeMs = Number.NEGATIVE_INFINITY;
      let open = true;
      return {
        send(bytes, arrived) {
          freeMs = Math.max(freeMs, clock.nowMs()) + bytes / o.bytesPerMs;
          clock.after(freeMs + o.latencyMs - clock.nowMs(), () => {
            if (open) arrived();
          });
        },
        close() {
          open = false;
        },
      };
    },
  };
}
