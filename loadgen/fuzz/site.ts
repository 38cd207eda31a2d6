/** What a host is given when the cluster is made, and what its processes share. */

import type { PeerAddress } from '../../core/wire/messages.ts';
import type { Certificates } from './components/certificates.ts';
import type { Damage } from './disks/damage.ts';
import type { Truth } from './peers/judge.ts';
import type { Plant } from './plants/plants.ts';
import type { Roster } from './roster/roster.ts';
import type { World } from './world.ts';

export type SiteOptions = {
  readonly host: number;
  readonly bytesPerS: number;
  /** This host's clock, milliseconds; off by up to an hour and by 0.1 percent. */
  readonly clock: () => number;
  /** Drawn anew at each start. */
  readonly address: (role: 'agent' | 'origin') => PeerAddress;
  /** By their URLs. */
  readonly trackers: ReadonlyMap<string, unknown>;
  /** Which origins there are. */
  readonly roster: Roster;
  readonly plant: Plant | undefined;
  /** Where hosts have any: trackers know them by these. */
  readonly certificates?: Certificates | undefined;
  readonly truth: Truth;
  /** Of an agent: nothing is given before its digest is known. */
  readonly strict?: boolean;
  /** In a run with litter. */
  readonly litter?: { readonly budgetBytes: number } | undefined;
  /** Judges what an origin says to have. */
  readonly damage?: Damage | undefined;
};

/** A clock that is off and drifts. Never runs backwards. */
export function skewedClock(world: World): () => number {
  const offsetMs = world.between(0, 3_600_000);
  const rate = 1 + world.between(-0.001, 0.001);
  return () => offsetMs + world.nowMs * rate;
}

export function addressOf(world: World, host: number): (role: 'agent' | 'origin') => PeerAddress {
  return (role) => {
    let node = '';
    while (node.length < 32)
      node += world.prng
        .below(2 ** 16)
        .toString(16)
        .padStart(4, '0');
    return { node, host: `h${host}`, port: 1, role, zone: '' };
  };
}
