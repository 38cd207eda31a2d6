/** What all peers of a run share, and the names of their hosts. */

import type { Digest } from '../../../core/digest.ts';
import type { PolicyConfig } from '../../../core/swarm/types.ts';
import type { PeerAddress } from '../../../core/wire/messages.ts';
import type { Between } from '../../../platform/net/medium.ts';
import type { SimulatedNet } from '../../../platform/net/simulated.ts';
import type { Lies } from '../backing/lies.ts';
import type { Content } from '../content.ts';
import type { Process, World } from '../world.ts';

/** A peer that can be dialled. */
export type Known = { readonly process: Process; readonly self: PeerAddress; readonly windowBytes: number };

/** What all peers of a run share. */
export type Cluster = {
  readonly world: World;
  readonly policy: PolicyConfig;
  readonly net: SimulatedNet;
  /** By host; only those that are up. */
  readonly peers: Map<number, Known>;
  /** Hosts that do not play by the rules. */
  readonly hostile: Set<number>;
  /**
   * Hosts at which a piece of a blob that still grows decayed: a file that its owner writes to has no stamp, so it is
   * sent on trust (store/pieces/remembered.ts), and who gets it finds out.
   */
  readonly decayed: Set<number>;
  readonly contents: ReadonlyMap<Digest, Content>;
  /** Wrong bytes that the backend gave. */
  readonly lies: Lies;
};

export function hostName(host: number): string {
  return `h${host}`;
}

/** `h7` is host 7. */
export function hostOf(name: string): number | undefined {
  const no = /^h(\d{1,4})$/.exec(name)?.[1];
  return no === undefined ? undefined : Number(no);
}

/** The hosts of either end, the dialler's first. */
export function hostsOf({ hosts: [one, two] }: Between): [number, number] {
  return [hostOf(one) as number, hostOf(two) as number];
}
