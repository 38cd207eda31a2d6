/**
 * The cheaper network, for thousands of hosts: longer ticks, and shares that come near max-min
 * instead of reaching it (sharing.ts, `approach`). agree.test.ts holds both networks near each
 * other; loadgen/README.md has larger comparisons.
 */

import { approach, shareOut } from './sharing.ts';
import { TickNetwork } from './ticks.ts';

/** What the middle host's link carries in a tick: the smallest piece. */
const tickBytes = 256 * 1024;
/** Passes over the flows a tick. */
const passes = 2;

export class FastNetwork extends TickNetwork {
  protected override tickMsFor(rates: readonly number[]): number {
    return Math.max(0.05, Math.min(1, tickBytes / (rates[rates.length >> 1] as number)));
  }

  protected override share(): void {
    for (let pass = 0; pass < passes; pass++) approach(this.flows, this.links, this.zoned);
    shareOut(this.flows, this.links, this.zoned);
  }
}
