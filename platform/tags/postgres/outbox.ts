/** The outbox in PostgreSQL (outbox.ts): as sqlite/outbox.ts, and who works on a row is written in it, for all processes. */

import type { TagVersion } from '../../../core/contracts/index-api.ts';
import type {
  ClaimAt,
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
import { numberOf, tagVersion, writerOf } from '../versions.ts';
import type { Tx } from './numbers.ts';
import { type Querying, statements } from './server/statements.ts';

/** Of a row: as the schema has it. */
const STATE = { waits: 0, behind: 1, dead: 2 } as const;

const columns = `o.target, r.name AS repo, o.kind, o.name, o.slot, o.version AS no, o.writer, o.digest,
  o.since AS "sinceMs", o.attempts`;
const from = 'FROM outbox o JOIN repos r ON r.id = o.repo';
const of = `target = $1 AND repo = (SELECT id FROM repos WHERE name = $2) AND slot = $3 AND kind = $4 AND name = $5`;
const chosen = `($1::text IS NULL OR target = $1) AND ($2::text IS NULL OR repo = (SELECT id FROM repos WHERE name = $2))
  AND ($3::bigint IS NULL OR slot = $3) AND ($4::text IS NULL OR kind = $4) AND ($5::text IS NULL OR name = $5)
  AND ($6::boolean IS NULL OR (state = ${STATE.dead}) = $6)`;
const SQL = statements('outbox', {
  // What is older of the key waits no longer; the target lacks something since then all the same. Who holds it, does.
  add: `INSERT INTO outbox (target, repo, slot, kind, name, state, version, writer, digest, since, due, attempts)
    SELECT $1, $2::bigint, $3::bigint, k.kind, k.name, $4::smallint, $5::bigint, $6, k.digest, $7::bigint, $7::bigint, 0
      FROM unnest($8::text[], $9::text[], $10::text[]) AS k (kind, name, digest)
    ON CONFLICT (target, repo, slot, kind, name) DO UPDATE SET state = excluded.state, version = excluded.version,
      writer = excluded.writer, digest = excluded.digest, due = excluded.due, attempts = 0, cause = NULL`,
  // The first of a repository may be tried, where its target has every write.
  promote: `UPDATE outbox SET state = ${STATE.waits} WHERE state = ${STATE.behind} AND target = $1 AND repo = $2
    AND (slot, kind, name) = (SELECT slot, kind, name FROM outbox
      WHERE target = $1 AND repo = $2 AND slot > 0 AND state < 2 ORDER BY slot, kind, name LIMIT 1)`,
  promoteAll: `UPDATE outbox o SET state = ${STATE.waits} WHERE state = ${STATE.behind} AND NOT EXISTS
    (SELECT 1 FROM outbox b WHERE b.target = o.target AND b.repo = o.repo AND b.slot > 0 AND b.state < 2
      AND (b.slot, b.kind, b.name) < (o.slot, o.kind, o.name))`,
  count: 'SELECT count(*) AS rows FROM (SELECT 1 FROM outbox WHERE target = $1 LIMIT $2) AS counted',
  repo: 'SELECT id FROM repos WHERE name = $1',
  due: `SELECT ${columns} ${from} WHERE o.state = 0 AND o.target = $1 AND o.due <= $2
    ORDER BY o.due, o.slot, o.version LIMIT $3`,
  claim: `WITH free AS (SELECT target, repo, slot, kind, name FROM outbox
      WHERE state = 0 AND target = $1 AND greatest(due, held) <= $2
      ORDER BY greatest(due, held), slot, version LIMIT $3)
    UPDATE outbox o SET held = $4 FROM free f, repos r WHERE o.target = f.target AND o.repo = f.repo
      AND o.slot = f.slot AND o.kind = f.kind AND o.name = f.name AND r.id = o.repo RETURNING ${columns}`,
  hold: `UPDATE outbox o SET held = $6
    FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[]) AS k (target, repo, slot, kind, name), repos r
    WHERE r.name = k.repo AND o.target = k.target AND o.repo = r.id AND o.slot = k.slot AND o.kind = k.kind
      AND o.name = k.name`,
  next: `SELECT greatest(due, held) AS due FROM outbox WHERE state = 0 AND target = $1
    ORDER BY greatest(due, held) LIMIT 1`,
  one: `SELECT ${columns} ${from} WHERE o.target = $1 AND r.name = $2 AND o.slot = $3 AND o.kind = $4 AND o.name = $5`,
  waiting: `SELECT ${columns}, CASE o.state WHEN ${STATE.behind} THEN o.since ELSE o.due END AS "dueMs", o.cause, o.state
    ${from} WHERE ($3::text IS NULL OR o.target = $3) AND ($4::boolean IS NULL OR (o.state = ${STATE.dead}) = $4)
    ORDER BY o.target, o.repo, o.slot, o.kind, o.name LIMIT $2 OFFSET $1`,
  retry: `UPDATE outbox SET due = 0, state = CASE state WHEN ${STATE.dead} THEN ${STATE.waits} ELSE state END
    WHERE ${chosen} AND ($5::text IS NOT NULL OR cause IS NOT NULL)`,
  drop: `DELETE FROM outbox WHERE ${chosen}`,
  state: `SELECT target, cause, state = ${STATE.dead} AS dead, count(*) AS rows, min(since) AS "sinceMs" FROM outbox
    GROUP BY target, cause, state = ${STATE.dead}`,
  written: `DELETE FROM outbox WHERE ${of} AND version = $6 AND writer IS NOT DISTINCT FROM $7`,
  free: `UPDATE outbox SET held = 0 WHERE ${of}`,
  waits: `SELECT version AS no, writer FROM outbox
    WHERE target = $1 AND repo = $2 AND slot = 0 AND kind = $3 AND name = $4`,
  superseded: 'DELETE FROM outbox WHERE target = $1 AND repo = $2 AND slot = 0 AND kind = $3 AND name = $4',
  failed: `UPDATE outbox SET due = $8, cause = $9, state = $10, attempts = attempts + 1
    WHERE ${of} AND version = $6 AND writer IS NOT DISTINCT FROM $7`,
});

type Versioned = { readonly no: number; readonly writer: string | null };
type Raw = Omit<OutboxRow, 'version' | 'slot'> & Versioned & { readonly slot: number };
type RawWaiting = Raw & Pick<OutboxWaiting, 'dueMs' | 'cause'> & { readonly state: number };
type Place = { readonly id: number; readonly repo: string };
/** `version`: of the write, where it has one already. `next`: another number of this database. */
type ToldAt = { readonly version?: TagVersion | undefined; readonly next: () => Promise<TagVersion> };

export class PostgresOutbox {
  readonly #database: string;
  readonly #options: OutboxOptions | undefined;
  readonly #rooms = new Rooms();

  constructor(database: string, options: OutboxOptions | undefined) {
    this.#database = database;
    this.#options = options;
  }

  targetsOf(repo: string): readonly OutboxTarget[] {
    return this.#options?.targetsOf(repo) ?? [];
  }

  /** Nothing, where no target of the repository wants it. */
  async tell(
    { asking, told: heard }: Tx,
    { id, repo }: Place,
    all: readonly OutboxChange[],
    { version, next }: ToldAt,
  ): Promise<void> {
    const wanted = wantedBy(this.targetsOf(repo), all);
    if (wanted.length === 0) return;
    const at = version ?? (await next());
    const writer = this.#foreign(at);
    const every = wanted.some(({ target }) => target.every === true);
    // A version of another database says nothing of the order here.
    const order = every ? numberOf(writer === null ? at : await next()) : 0;
    const nowMs = this.#options?.nowMs() ?? 0;
    for (const { target, told } of wanted) {
      const each = target.every === true;
      if (each && (await this.#lost(asking, target, told.length))) continue;
      const [slot, state] = each ? [order, STATE.behind] : [0, STATE.waits];
      const write = [target.name, id, slot, state, numberOf(at), writer, nowMs] as const;
      const keys = [told.map(({ kind }) => kind), told.map(({ name }) => name), told.map(({ digest }) => digest)];
      await asking.run(SQL.add, ...write, ...keys);
      if (each) await asking.run(SQL.promote, target.name, id);
      heard.add(target.name);
    }
  }

  async #lost(asking: Querying, { name, rowsMax = everyRowsMax }: OutboxTarget, rows: number): Promise<boolean> {
    if (this.#rooms.due(name)) {
      const [counted] = await asking.all<{ rows: number }>(SQL.count, name, rowsMax);
      this.#rooms.counted(name, (counted?.rows ?? 0) >= rowsMax);
    }
    if (this.#rooms.has(name)) return false;
    this.#options?.onLost?.(name, rows);
    return true;
  }

  async claim({ asking }: Tx, target: string, { nowMs, n, untilMs }: ClaimAt): Promise<OutboxRow[]> {
    return (await asking.all<Raw>(SQL.claim, target, nowMs, n, untilMs)).map((raw) => this.#row(raw));
  }

  async hold({ asking }: Tx, keys: readonly OutboxKey[], untilMs: number): Promise<void> {
    const column = (name: 'target' | 'repo' | 'kind' | 'name'): string[] => keys.map((key) => key[name]);
    const slots = keys.map(({ slot = 0 }) => slot);
    await asking.run(SQL.hold, column('target'), column('repo'), slots, column('kind'), column('name'), untilMs);
  }

  /** The version that waits of a key for the repository's own backend. */
  async waits({ asking }: Tx, { id, repo }: Place, kind: OutboxKind, name: string): Promise<TagVersion | undefined> {
    const backend = backendAmong(this.targetsOf(repo));
    if (backend === undefined) return undefined;
    const [row] = await asking.all<Versioned>(SQL.waits, backend, id, kind, name);
    return row === undefined ? undefined : tagVersion(row.no, row.writer ?? this.#database);
  }

  /** That waits no longer, of whatever version. */
  async supersede({ asking }: Tx, { id, repo }: Place, kind: OutboxKind, name: string): Promise<void> {
    const backend = backendAmong(this.targetsOf(repo));
    if (backend !== undefined) await asking.run(SQL.superseded, backend, id, kind, name);
  }

  async due(asking: Querying, ...[target, nowMs, n]: [string, number, number]): Promise<OutboxRow[]> {
    return (await asking.all<Raw>(SQL.due, target, nowMs, n)).map((raw) => this.#row(raw));
  }

  async nextDueMs(asking: Querying, target: string): Promise<number | undefined> {
    return (await asking.all<{ due: number }>(SQL.next, target))[0]?.due;
  }

  async pending(asking: Querying, key: OutboxKey): Promise<OutboxRow | undefined> {
    const [raw] = await asking.all<Raw>(SQL.one, ...keyOf(key));
    return raw === undefined ? undefined : this.#row(raw);
  }

  async waiting(asking: Querying, ...[skip, n, of = {}]: [number, number, OutboxChoice?]): Promise<OutboxWaiting[]> {
    const all = await asking.all<RawWaiting>(SQL.waiting, skip, n, of.target ?? null, of.dead ?? null);
    return all.map(({ dueMs, cause, state, ...raw }) => ({
      ...this.#row(raw),
      ...{ dueMs, cause, dead: state === STATE.dead },
    }));
  }

  async retry({ asking }: Tx, of: OutboxChoice): Promise<number> {
    return await asking.run(SQL.retry, ...choiceOf(of));
  }

  async drop({ asking }: Tx, of: OutboxChoice): Promise<number> {
    const dropped = await asking.run(SQL.drop, ...choiceOf(of));
    await asking.run(SQL.promoteAll);
    return dropped;
  }

  async outbox(asking: Querying): Promise<OutboxState[]> {
    return await asking.all<OutboxState>(SQL.state);
  }

  async written({ asking }: Tx, row: OutboxRow): Promise<void> {
    const gone = await asking.run(SQL.written, ...this.#writeOf(row));
    if (gone === 0) await asking.run(SQL.free, ...keyOf(row));
    await this.#promoted(asking, row);
  }

  async failed({ asking }: Tx, row: OutboxRow, { dueMs, cause, dead = false }: OutboxFailure): Promise<void> {
    await asking.run(SQL.failed, ...this.#writeOf(row), dueMs, cause, dead ? STATE.dead : STATE.waits);
    await asking.run(SQL.free, ...keyOf(row));
    if (dead) await this.#promoted(asking, row);
  }

  /** The next one of its repository, where its target has every write. */
  async #promoted(asking: Querying, { target, repo, slot }: OutboxRow): Promise<void> {
    if (slot === undefined) return;
    const [found] = await asking.all<{ id: number }>(SQL.repo, repo);
    if (found !== undefined) await asking.run(SQL.promote, target, found.id);
  }

  #writeOf(row: OutboxRow): [...Key, number, string | null] {
    return [...keyOf(row), numberOf(row.version), this.#foreign(row.version)];
  }

  /** The database that wrote it; null: this one. */
  #foreign(version: TagVersion): string | null {
    const writer = writerOf(version);
    return writer === this.#database ? null : writer;
  }

  #row({ no, writer, target, repo, kind, name, slot, digest, sinceMs, attempts }: Raw): OutboxRow {
    const of = { target, repo, kind, name, ...(slot === 0 ? {} : { slot }) };
    return { ...of, version: tagVersion(no, writer ?? this.#database), digest, sinceMs, attempts };
  }
}

type Key = [string, string, number, string, string];

function keyOf({ target, repo, slot = 0, kind, name }: OutboxKey): Key {
  return [target, repo, slot, kind, name];
}

type Choice = [string | null, string | null, number | null, string | null, string | null, boolean | null];

function choiceOf({ target, repo, slot, kind, name, dead }: OutboxChoice): Choice {
  return [target ?? null, repo ?? null, slot ?? null, kind ?? null, name ?? null, dead ?? null];
}
