/**
 * What all links of a process together may send and receive of pieces: a limit each way, or none. Both may be set while
 * links move bytes.
 *
 * Rule: links ask for the limit whenever they move something. Who waits for one that is there no more is still woken by it.
 */

import type { Clock } from '../../net/clock.ts';
import { Throttle } from './throttle.ts';

/** Bytes a second; undefined: no limit. */
type Bounds = { readonly up?: number | undefined; readonly down?: number | undefined };

export class Rates {
  /** Written to by `set` alone. */
  up: Throttle | undefined;
  down: Throttle | undefined;
  readonly #clock: Clock;

  constructor(clock: Clock, bounds: Bounds) {
    this.#clock = clock;
    this.set(bounds);
  }

  set({ up, down }: Bounds): void {
    this.up = this.#changed(this.up, up);
    this.down = this.#changed(this.down, down);
  }

  #changed(before: Throttle | undefined, bytesPerS: number | undefined): Throttle | undefined {
    if (bytesPerS === undefined) return undefined;
    if (before === undefined) return new Throttle(bytesPerS, this.#clock);
    before.limit(bytesPerS);
    return before;
  }
}
