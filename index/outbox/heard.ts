/**
 * What an index's store says of its outbox: lanes look at once for what a write has left them; what a full target is not told
 * of, and what is left out for it as the store holds something foreign there, is counted, and logged.
 *
 * Rule: the count is this process's, since it began. What other processes on one engine left out they tell of themselves.
 */

import type { OutboxOptions } from '../../platform/tags/outbox.ts';
import type { Metrics } from '../../platform/telemetry/metrics.ts';
import type { TargetLane } from './queue.ts';

/** Between two lines in the log of one target: each write would be one. */
const loggedMs = 60_000;
/** Objects of others that are told of once each; beyond that again. */
const damagedMax = 10_000;

type Parts = { readonly log: Said; readonly metrics: Metrics };
type Said = { error(about: { readonly target: string; readonly rows?: number; why?: string }, words: string): void };
type Lost = { rows: number; loggedAtMs: number };

export class OutboxHeard {
  /** By the name of the target; whoever tries its rows adds itself. */
  readonly lanes = new Map<string, TargetLane>();
  readonly #lost = new Map<string, Lost>();
  readonly #parts: Parts;
  readonly #count: (target: string, rows: number) => void;
  readonly #damaged = new Set<string>();
  readonly #countDamaged: (target: string) => void;

  constructor({ log, metrics }: Parts) {
    const counter = metrics.counter('outbox_lost_total', 'Writes that a full target is not told of', ['target']);
    this.#parts = { log, metrics };
    const damaged = metrics.counter('outbox_damaged_total', 'Objects of others in the store that rows wait for', [
      'target',
    ]);
    this.#countDamaged = (target) => damaged.inc({ target });
    this.#count = (target, rows) => counter.inc({ target }, rows);
  }

  /** Of the store. */
  get options(): Pick<OutboxOptions, 'onTold' | 'onLost' | 'onDamaged'> {
    return {
      onTold: (targets) => {
        for (const target of targets) this.lanes.get(target)?.kick();
      },
      onLost: (target, rows) => this.#add(target, rows),
      onDamaged: (target, why) => this.#addDamaged(target, why),
    };
  }

  /** Rows that were left out, by target. */
  lost(): ReadonlyMap<string, number> {
    return new Map([...this.#lost].map(([target, { rows }]) => [target, rows]));
  }

  #addDamaged(target: string, why: string): void {
    const of = `${target} ${why}`;
    if (this.#damaged.has(of)) return;
    if (this.#damaged.size >= damagedMax) this.#damaged.clear();
    this.#damaged.add(of);
    this.#countDamaged(target);
    this.#parts.log.error(
      { target, why },
      'what waits for a target is left out where the store is damaged; all else goes on',
    );
  }

  #add(target: string, rows: number): void {
    const lost = this.#lost.get(target) ?? { rows: 0, loggedAtMs: Number.NEGATIVE_INFINITY };
    this.#lost.set(target, lost);
    lost.rows += rows;
    this.#count(target, rows);
    const now = performance.now();
    if (now - lost.loggedAtMs < loggedMs) return;
    lost.loggedAtMs = now;
    this.#parts.log.error(
      { target, rows: lost.rows },
      'too much waits for a target: it is not told of further writes (shoal index queue ls --sums)',
    );
  }
}
