/**
 * What somebody else has written in the place of a cell, and what waits behind that: it is left alone, and in nobody's way.
 *
 * Rule: it is looked at again after a while, as an operator may have put it right. Until then whatever waits for it is neither
 *   tried nor due.
 */

import type { OutboxKey, OutboxOptions } from '../../outbox.ts';
import { isDamaged } from '../cells/cells.ts';
import type { OutPlace } from './keys.ts';

/** Until it is looked at again. */
const leftMs = 60_000;
/** Of these so many are remembered; others are looked at each time. */
const leftMax = 10_000;

/** A row, or all rows of a target and a repository. */
type Of = OutPlace | OutboxKey;

export class CellDamage {
  readonly #tickMs: () => number;
  readonly #tell: OutboxOptions['onDamaged'];
  readonly #untilMs = new Map<string, number>();

  /** `tickMs`: monotonic. */
  constructor(tickMs: () => number, { onDamaged }: Pick<OutboxOptions, 'onDamaged'> = {}) {
    this.#tickMs = tickMs;
    this.#tell = onDamaged;
  }

  /** What `work` comes to; undefined where an object that `of` needs is none of an index: that is told, and `of` is left. */
  async past<T>(of: Of, work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      if (!isDamaged(error)) throw error;
      if (this.#untilMs.size >= leftMax) this.#untilMs.clear();
      this.#untilMs.set(nameOf(of), this.#tickMs() + leftMs);
      this.#tell?.(of.target, (error as Error).message);
      return undefined;
    }
  }

  /** Whether it is not tried now, by itself or as its repository is not. */
  leaves(key: OutboxKey): boolean {
    if (this.#untilMs.size === 0) return false;
    const { target, repo } = key;
    return this.#is(nameOf({ target, repo })) || this.#is(nameOf(key));
  }

  #is(name: string): boolean {
    const untilMs = this.#untilMs.get(name);
    if (untilMs === undefined) return false;
    if (this.#tickMs() < untilMs) return true;
    this.#untilMs.delete(name);
    return false;
  }
}

/** None of these has a space. */
function nameOf(of: Of): string {
  const place = `${of.target} ${of.repo}`;
  return 'kind' in of ? `${place} ${of.kind} ${of.name} ${of.slot ?? 0}` : place;
}
