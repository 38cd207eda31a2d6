/**
 * The exact network: every flow gets its max-min fair rate over its sender's uplink, its receiver's
 * downlink and the zone links between, computed anew each tick. Cost grows with flows x ticks x about
 * thirty: for a few hundred hosts.
 */

import { fill } from './sharing.ts';
import { TickNetwork } from './ticks.ts';

/** What the fastest link carries in a tick: an eighth of the smallest piece. */
const tickBytes = 32 * 1024;

export class ExactNetwork extends TickNetwork {
  protected override tickMsFor(rates: readonly number[]): number {
    return Math.max(0.05, Math.min(1, tickBytes / (rates[rates.length - 1] as number)));
  }

  protected override share(): void {
    fill(this.flows, this.links);
  }
}
