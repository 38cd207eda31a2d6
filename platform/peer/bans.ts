/**
 * Who broke the protocol, and until when we want nothing of them. Doubles with each fault.
 * Keys are a node's identity or `host:port`; bounded, the oldest forgotten first.
 */

import { banMs, banMsMax, bansMax } from './limits.ts';

type Ban = { readonly untilMs: number; readonly lengthMs: number };

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
