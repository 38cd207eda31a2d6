/**
 * Who works on what waits: of a target and a repository one process at a time, and each row of it once.
 *
 * Rule 1: a claim is a cell, written by condition. It says for how long it holds since it was written, and no time of day: who
 *   waits for its end counts from when he first saw it so, by a clock that is never set. So clocks of hosts do not count.
 * Rule 2: who is held up (stopped) finds his claim gone when he writes it next. What he does with a row until then does no
 *   harm: a row goes only at the version that the target has (outbox.ts).
 */

import type { OutboxKey } from '../../outbox.ts';
import { type Cell, type Cells, newName } from '../cells/cells.ts';
import { type ClaimSaid, claimSaid } from '../cells/values.ts';
import { type OutPlace, outPlaceAt } from './keys.ts';

/** Claims of others, and own ones, that are remembered; what is forgotten is read again. */
const rememberedMax = 10_000;

type Seen = { readonly version: string | null; readonly atMs: number; readonly forMs: number };

export class Claims {
  readonly #cells: Cells;
  readonly #tickMs: () => number;
  readonly #holder = newName();
  readonly #mine = new Map<string, Cell<ClaimSaid>>();
  readonly #seen = new Map<string, Seen>();
  /** Rows that this process works on, by the clock of its callers. */
  readonly #rows = new Map<string, { readonly place: OutPlace; readonly untilMs: number }>();

  constructor(cells: Cells, tickMs: () => number) {
    this.#cells = cells;
    this.#tickMs = tickMs;
  }

  /** Whether it is ours from now on, for so long. */
  async take(place: OutPlace, forMs: number): Promise<boolean> {
    const key = outPlaceAt('claim', place);
    const seen = this.#seen.get(key);
    if (seen !== undefined && this.#tickMs() - seen.atMs < seen.forMs) return false;
    const cell = this.#mine.get(key) ?? (await this.#cells.read(key, claimSaid));
    const { live, value, version } = cell;
    const theirs = live && value !== undefined && value.holder !== this.#holder;
    if (theirs && seen?.version !== version) {
      remember(this.#seen, key, { version, atMs: this.#tickMs(), forMs: value.forMs });
      return false;
    }
    const written = await this.#cells.write<ClaimSaid>(cell, { live: true, value: { holder: this.#holder, forMs } });
    this.#seen.delete(key);
    this.#mine.delete(key);
    if (written !== undefined) remember(this.#mine, key, written);
    return written !== undefined;
  }

  /** Others may go on at once. */
  async release(place: OutPlace): Promise<void> {
    const key = outPlaceAt('claim', place);
    const cell = this.#mine.get(key);
    this.#mine.delete(key);
    if (cell?.value !== undefined) await this.#cells.write(cell, { live: false, value: cell.value });
  }

  begin({ target, repo, ...key }: OutboxKey, untilMs: number): void {
    this.#rows.set(nameOf({ target, repo, ...key }), { place: { target, repo }, untilMs });
  }

  end(key: OutboxKey): void {
    this.#rows.delete(nameOf(key));
  }

  has(key: OutboxKey): boolean {
    return this.#rows.has(nameOf(key));
  }

  /** Those that nobody has said since to be worked on are free. */
  expire(nowMs: number): void {
    for (const [name, { untilMs }] of this.#rows) if (untilMs <= nowMs) this.#rows.delete(name);
  }

  works({ target, repo }: OutPlace): boolean {
    return [...this.#rows.values()].some(({ place }) => place.target === target && place.repo === repo);
  }
}

function remember<T>(all: Map<string, T>, key: string, value: T): void {
  if (all.size >= rememberedMax) all.clear();
  all.set(key, value);
}

/** None of these has a space. */
function nameOf({ target, repo, kind, name, slot = 0 }: OutboxKey): string {
  return `${target} ${repo} ${kind} ${name} ${slot}`;
}
