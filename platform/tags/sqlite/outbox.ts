/** The outbox in SQLite (outbox.ts): one row a key and target, or one each write, found by when it may be tried. */

import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { TagVersion } from '../../../core/contracts/index-api.ts';
import { Leases } from '../leases.ts';
import type {
  OutboxChoice,
  OutboxFailure,
  OutboxKey,
  OutboxOptions,
  OutboxRow,
  OutboxState,
  OutboxWaiting,
} from '../outbox.ts';
import {
  backendAmong,
  everyRowsMax,
  type OutboxChange,
  type OutboxKind,
  type OutboxTarget,
  Rooms,
  wantedBy,
} from '../targets.ts';
import { numberOf } from '../versions.ts';

/** Of a row: as the schema has it. */
const STATE = { waits: 0, behind: 1, dead: 2 } as const;

const columns = `o.target, r.name AS repo, o.kind, o.name, o.slot, o.version AS no, o.writer, o.digest,
  o.since AS sinceMs, o.attempts`;
const repoOf = (parameter: string): string => `(SELECT id FROM repos WHERE name = ${parameter})`;
const key = `target = ?1 AND repo = ${repoOf('?2')} AND slot = ?3 AND kind = ?4 AND name = ?5`;
const chosen = `(?1 IS NULL OR target = ?1) AND (?2 IS NULL OR repo = ${repoOf('?2')}) AND (?3 IS NULL OR slot = ?3)
  AND (?4 IS NULL OR kind = ?4) AND (?5 IS NULL OR name = ?5) AND (?6 IS NULL OR (state = ${STATE.dead}) = ?6)`;
const inOrder = 'slot > 0 AND state < 2';
const SQL = {
  // What is older of the key waits no longer; the target lacks something since then all the same.
  add: `INSERT INTO outbox (target, repo, slot, kind, name, state, version, writer, digest, since, due, attempts)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?10, ?10, 0) ON CONFLICT (target, repo, slot, kind, name) DO UPDATE
    SET state = excluded.state, version = excluded.version, writer = excluded.writer, digest = excluded.digest,
      due = excluded.due, attempts = 0, cause = NULL`,
  // The first of a repository may be tried, where its target has every write.
  promote: `UPDATE outbox SET state = ${STATE.waits} WHERE state = ${STATE.behind} AND target = ?1 AND repo = ?2
    AND (slot, kind, name) = (SELECT slot, kind, name FROM outbox INDEXED BY outbox_in_order
      WHERE target = ?1 AND repo = ?2 AND ${inOrder} ORDER BY slot, kind, name LIMIT 1)`,
  promoteAll: `UPDATE outbox AS o SET state = ${STATE.waits} WHERE state = ${STATE.behind} AND NOT EXISTS
    (SELECT 1 FROM outbox b WHERE b.target = o.target AND b.repo = o.repo AND b.slot > 0 AND b.state < 2
      AND (b.slot, b.kind, b.name) < (o.slot, o.kind, o.name))`,
  count: 'SELECT count(*) AS rows FROM (SELECT 1 FROM outbox WHERE target = ? LIMIT ?)',
  repo: 'SELECT id FROM repos WHERE name = ?',
  due: `SELECT ${columns} FROM outbox o JOIN repos r ON r.id = o.repo
    WHERE o.state = 0 AND o.target = ? AND o.due <= ? ORDER BY o.due, o.slot, o.version LIMIT ?`,
  next: 'SELECT due FROM outbox WHERE state = 0 AND target = ? ORDER BY due LIMIT 1',
  one: `SELECT ${columns} FROM outbox o JOIN repos r ON r.id = o.repo
    WHERE o.target = ?1 AND o.repo = ${repoOf('?2')} AND o.slot = ?3 AND o.kind = ?4 AND o.name = ?5`,
  waiting: `SELECT ${columns}, iif(o.state = ${STATE.behind}, o.since, o.due) AS dueMs, o.cause, o.state
    FROM outbox o JOIN repos r ON r.id = o.repo
    WHERE (?3 IS NULL OR o.target = ?3) AND (?4 IS NULL OR (o.state = ${STATE.dead}) = ?4)
    ORDER BY o.target, o.repo, o.slot, o.kind, o.name LIMIT ?2 OFFSET ?1`,
  retry: `UPDATE outbox SET due = 0, state = iif(state = ${STATE.dead}, ${STATE.waits}, state)
    WHERE ${chosen} AND (?5 IS NOT NULL OR cause IS NOT NULL)`,
  drop: `DELETE FROM outbox WHERE ${chosen}`,
  state: `SELECT target, cause, state = ${STATE.dead} AS dead, count(*) AS rows, min(since) AS sinceMs FROM outbox
    GROUP BY target, cause, state = ${STATE.dead}`,
  written: `DELETE FROM outbox WHERE ${key} AND version = ?6 AND writer IS ?7`,
  superseded: 'DELETE FROM outbox WHERE target = ? AND repo = ? AND slot = 0 AND kind = ? AND name = ?',
  failed: `UPDATE outbox SET due = ?8, cause = ?9, state = ?10, attempts = attempts + 1
    WHERE ${key} AND version = ?6 AND writer IS ?7`,
  waits: `SELECT version AS no, writer FROM outbox WHERE target = ? AND repo = ? AND slot = 0 AND kind = ? AND name = ?`,
} as const;

type Versioned = { readonly no: number; readonly writer: string | null };
type Raw = Omit<OutboxRow, 'version' | 'slot'> & Versioned & { readonly slot: number };
type RawWaiting = Raw & Pick<OutboxWaiting, 'dueMs' | 'cause'> & { readonly state: number };
type Place = { readonly id: number; readonly repo: string };
/** `version`: of the write, where it has one already. `next`: another number of this database. */
export type ToldAt = { readonly version?: TagVersion | undefined; readonly next: () => TagVersion };
export type Versioning = {
  readonly version: (no: number, writer: string | null) => TagVersion;
  /** The database that wrote it; null: this one. */
  readonly foreign: (version: TagVersion) => string | null;
};

export class SqliteOutbox {
  readonly #statements: Readonly<Record<keyof typeof SQL, StatementSync>>;
  readonly #options: OutboxOptions | undefined;
  readonly #rooms = new Rooms();
  readonly #versions: Versioning;
  readonly leases = new Leases((...args) => this.due(...args));

  constructor(db: DatabaseSync, options: OutboxOptions | undefined, versions: Versioning) {
    const prepared = Object.entries(SQL).map(([name, sql]) => [name, db.prepare(sql)]);
    this.#statements = Object.fromEntries(prepared) as Record<keyof typeof SQL, StatementSync>;
    this.#options = options;
    this.#versions = versions;
  }

  /** Nothing, where no target of the repository wants it. */
  tell({ id, repo }: Place, all: readonly OutboxChange[], { version, next }: ToldAt): void {
    const wanted = wantedBy(this.#options?.targetsOf(repo) ?? [], all);
    if (wanted.length === 0) return;
    const at = version ?? next();
    const writer = this.#versions.foreign(at);
    const every = wanted.some(({ target }) => target.every === true);
    // A version of another database says nothing of the order here.
    const order = every ? numberOf(writer === null ? at : next()) : 0;
    const nowMs = this.#options?.nowMs() ?? 0;
    const { add, promote } = this.#statements;
    for (const { target, told } of wanted) {
      const each = target.every === true;
      if (each && this.#lost(target, told.length)) continue;
      const [slot, state] = each ? [order, STATE.behind] : [0, STATE.waits];
      for (const { kind, name, digest } of told)
        add.run(target.name, id, slot, kind, name, state, numberOf(at), writer, digest, nowMs);
      if (each) promote.run(target.name, id);
    }
    this.#options?.onTold?.(wanted.map(({ target }) => target.name));
  }

  #lost({ name, rowsMax = everyRowsMax }: OutboxTarget, rows: number): boolean {
    if (this.#rooms.due(name)) {
      const counted = this.#statements.count.get(name, rowsMax) as { rows: number };
      this.#rooms.counted(name, counted.rows >= rowsMax);
    }
    if (this.#rooms.has(name)) return false;
    this.#options?.onLost?.(name, rows);
    return true;
  }

  /** What waits of a key for the repository's own backend. */
  waits({ id, repo }: Place, kind: OutboxKind, name: string): TagVersion | undefined {
    const backend = backendAmong(this.#options?.targetsOf(repo) ?? []);
    if (backend === undefined) return undefined;
    const row = this.#statements.waits.get(backend, id, kind, name) as Versioned | undefined;
    return row && this.#versions.version(row.no, row.writer);
  }

  /** That waits no longer, of whatever version. */
  supersede({ id, repo }: Place, kind: OutboxKind, name: string): void {
    const backend = backendAmong(this.#options?.targetsOf(repo) ?? []);
    if (backend !== undefined) this.#statements.superseded.run(backend, id, kind, name);
  }

  due(target: string, nowMs: number, n: number): OutboxRow[] {
    return (this.#statements.due.all(target, nowMs, n) as Raw[]).map((raw) => this.#row(raw));
  }

  nextDueMs(target: string): number | undefined {
    return (this.#statements.next.get(target) as { due: number } | undefined)?.due;
  }

  pending(of: OutboxKey): OutboxRow | undefined {
    const raw = this.#statements.one.get(...keyOf(of)) as Raw | undefined;
    return raw === undefined ? undefined : this.#row(raw);
  }

  waiting(skip: number, n: number, { target, dead }: OutboxChoice = {}): OutboxWaiting[] {
    const all = this.#statements.waiting.all(skip, n, target ?? null, flagOf(dead)) as RawWaiting[];
    return all.map(({ dueMs, cause, state, ...raw }) => ({
      ...this.#row(raw),
      ...{ dueMs, cause, dead: state === STATE.dead },
    }));
  }

  retry(of: OutboxChoice): number {
    return Number(this.#statements.retry.run(...choiceOf(of)).changes);
  }

  drop(of: OutboxChoice): number {
    const dropped = Number(this.#statements.drop.run(...choiceOf(of)).changes);
    this.#statements.promoteAll.run();
    return dropped;
  }

  outbox(): OutboxState[] {
    const all = this.#statements.state.all() as (Omit<OutboxState, 'dead'> & { dead: number })[];
    return all.map(({ dead, ...state }) => ({ ...state, dead: dead === 1 }));
  }

  written(row: OutboxRow): void {
    this.leases.end(row);
    this.#statements.written.run(...keyOf(row), numberOf(row.version), this.#versions.foreign(row.version));
    this.#promoted(row);
  }

  failed(row: OutboxRow, { dueMs, cause, dead = false }: OutboxFailure): void {
    this.leases.end(row);
    const at = [numberOf(row.version), this.#versions.foreign(row.version)] as const;
    this.#statements.failed.run(...keyOf(row), ...at, dueMs, cause, dead ? STATE.dead : STATE.waits);
    if (dead) this.#promoted(row);
  }

  /** The next one of its repository, where its target has every write. */
  #promoted({ target, repo, slot }: OutboxRow): void {
    if (slot === undefined) return;
    const { id } = this.#statements.repo.get(repo) as { id: number };
    this.#statements.promote.run(target, id);
  }

  #row({ no, writer, target, repo, kind, name, slot, digest, sinceMs, attempts }: Raw): OutboxRow {
    const of = { target, repo, kind, name, ...(slot === 0 ? {} : { slot }) };
    return { ...of, version: this.#versions.version(no, writer), digest, sinceMs, attempts };
  }
}

function keyOf({ target, repo, slot = 0, kind, name }: OutboxKey): [string, string, number, string, string] {
  return [target, repo, slot, kind, name];
}

type Choice = [string | null, string | null, number | null, string | null, string | null, number | null];

function choiceOf({ target, repo, slot, kind, name, dead }: OutboxChoice): Choice {
  return [target ?? null, repo ?? null, slot ?? null, kind ?? null, name ?? null, flagOf(dead)];
}

function flagOf(value: boolean | undefined): number | null {
  return value === undefined ? null : Number(value);
}
