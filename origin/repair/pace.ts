/** The one pace of all that this origin fetches of its own accord: repair, mending, restoring. What comes by it is counted. */

import type { Clock } from '../../platform/net/clock.ts';
import type { AskLinked } from './links.ts';
import { RepairProgress } from './progress.ts';
import { Rate } from './rate.ts';

export type FetchingBy = { readonly pace: RepairPace; readonly linked: AskLinked; readonly clock: Clock };

export class RepairPace {
  readonly progress: RepairProgress;
  readonly #rate: Rate;

  constructor(bytesPerS: number, clock: Clock) {
    this.progress = new RepairProgress(clock);
    this.#rate = new Rate(bytesPerS, clock);
  }

  get bytesPerS(): number {
    return this.#rate.bytesPerS;
  }

  /** As `Rate`: calls `go` once `bytes` more may come, and never from within. */
  wait(bytes: number, go: () => void): Disposable {
    return this.#rate.wait(bytes, () => {
      this.progress.came(bytes);
      go();
    });
  }

  /** They came with something else, all at once: who comes next waits for them. */
  came(bytes: number): void {
    this.wait(bytes, () => undefined);
  }
}
