/**
 * Attempts that failed: of each target and repository a cell, which is there while there are any. It is advice: what it
 * has forgotten, or says of an older version of a row, counts for nothing.
 */

import type { OutboxKey, OutboxRow } from '../../outbox.ts';
import { numberOf } from '../../versions.ts';
import type { Cells } from '../cells/cells.ts';
import { type FailureSaid, failuresMax, failuresSaid } from '../cells/values.ts';
import { againMax, busy } from '../requests/again.ts';
import { several } from '../requests/several.ts';
import type { CellDamage } from './damage.ts';
import { type OutMark, type OutPlace, outPlaceAt, outPlaceIn, outPlacesOf } from './keys.ts';

/** What other processes have noted is heard of so much later at most, and then again as many times later as it took. */
const heardMs = 5_000;
const heardShare = 50;

type Known = { readonly all: Map<string, readonly FailureSaid[]>; untilMs: number };

export class Failures {
  readonly #cells: Cells;
  readonly #tickMs: () => number;
  readonly #damage: CellDamage;
  #known: Known | undefined;
  #asking: Promise<Known> | undefined;

  /** `tickMs`: monotonic. */
  constructor(cells: Cells, tickMs: () => number, damage: CellDamage) {
    this.#cells = cells;
    this.#tickMs = tickMs;
    this.#damage = damage;
  }

  /** As they are now. */
  async read(place: OutPlace): Promise<readonly FailureSaid[]> {
    const { live, value } = await this.#cells.read(outPlaceAt('failed', place), failuresSaid);
    const found = live && value !== undefined ? value : [];
    this.#note(place, found);
    return found;
  }

  /** As they were a while ago at most. */
  async heard(): Promise<(place: OutPlace) => readonly FailureSaid[]> {
    if (this.#known === undefined || this.#tickMs() >= this.#known.untilMs)
      this.#asking ??= this.#ask().finally(() => {
        this.#asking = undefined;
      });
    const { all } = (await this.#asking) ?? (this.#known as Known);
    return (place) => all.get(nameOf(place)) ?? [];
  }

  /** What `change` makes of what is there; undefined: it stays. */
  async change(
    place: OutPlace,
    change: (found: readonly FailureSaid[]) => readonly FailureSaid[] | undefined,
  ): Promise<void> {
    const key = outPlaceAt('failed', place);
    for (let again = 0; again < againMax; again++) {
      const cell = await this.#cells.read(key, failuresSaid);
      const found = cell.live && cell.value !== undefined ? cell.value : [];
      const made = change(found)?.slice(0, failuresMax);
      if (made !== undefined && !(await this.#cells.write(cell, { live: made.length > 0, value: made }))) continue;
      return this.#note(place, made ?? found);
    }
    throw busy(key);
  }

  async #ask(): Promise<Known> {
    const begun = this.#tickMs();
    const places: OutPlace[] = [];
    for await (const { key, live } of this.#cells.keys(outPlacesOf('failed'))) {
      const place = live ? outPlaceIn(key) : undefined;
      if (place !== undefined) places.push(place);
    }
    const all = new Map<string, readonly FailureSaid[]>();
    const known: Known = { all, untilMs: begun };
    this.#known = known;
    await several(places, (place) => this.#damage.past(place, () => this.read(place)));
    const ended = this.#tickMs();
    known.untilMs = ended + Math.max(heardMs, heardShare * (ended - begun));
    return known;
  }

  #note(place: OutPlace, found: readonly FailureSaid[]): void {
    if (found.length === 0) this.#known?.all.delete(nameOf(place));
    else this.#known?.all.set(nameOf(place), found);
  }
}

/** That of the row, whatever its version. */
export function failureOfRow(all: readonly FailureSaid[], key: OutboxKey): FailureSaid | undefined {
  return all.length === 0 ? undefined : all.find(({ row }) => row === rowName(key));
}

/** That of the newest write, as far as its marks tell. */
export function failureFor(
  all: readonly FailureSaid[],
  { of, marks }: { readonly of: OutboxKey; readonly marks: readonly OutMark[] },
): FailureSaid | undefined {
  const found = failureOfRow(all, of);
  return found !== undefined && marks.every(({ no }) => no <= numberOf(found.version)) ? found : undefined;
}

/** With one more attempt. */
export function failedOnce(
  all: readonly FailureSaid[],
  row: OutboxRow,
  why: Pick<FailureSaid, 'cause' | 'dueMs' | 'dead'>,
): readonly FailureSaid[] | undefined {
  const before = failureOfRow(all, row);
  if (before !== undefined && numberOf(before.version) > numberOf(row.version)) return undefined;
  const attempts = before?.version === row.version ? before.attempts + 1 : 1;
  return [{ row: rowName(row), version: row.version, attempts, ...why }, ...without(all, row)];
}

export function without(all: readonly FailureSaid[], key: OutboxKey): readonly FailureSaid[] {
  return all.filter(({ row }) => row !== rowName(key));
}

/** Within a target and a repository. None of these has a space. */
export function rowName({ kind, name, slot }: OutboxKey): string {
  return `${kind} ${name}${slot === undefined ? '' : ` ${slot}`}`;
}

function nameOf({ target, repo }: OutPlace): string {
  return `${target} ${repo}`;
}
