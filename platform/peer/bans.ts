/**
 * Whom we want nothing of, and why a connection is not taken.
 *
 * Rule 1: who broke the protocol is banned, for twice as long each time; who is only slow is not, as it may be a host in
 *   trouble.
 * Rule 2: where a host has a certificate of its own, what it did and what it holds is its certificate's, whatever node and
 *   address it comes with next; others behind its address have nothing to do with it. One that hosts share tells nobody apart.
 */

import { hostOf, isLoopback } from '../../core/access/announce.ts';
import { Bans, type BanTimes } from '../../core/swarm/records/bans.ts';
import type { PeerAddress } from '../../core/wire/messages.ts';
import type { Clock } from '../net/clock.ts';
import type { Connection, Incoming } from '../net/net.ts';
import type { Logger } from '../telemetry/log.ts';
import { acceptedMax, acceptedPerAddressMax } from './limits.ts';
import type { PeerMetrics } from './metrics.ts';

export type GuardParts = {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: PeerMetrics;
  readonly times: BanTimes;
};

/** What this file needs of a Link. */
type GuardedLink = {
  readonly dialled: boolean;
  readonly remote: string;
  readonly address: string;
  readonly peer: PeerAddress | undefined;
  readonly whoIs?: Connection['whoIs'];
};

export class Guard {
  readonly #parts: GuardParts;
  readonly #bans: Bans;

  constructor(parts: GuardParts) {
    this.#parts = parts;
    this.#bans = new Bans(parts.times);
  }

  /** `key`: a node's identity, `host:port`, the address of one who dialled us, or whose the certificate is. */
  bans(key: string): boolean {
    return this.#bans.banned(key, this.#parts.clock.nowMs());
  }

  /** One that has greeted. */
  bansPeer(node: string, { whoIs }: Pick<GuardedLink, 'whoIs'>): boolean {
    const host = ownOf(whoIs);
    return this.bans(node) || (host !== undefined && this.bans(host));
  }

  /** Whom, by those keys, and for how much longer. */
  list(): ReturnType<Bans['list']> {
    return this.#bans.list(this.#parts.clock.nowMs());
  }

  /** Why a connection that came is not taken, beside those that there are. */
  refusal(
    { remote: { host: address }, whoIs }: Pick<Incoming, 'remote' | 'whoIs'>,
    links: Iterable<GuardedLink>,
  ): 'banned' | 'full' | 'address' | undefined {
    const accepted = [...links].filter((link) => !link.dialled);
    const host = ownOf(whoIs);
    if (host === undefined ? !isLoopback(address) && this.bans(address) : this.bans(host)) return 'banned';
    if (accepted.length >= acceptedMax) return 'full';
    const same = (link: GuardedLink): boolean =>
      host === undefined ? link.address === address : ownOf(link.whoIs) === host;
    return accepted.filter(same).length >= acceptedPerAddressMax ? 'address' : undefined;
  }

  /** It broke the protocol. */
  blame({ remote, peer, dialled, address, whoIs }: GuardedLink, reason: string): void {
    const { clock, log, metrics } = this.#parts;
    metrics.fault(reason);
    const host = ownOf(whoIs);
    const node = peer?.node ?? (dialled ? remote : host === undefined ? address : undefined);
    const struck = [host, node].flatMap((key) => (key === undefined ? [] : [this.#bans.strike(key, clock.nowMs())]));
    const banMs = Math.max(...struck);
    log.warn({ remote, node: peer?.node, host, reason, banMs }, 'a peer broke the protocol: its link is closed');
  }

  giveUp({ remote, peer }: GuardedLink, reason: string): void {
    this.#parts.metrics.slow(reason);
    this.#parts.log.info({ remote, node: peer?.node, reason }, 'a peer does not move: its link is closed');
  }
}

/** Whose a certificate is, where it is one host's. */
function ownOf(whoIs: Connection['whoIs']): string | undefined {
  const who = whoIs?.();
  return typeof who === 'object' ? hostOf(who) : undefined;
}
