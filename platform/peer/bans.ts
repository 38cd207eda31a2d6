/**
 * Whom we want nothing of, and why a connection is not taken.
 *
 * Rule: who broke the protocol is banned, for twice as long each time; who is only slow is not, as it may be a host in
 *   trouble.
 */

import { Bans } from '../../core/swarm/records/bans.ts';
import type { PeerAddress } from '../../core/wire/messages.ts';
import type { Clock } from '../net/clock.ts';
import type { Logger } from '../telemetry/log.ts';
import { acceptedMax, acceptedPerAddressMax } from './limits.ts';
import type { PeerMetrics } from './metrics.ts';

export type GuardParts = { readonly clock: Clock; readonly log: Logger; readonly metrics: PeerMetrics };

/** What this file needs of a Link. */
type GuardedLink = {
  readonly dialled: boolean;
  readonly remote: string;
  readonly address: string;
  readonly peer: PeerAddress | undefined;
};

export class Guard {
  readonly #parts: GuardParts;
  readonly #bans = new Bans();

  constructor(parts: GuardParts) {
    this.#parts = parts;
  }

  /** `key`: a node's identity, `host:port`, or the address of one who dialled us. */
  bans(key: string): boolean {
    return this.#bans.banned(key, this.#parts.clock.nowMs());
  }

  /** Whom, by those keys, and for how much longer. */
  list(): ReturnType<Bans['list']> {
    return this.#bans.list(this.#parts.clock.nowMs());
  }

  /** Why a connection from `address` is not taken, beside those that there are. */
  refusal(address: string, links: Iterable<GuardedLink>): 'banned' | 'full' | 'address' | undefined {
    const accepted = [...links].filter((link) => !link.dialled);
    if (!isLoopback(address) && this.bans(address)) return 'banned';
    if (accepted.length >= acceptedMax) return 'full';
    return accepted.filter((link) => link.address === address).length >= acceptedPerAddressMax ? 'address' : undefined;
  }

  /** It broke the protocol. */
  blame({ remote, peer, dialled, address }: GuardedLink, reason: string): void {
    const { clock, log, metrics } = this.#parts;
    metrics.fault(reason);
    const banMs = this.#bans.strike(peer?.node ?? (dialled ? remote : address), clock.nowMs());
    log.warn({ remote, node: peer?.node, reason, banMs }, 'a peer broke the protocol: its link is closed');
  }

  giveUp({ remote, peer }: GuardedLink, reason: string): void {
    this.#parts.metrics.slow(reason);
    this.#parts.log.info({ remote, node: peer?.node, reason }, 'a peer does not move: its link is closed');
  }
}

function isLoopback(address: string): boolean {
  return address === '::1' || address.startsWith('127.') || address.startsWith('::ffff:127.');
}
