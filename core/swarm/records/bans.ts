/**
 * Nodes that misbehaved, by their name or address, and until when nothing is taken from or given to them. Each strike
 * doubles the time.
 */

import { bansMax } from '../limits.ts';
import type { PolicyConfig } from '../types.ts';

/** How long a ban lasts at first, and at most. */
export type BanTimes = Pick<PolicyConfig, 'banMs' | 'banMsMax'>;

export class Bans {
  readonly #times: BanTimes;
  readonly #bans = new Map<string, { untilMs: number; strikes: number }>();

  constructor({ banMs, banMsMax }: BanTimes) {
    this.#times = { banMs, banMsMax };
  }

  /** Bans `node`, longer each time; for how long, ms. */
  strike(node: string, nowMs: number): number {
    const strikes = (this.#bans.get(node)?.strikes ?? 0) + 1;
    this.#bans.delete(node);
    const { banMs, banMsMax } = this.#times;
    const lengthMs = Math.min(banMsMax, banMs * 2 ** (strikes - 1));
    this.#bans.set(node, { untilMs: nowMs + lengthMs, strikes });
    if (this.#bans.size > bansMax) this.#bans.delete(this.#bans.keys().next().value!);
    return lengthMs;
  }

  banned(node: string, nowMs: number): boolean {
    const ban = this.#bans.get(node);
    return ban !== undefined && nowMs < ban.untilMs;
  }

  /** Those that hold, and for how much longer. */
  list(nowMs: number): { readonly node: string; readonly leftMs: number }[] {
    return [...this.#bans].flatMap(([node, { untilMs }]) =>
      untilMs > nowMs ? [{ node, leftMs: untilMs - nowMs }] : [],
    );
  }

  get size(): number {
    return this.#bans.size;
  }
}
