/**
 * Whom we want nothing of, and why a connection is not taken.
 *
 * Rule: who broke the protocol is banned, for twice as long each time; who is only slow is not, as it may be a host in
 *   trouble.
 */

import type { PeerAddress } from '../../core/wire/messages.ts';
import type { Clock } from '../net/clock.ts';
import type { Logger } from '../telemetry/log.ts';
import { acceptedMax, acceptedPerAddressMax, banMs, banMsMax, bansMax } from './limits.ts';
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
    return this.#bans.has(key, this.#parts.clock.nowMs());
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
    const banMs = this.#bans.add(peer?.node ?? (dialled ? remote : address), clock.nowMs());
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

type Ban = { readonly untilMs: number; readonly lengthMs: number };

/** Bounded, the oldest forgotten first. */
export class Bans {
  readonly #bans = new Map<string, Ban>();

  /** Bans `key` for twice as long as the last time; returns how long, in ms. */
  add(key: string, nowMs: number): number {
    const lengthMs = Math.min(banMsMax, 2 * (this.#bans.get(key)?.lengthMs ?? banMs / 2));
    this.#bans.delete(key);
    this.#bans.set(key, { untilMs: nowMs + lengthMs, lengthMs });
    for (const oldest of this.#bans.keys()) {
      if (this.#bans.size <= bansMax) break;
      this.#bans.delete(oldest);
    }
    return lengthMs;
  }

  has(key: string, nowMs: number): boolean {
    const ban = this.#bans.get(key);
    return ban !== undefined && nowMs < ban.untilMs;
  }
}
