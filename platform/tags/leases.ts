/**
 * Who works on a row of the outbox, for an engine that is one process: nobody outlives it, so nothing of it is written down.
 */

import type { OutboxKey, OutboxReads, OutboxRow } from './outbox.ts';

export class Leases {
  readonly #untilMs = new Map<string, number>();
  readonly #due: OutboxReads['due'];

  constructor(due: OutboxReads['due']) {
    this.#due = due;
  }

  claim(target: string, { nowMs, n, untilMs }: { nowMs: number; n: number; untilMs: number }): OutboxRow[] {
    for (const [name, until] of this.#untilMs) if (until <= nowMs) this.#untilMs.delete(name);
    const free = this.#due(target, nowMs, n + this.#untilMs.size).filter((row) => !this.#untilMs.has(nameOf(row)));
    const rows = free.slice(0, n);
    this.hold(rows, untilMs);
    return rows;
  }

  hold(keys: readonly OutboxKey[], untilMs: number): void {
    for (const key of keys) this.#untilMs.set(nameOf(key), untilMs);
  }

  end(key: OutboxKey): void {
    this.#untilMs.delete(nameOf(key));
  }
}

/** None of these has a space. */
function nameOf({ target, repo, kind, name, slot = 0 }: OutboxKey): string {
  return `${target} ${repo} ${kind} ${name} ${slot}`;
}
