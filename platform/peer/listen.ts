/** What a node is made of, and how it begins to listen. */

import { randomBytes } from 'node:crypto';
import type { Block } from '../../core/contracts/documents/blocks.ts';
import type { Digest } from '../../core/digest.ts';
import type { PolicyConfig } from '../../core/swarm/types.ts';
import type { PeerAddress } from '../../core/wire/messages.ts';
import type { Tracking } from '../clients/tracking.ts';
import { StartError } from '../lifecycle/errors.ts';
import type { Clock } from '../net/clock.ts';
import type { Door, LetsIn, Listener, Net } from '../net/net.ts';
import type { BlobEntry } from '../store/pieces/entry.ts';
import type { BlobStore } from '../store/store.ts';
import type { Logger } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { PieceMemory } from '../workers/arena.ts';
import { reachableHost } from './advertise.ts';
import { downWindowBytesMin, downWindowMs, uplinkBytesPerSDefault } from './limits.ts';
import type { ForeignPeer } from './links/foreign.ts';
import type { LinkPatience } from './links/link.ts';
import { Rates } from './links/rates.ts';
import type { PullWatcher } from './pulls/pull.ts';

export type PeerNodeOptions = {
  readonly role: 'agent' | 'origin';
  /** Where to listen; port 0 draws one. */
  readonly host: string;
  readonly port: number;
  /** What peers dial; by default where we listen, for a wildcard this machine's first address. */
  readonly advertise?: { readonly host: string; readonly port?: number | undefined } | undefined;
  readonly cluster: string;
  readonly zone: string;
  readonly store: BlobStore;
  readonly arena: PieceMemory;
  readonly net: Net;
  /** Who may connect, by address. Absent: everybody. */
  readonly letsIn?: LetsIn | undefined;
  /** Our node, where that is not drawn freely: its certificate has a mark of its own. */
  readonly nodeId?: string | undefined;
  /** Why a peer is not what it says, by its certificate. Absent: it is believed. */
  readonly foreign?: ForeignPeer | undefined;
  readonly clock: Clock;
  readonly tracking: Tracking;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** A whole blob that peers may have of us; by default every one in the store. */
  readonly serves?: ((digest: Digest) => BlobEntry | undefined) | undefined;
  /** What is neither pulled nor given to peers. */
  readonly blocked?: ReadonlyMap<Digest, Block> | undefined;
  /** What the uplink is known to carry: sizes what is under way. */
  readonly uplinkBytesPerS?: number | undefined;
  /** What all links of this process together may send and receive of pieces; absent: no limit. */
  readonly limits?: PeerLimits | undefined;
  readonly policy?: PolicyConfig | undefined;
  /** How long links wait for a peer; by default as docs/protocol.md says. */
  readonly patience?: LinkPatience | undefined;
  /** Without a byte for this long, those who wait for a piece get SWARM_STALLED. */
  readonly stallMs?: number | undefined;
  /** Those who wait for a blob's metainfo get UNAVAILABLE after this long. */
  readonly learnMs?: number | undefined;
  /** A pull that was read and that nobody reads any more goes on for so long; by default until it is whole. */
  readonly lingerMs?: number | undefined;
  /** Told of pulls that are read. */
  readonly pulls?: PullWatcher | undefined;
};

export type PeerLimits = { readonly upBytesPerS?: number | undefined; readonly downBytesPerS?: number | undefined };

export type PeerNodeStats = {
  readonly links: { readonly dialled: number; readonly accepted: number };
  readonly blobs: number;
  readonly peers: readonly { readonly address: PeerAddress; readonly dialled: boolean }[];
};

/** What the uplink carries, as far as anybody knows. */
export function uplinkOf({ uplinkBytesPerS, limits }: PeerNodeOptions): number {
  const up = limits?.upBytesPerS;
  return Math.min(up ?? Number.POSITIVE_INFINITY, uplinkBytesPerS ?? up ?? uplinkBytesPerSDefault);
}

/** Pieces on their way here at once, bytes: beyond what the downlink carries soon they would only wait at others. */
export function windowOf({ limits, arena }: PeerNodeOptions): number {
  const share = arena.shareBytes('receive');
  const down = limits?.downBytesPerS;
  return down === undefined ? share : Math.min(share, Math.max(downWindowBytesMin, (down * downWindowMs) / 1000));
}

export function ratesOf({ limits, clock }: Pick<PeerNodeOptions, 'limits' | 'clock'>): Rates {
  return new Rates(clock, { up: limits?.upBytesPerS, down: limits?.downBytesPerS });
}

/** Who we are to peers: drawn anew at each start. */
export function selfOf(o: PeerNodeOptions, port: number): PeerAddress {
  return {
    node: o.nodeId ?? randomBytes(16).toString('hex'),
    host: o.advertise?.host ?? reachableHost(o.host),
    port: o.advertise?.port ?? port,
    role: o.role,
    zone: o.zone,
  };
}

/** Opens the door. Throws StartError, naming what to do. */
export async function listenForPeers({ net, host, port, letsIn }: PeerNodeOptions, door: Door): Promise<Listener> {
  try {
    return await net.listen({ host, port }, { ...door, letsIn });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const taken = `port ${port} on ${host} is in use: stop what listens there, or set peer.port`;
    throw new StartError(code === 'EADDRINUSE' ? taken : `cannot listen on ${host}:${port}: ${message}`);
  }
}
