/**
 * The cheaper network, for thousands of hosts: longer ticks, and shares that come near max-min
 * instead of reaching it (sharing.ts, `approach`). agree.test.ts holds both networks near each
 * other; loadgen/README.md has larger comparisons.
 */

import { approach, shareOut } from './sharing.ts';
import { TickNetwork } from './ticks.ts';

/** What the middle host's link carries in a tick: the smallest piece. */
const tickBytes = 128 * 1024;
/** Passes over the flows a tick. */
const passes = 2;

/** How long a tick is among hosts of these rates, bytes a second. */
export function fastTickMs(rates: readonly number[]): number {
  const ascending = rates.toSorted((a, b) => a - b);
  return tickMsOf((ascending[ascending.length >> 1] as number) / 1000);
}

function tickMsOf(bytesPerMs: number): number {
  return Math.max(0.05, Math.min(1, tickBytes / bytesPerMs));
}

export class FastNetwork extends TickNetwork {
  protected override tickMsFor(rates: readonly number[]): number {
    return tickMsOf(rates[rates.length >> 1] as number);
  }

  protected override share(): void {
    for (let pass = 0; pass < passes; pass++) approach(this.flows, this.links, this.zoned);
    shareOut(this.flows, this.links, this.zoned);
  }
}
