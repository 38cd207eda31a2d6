/**
 * Troubles that come a thousand times over: a line in the log when one begins, one when it is over, and the number of
 * times in it. What lasts says so now and then.
 *
 * Rule: memory and lines are bounded: beyond `episodesMax` troubles at a time the others share one.
 */

import type { Time } from '../net/clock.ts';
import type { LineLog } from './log.ts';

/** It is over once it has not come for so long: well above any back-off between two tries. */
export const quietMs = 60_000;
/** What lasts is told again. */
export const remindMs = 600_000;
export const episodesMax = 64;
const others = 'others';

type Episode = { fields: object; text: string; sinceMs: number; lastMs: number; toldMs: number; times: number };

export class Episodes {
  readonly #log: Pick<LineLog, 'info' | 'warn'>;
  readonly #clock: Time;
  readonly #open = new Map<string, Episode>();
  readonly #sweeper: NodeJS.Timeout;

  constructor(log: Pick<LineLog, 'info' | 'warn'>, clock: Time) {
    this.#log = log;
    this.#clock = clock;
    this.#sweeper = setInterval(() => this.sweep(), quietMs / 4);
    this.#sweeper.unref();
  }

  /** It came (again). `key` says whether it is the same one. */
  came(key: string, fields: object, text: string): void {
    const name = this.#open.has(key) || this.#open.size < episodesMax ? key : others;
    const nowMs = this.#clock.nowMs();
    const known = this.#open.get(name);
    if (known !== undefined) {
      known.times += 1;
      known.lastMs = nowMs;
      return;
    }
    this.#open.set(name, { fields, text, sinceMs: nowMs, lastMs: nowMs, toldMs: nowMs, times: 1 });
    this.#log.warn(fields, text);
  }

  /** Tells of what is over, and of what lasts. */
  sweep(): void {
    const nowMs = this.#clock.nowMs();
    for (const [key, one] of this.#open) {
      const about = { ...one.fields, times: one.times, forMs: Math.round(one.lastMs - one.sinceMs) };
      if (nowMs - one.lastMs >= quietMs) {
        this.#open.delete(key);
        if (one.times > 1) this.#log.info(about, `${one.text}: over`);
      } else if (nowMs - one.toldMs >= remindMs) {
        one.toldMs = nowMs;
        this.#log.warn(about, `${one.text}: still`);
      }
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#sweeper);
  }
}
