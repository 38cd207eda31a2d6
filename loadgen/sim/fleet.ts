/**
 * What a run needs of a policy: a fleet of hosts on the simulated network, driven by events.
 * ShoalFleet runs core/ itself; KrakenFleet models Kraken's published rules.
 */

import type { Prng } from '../../core/prng.ts';
import type { Events } from './events.ts';
import type { Network } from './network/network.ts';
import type { SimOptions } from './options.ts';

/** A blob of the scenario: `no` counts from 0 over all images. */
export type SimBlob = {
  readonly no: number;
  readonly length: number;
  readonly pieceLength: number;
  readonly pieces: number;
};

export type FleetContext = {
  readonly options: SimOptions;
  readonly events: Events;
  readonly network: Network;
  readonly prng: Prng;
  readonly blobs: readonly SimBlob[];
  /** A piece is verified at `agent`. */
  readonly onPiece: (agent: number, blob: number, piece: number) => void;
};

export interface Fleet {
  /** `agent` is asked for `blobs` now. */
  request(agent: number, blobs: readonly number[]): void;
  /** The agent's process and its connections are gone; what it had verified stays on its disk. */
  crash(agent: number): void;
  revive(agent: number): void;
  trackersDie(): void;
  /** Readers: where the reader of `agent` stands in `blob`, and the piece before which it ends, if not at the last. */
  readerAt(agent: number, blob: number, piece: number, end?: number): void;
  totals(): FleetTotals;
}

export type FleetTotals = {
  /** Bytes that left origins, and bytes that arrived twice. */
  readonly originBytes: number;
  readonly duplicateBytes: number;
  readonly messages: number;
  /** Requests to trackers, all of them and in the second that had most. */
  readonly announces: number;
  readonly announcesMax: number;
};
