/**
 * What waits for others, in a store that is a bucket: outbox.ts of platform/tags, made of marks (rows.ts), claims and failures.
 *
 * Rule 1: a row goes by its marks, only where its version is still that of the key's newest write, and only those marks that
 *   were listed before the cell was read that says so. So who was held up meanwhile removes nothing of what came since.
 * Rule 2: a question costs so many requests, however long the queue is: of a queue longer than a window one part after the
 *   other is looked at, round and round. What counts or lists all of it is asked for now and then.
 * Rule 3: a row whose cell is none of an index is left out, as are those of a repository whose failures or claim are none:
 *   all others go on (damage.ts).
 * Rule 4: while nothing waits, and this process writes nothing, the bucket is asked every `idleMs` only.
 */

import type {
  ClaimAt,
  OutboxChoice,
  OutboxFailure,
  OutboxKey,
  OutboxRow,
  OutboxState,
  OutboxWaiting,
} from '../../outbox.ts';
import { backendAmong, isBackend } from '../../targets.ts';
import { numberOf } from '../../versions.ts';
import type { Cells } from '../cells/cells.ts';
import type { FailureSaid } from '../cells/values.ts';
import { several } from '../requests/several.ts';
import { Claims } from './claims.ts';
import type { CellDamage } from './damage.ts';
import { type Failures, failedOnce, failureFor, failureOfRow, without } from './failures.ts';
import { afterTarget, cameAt, OUT, type OutPlace, targetAt } from './keys.ts';
import type { Bare, OutGroup, OutLooked, OutRows, OutWindow } from './rows.ts';
import type { MarkTelling } from './telling.ts';

/** What a process has left behind that died waits so much longer at most. */
const idleMs = 10_000;
/** Cells that are read at once for a look at rows. */
const lookedAtMax = 16;

type Parts = {
  readonly cells: Cells;
  readonly rows: OutRows;
  readonly telling: MarkTelling;
  readonly failures: Failures;
  readonly damage: CellDamage;
  /** Monotonic. */
  readonly tickMs: () => number;
};
type Known = readonly FailureSaid[];
type Found = {
  readonly row: OutboxRow;
  readonly dueMs: number;
  readonly looked: OutLooked;
  readonly failure: FailureSaid | undefined;
};

export class BucketOutbox {
  readonly #parts: Parts;
  readonly #failures: Failures;
  readonly #claims: Claims;
  /** Where the next question about a target begins. */
  readonly #cursors = new Map<string, string>();
  /** Nothing waited, when this process had made so many marks. */
  #idle: { readonly generation: number; readonly untilMs: number } | undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#failures = parts.failures;
    this.#claims = new Claims(parts.cells, parts.tickMs);
  }

  async due(target: string, nowMs: number, n: number): Promise<OutboxRow[]> {
    const groups: OutGroup[] = [];
    for await (const group of this.#parts.rows.groups(target)) groups.push(group);
    const found: Found[] = [];
    for (const [repo, some] of Map.groupBy(groups, ({ of }) => of.repo)) {
      const known = await this.#parts.damage.past({ target, repo }, () => this.#failures.read({ target, repo }));
      if (known !== undefined)
        found.push(...(await this.#dueOf(some, known, { nowMs, n: some.length, held: () => false })));
    }
    return inTime(found).slice(0, n);
  }

  async claim(target: string, { nowMs, n, untilMs }: ClaimAt): Promise<OutboxRow[]> {
    const { damage } = this.#parts;
    const { groups } = await this.#next(target);
    this.#claims.expire(nowMs);
    const heard = await this.#failures.heard();
    const all = [...Map.groupBy(this.#tried(groups), ({ of }) => of.repo)].flatMap(([repo, some]) => {
      const due = dueIn(some, heard({ target, repo }));
      return due === undefined || due > nowMs ? [] : [{ place: { target, repo }, some, due }];
    });
    const found: Found[] = [];
    for (const { place, some } of all.sort((one, other) => one.due - other.due)) {
      if (found.length >= n) break;
      if (!some.some(({ of }) => !this.#claims.has(of))) continue;
      const known = await damage.past(place, async () =>
        (await this.#claims.take(place, untilMs - nowMs)) ? await this.#failures.read(place) : undefined,
      );
      if (known === undefined) continue;
      const held = (key: OutboxKey): boolean => this.#claims.has(key);
      found.push(...(await this.#dueOf(some, known, { nowMs, n: n - found.length, held })));
    }
    const rows = inTime(found);
    for (const row of rows) this.#claims.begin(row, untilMs);
    return rows;
  }

  async hold(keys: readonly OutboxKey[], untilMs: number): Promise<void> {
    for (const key of keys) {
      if (untilMs === 0) this.#claims.end(key);
      else this.#claims.begin(key, untilMs);
    }
    const places = Map.groupBy(keys, ({ target, repo }) => `${target} ${repo}`);
    await several([...places.values()], async ([first]) => {
      if (first === undefined) return;
      const { target, repo } = first;
      await this.#parts.damage.past({ target, repo }, async () => {
        if (untilMs !== 0) await this.#claims.take(first, untilMs - this.#parts.telling.nowMs());
        else if (!this.#claims.works(first)) await this.#claims.release(first);
      });
    });
  }

  async nextDueMs(target: string): Promise<number | undefined> {
    if (await this.#nothing()) return undefined;
    const { groups, next } = await this.#next(target);
    const heard = await this.#failures.heard();
    const dues = [...Map.groupBy(this.#tried(groups), ({ of }) => of.repo)].flatMap(
      ([repo, some]) => dueIn(some, heard({ target, repo })) ?? [],
    );
    const due = dues.length === 0 ? undefined : Math.min(...dues);
    // Those beyond the window may be due.
    return next === undefined ? due : Math.min(due ?? 0, this.#parts.telling.nowMs());
  }

  async pending(key: OutboxKey): Promise<OutboxRow | undefined> {
    const group = await this.#parts.rows.of(key);
    if (group.marks.length === 0) return undefined;
    const { row } = await this.#parts.rows.look(group);
    return row && rowOf(row, await this.#failures.read(row)).row;
  }

  async waiting(
    skip: number,
    n: number,
    { target, dead }: Pick<OutboxChoice, 'target' | 'dead'> = {},
  ): Promise<OutboxWaiting[]> {
    const heard = await this.#failures.heard();
    const found: OutboxWaiting[] = [];
    let page: OutGroup[] = [];
    let left = skip;
    const look = async (): Promise<void> => {
      for (const { row } of (await several(page, (group) => this.#look(group))).filter((one) => one !== undefined)) {
        if (row === undefined) continue;
        const { failure, ...one } = rowOf(row, heard(row));
        found.push({ ...one.row, dueMs: one.dueMs, cause: failure?.cause ?? null, dead: failure?.dead === true });
      }
      page = [];
    };
    for await (const group of this.#parts.rows.groups(target)) {
      if (dead !== undefined && dead !== (failureFor(heard(group.of), group)?.dead === true)) continue;
      if (left-- > 0) continue;
      page.push(group);
      if (found.length + page.length === n) await look();
      if (found.length === n) break;
    }
    await look();
    return found;
  }

  async outbox(): Promise<OutboxState[]> {
    if (await this.#nothing()) return [];
    const heard = await this.#failures.heard();
    const states = new Map<string, OutboxState>();
    for await (const group of this.#parts.rows.groups()) {
      const { target } = group.of;
      const { cause = null, dead = false } = failureFor(heard(group.of), group) ?? {};
      const key = `${target} ${cause} ${dead}`;
      const since = Math.min(...group.marks.map(({ atMs }) => atMs));
      const { rows, sinceMs } = states.get(key) ?? { rows: 0, sinceMs: since };
      states.set(key, { target, cause, dead, rows: rows + 1, sinceMs: Math.min(sinceMs, since) });
    }
    return [...states.values()];
  }

  async written(row: OutboxRow): Promise<void> {
    const { rows } = this.#parts;
    this.#claims.end(row);
    const looked = await rows.look(await rows.of(row));
    if (looked.row?.version !== row.version) return;
    await this.#remove([{ row: looked.row, looked }]);
  }

  async failed(row: OutboxRow, { cause, dueMs, dead = false }: OutboxFailure): Promise<void> {
    this.#claims.end(row);
    await this.#failures.change(row, (found) => failedOnce(found, row, { cause, dueMs, dead }));
  }

  async retry(of: OutboxChoice): Promise<number> {
    let count = 0;
    for (const { place, groups, known } of await this.#chosen(of)) {
      const some = groups.filter((group) => of.name !== undefined || failureFor(known, group) !== undefined);
      count += some.length;
      const again = new Set(some.flatMap(({ of: key }) => failureOfRow(known, key)?.row ?? []));
      if (again.size === 0) continue;
      await this.#failures.change(place, (found) =>
        found.map((one) => (again.has(one.row) ? { ...one, dueMs: 0, dead: false } : one)),
      );
    }
    return count;
  }

  async drop(of: OutboxChoice): Promise<number> {
    let count = 0;
    for (const { groups } of await this.#chosen(of)) {
      const looks = await several(groups, async (group) => {
        const looked = await this.#look(group);
        // Nobody can tell what it says, and no write that its marks are of can come.
        if (looked === undefined) await this.#parts.rows.remove(group.marks);
        else await this.#parts.rows.tidy(looked, this.#parts.telling.nowMs());
        return looked;
      });
      const all = looks.flatMap((looked) => (looked?.row === undefined ? [] : [{ row: looked.row, looked }]));
      count += all.length + looks.filter((looked) => looked === undefined).length;
      for (const { row } of all) this.#claims.end(row);
      await this.#remove(all);
    }
    return count;
  }

  async reroute(): Promise<void> {
    const { rows, telling, cells } = this.#parts;
    for await (const target of this.targets()) {
      if (!isBackend(target)) continue;
      for await (const { of, marks } of rows.groups(target)) {
        const backend = backendAmong(telling.targetsOf(of.repo));
        if (backend === undefined || backend === target) continue;
        const moved = { ...of, target: backend };
        const [no, atMs] = [Math.max(...marks.map((mark) => mark.no)), Math.min(...marks.map((mark) => mark.atMs))];
        if ((await rows.of(moved)).marks.length === 0) await telling.queue(moved, { no, atMs });
        await several(marks, (mark) => cells.unmark(mark.key));
      }
    }
  }

  /** What waits of a key for the repository's own backend. */
  async waits(repo: string, kind: OutboxKey['kind'], name: string): Promise<OutGroup | undefined> {
    const target = backendAmong(this.#parts.telling.targetsOf(repo));
    if (target === undefined) return undefined;
    const group = await this.#parts.rows.of({ target, repo, kind, name });
    return group.marks.length === 0 ? undefined : group;
  }

  async #remove(all: readonly { readonly row: Bare; readonly looked: OutLooked }[]): Promise<void> {
    const { rows, cells } = this.#parts;
    await several(all, async ({ row, looked }) => {
      await rows.remove(looked.over);
      if (row.slot !== undefined) await several(looked.over, ({ by }) => cells.unmark(cameAt(by)));
    });
    const heard = await this.#failures.heard();
    const failed = all.filter(({ row }) => failureOfRow(heard(row), row) !== undefined);
    for (const [, [first, ...rest]] of Map.groupBy(failed, ({ row }) => `${row.target} ${row.repo}`))
      if (first !== undefined)
        await this.#failures.change(first.row, (found) =>
          [first, ...rest].reduce<Known>((left, { row }) => without(left, row), found),
        );
  }

  /** Of the groups of a repository, rows that may be tried. Where each write is a row: the first one that is not dead, or none. */
  async #dueOf(
    groups: readonly OutGroup[],
    known: Known,
    { nowMs, n, held }: { nowMs: number; n: number; held: (key: OutboxKey) => boolean },
  ): Promise<Found[]> {
    const { rows } = this.#parts;
    const found: Found[] = [];
    const look = async (group: OutGroup): Promise<Found | undefined> => {
      const looked = await this.#look(group);
      if (looked !== undefined) await rows.tidy(looked, nowMs);
      return looked?.row && { ...rowOf(looked.row, known), looked };
    };
    const each = groups.filter(({ of }) => of.slot !== undefined);
    for (const group of each) {
      if (held(group.of)) break;
      const one = await look(group);
      if (one === undefined || one.failure?.dead === true) continue;
      if (one.dueMs <= nowMs) found.push(one);
      break;
    }
    const others = groups
      .filter(({ of }) => of.slot === undefined && !held(of))
      .map((group) => ({ group, due: dueOf(group, known) }))
      .filter(({ due }) => due <= nowMs)
      .sort((one, other) => one.due - other.due);
    for (let at = 0; at < others.length && found.length < n; at += lookedAtMax) {
      const some = await several(others.slice(at, at + lookedAtMax), ({ group }) => look(group));
      found.push(
        ...some.filter((one) => one !== undefined).filter(({ failure, dueMs }) => !failure?.dead && dueMs <= nowMs),
      );
    }
    return found.slice(0, n);
  }

  /** Rows that have all of that, by repository, with what has failed there. */
  async #chosen({ dead, ...key }: OutboxChoice): Promise<{ place: OutPlace; groups: OutGroup[]; known: Known }[]> {
    const groups: OutGroup[] = [];
    for await (const group of this.#parts.rows.groups(key.target))
      if (
        Object.entries(key).every(([name, value]) => value === undefined || group.of[name as keyof OutboxKey] === value)
      )
        groups.push(group);
    const places = [...Map.groupBy(groups, ({ of }) => `${of.target} ${of.repo}`).values()];
    return await several(places, async (some) => {
      const { target, repo } = (some[0] as OutGroup).of;
      const place = { target, repo };
      const known = (await this.#parts.damage.past(place, () => this.#failures.read(place))) ?? [];
      const is = (group: OutGroup): boolean => dead === undefined || dead === (failureFor(known, group)?.dead === true);
      return { place, groups: some.filter(is), known };
    });
  }

  /** undefined: it is none of an index. */
  #look(group: OutGroup): Promise<OutLooked | undefined> {
    return this.#parts.damage.past(group.of, () => this.#parts.rows.look(group));
  }

  #tried(groups: readonly OutGroup[]): readonly OutGroup[] {
    return groups.filter(({ of }) => !this.#parts.damage.leaves(of));
  }

  /** A part of what waits for a target: the next one, once this has nothing to do. */
  async #next(target: string): Promise<OutWindow> {
    const after = this.#cursors.get(target) ?? '';
    const window = await this.#parts.rows.window(target, after);
    if (window.next === undefined) this.#cursors.delete(target);
    else this.#cursors.set(target, window.next);
    return window.groups.length === 0 && after !== '' ? await this.#next(target) : window;
  }

  /** Whether nothing waits for anybody, as far as is known. */
  async #nothing(): Promise<boolean> {
    const { telling, tickMs, cells } = this.#parts;
    const { generation } = telling;
    if (this.#idle?.generation === generation && tickMs() < this.#idle.untilMs) return true;
    for await (const _ of cells.keys(OUT, '', 1)) return false;
    if (telling.generation === generation) this.#idle = { generation, untilMs: tickMs() + idleMs };
    return true;
  }

  /** Those that anything waits for. */
  async *targets(): AsyncGenerator<string> {
    let after = '';
    for (;;) {
      let found: string | undefined;
      for await (const { key } of this.#parts.cells.keys(OUT, after, 1)) {
        found = targetAt(key);
        break;
      }
      if (found === undefined) return;
      yield found;
      after = afterTarget(found);
    }
  }
}

/** With what its attempts have come to. */
function rowOf({ dueMs, ...row }: Bare, known: Known): Omit<Found, 'looked'> {
  const last = failureOfRow(known, row);
  const failure = last?.version === row.version ? last : undefined;
  return { row: { ...row, attempts: failure?.attempts ?? 0 }, dueMs: failure?.dueMs ?? dueMs, failure };
}

/** When it may be tried, as far as its marks tell. Dead: never. */
function dueOf(group: OutGroup, known: Known): number {
  const failure = failureFor(known, group);
  if (failure?.dead) return Number.POSITIVE_INFINITY;
  return failure?.dueMs ?? Math.max(...group.marks.map(({ atMs }) => atMs));
}

/** When the first of a repository may be tried; undefined: none may. */
function dueIn(groups: readonly OutGroup[], known: Known): number | undefined {
  const dues = groups.map((group) => ({ each: group.of.slot !== undefined, due: dueOf(group, known) }));
  const alive = dues.filter(({ due }) => due !== Number.POSITIVE_INFINITY);
  const first = alive.find(({ each }) => each);
  const all = alive.filter((one) => !one.each || one === first).map(({ due }) => due);
  return all.length === 0 ? undefined : Math.min(...all);
}

/** What waits longest first. */
function inTime(found: readonly Found[]): OutboxRow[] {
  const order = ({ row, dueMs }: Found): number[] => [dueMs, row.slot ?? 0, numberOf(row.version)];
  return [...found]
    .sort((one, other) => {
      const theirs = order(other);
      return order(one).reduce((sum, value, i) => sum || value - (theirs[i] ?? 0), 0);
    })
    .map(({ row }) => row);
}
