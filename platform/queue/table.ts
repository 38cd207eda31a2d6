/**
 * The rows of a queue in a table of SQLite, synchronously: each method is part of its caller's transaction, so that whoever
 * has tables beside it (the index) writes both or neither.
 *
 * Rule 1: of one key there is at most one row. Adding it again writes it anew: another revision, alive, due at once.
 * Rule 2: what was done, or failed, counts only for the revision that it was begun for.
 * Rule 3: at most `rowsMax` rows; further ones are refused with STORAGE_FULL before anything of the call has happened.
 */

import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite';
import { ApiError } from '../../core/contracts/errors.ts';
import type { LaneStats, NewRow, Row, RowFilter, RowPage } from './row.ts';

/** Of a page of `list`. */
export const listMax = 1_000;
/** Characters of a failure's message that are kept. */
const messageMax = 1_000;

/** Of a schema (platform/sqlite). */
export const queueTableSteps: readonly string[] = [
  `
  CREATE TABLE queue (
    id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, lane TEXT NOT NULL, about TEXT NOT NULL,
    bytes INTEGER NOT NULL, data TEXT NOT NULL, revision INTEGER NOT NULL, addedMs INTEGER NOT NULL,
    dueMs INTEGER NOT NULL, attempts INTEGER NOT NULL, cause TEXT NOT NULL, message TEXT NOT NULL, dead INTEGER NOT NULL);
  CREATE INDEX queue_due ON queue (dead, lane, dueMs);
  CREATE INDEX queue_about ON queue (about);
  CREATE TABLE queue_state (complete INTEGER NOT NULL);
  INSERT INTO queue_state VALUES (0);
  CREATE TABLE queue_size (count INTEGER NOT NULL);
  INSERT INTO queue_size VALUES (0);
  CREATE TRIGGER queue_added AFTER INSERT ON queue BEGIN UPDATE queue_size SET count = count + 1; END;
  CREATE TRIGGER queue_removed AFTER DELETE ON queue BEGIN UPDATE queue_size SET count = count - 1; END;
`,
  // What its rows are complete as of: see QueueTable.fresh.
  "ALTER TABLE queue_state ADD COLUMN asOf TEXT NOT NULL DEFAULT ''",
];

export type RowRef = Pick<Row, 'id' | 'revision'>;
export type RowFailed = RowRef & Pick<Row, 'cause' | 'message' | 'dueMs' | 'dead'>;

export class QueueTable {
  readonly #db: DatabaseSync;
  readonly #name: string;
  readonly #rowsMax: number;
  readonly #statements = new Map<string, StatementSync>();

  /** `name`: what refusals call it. */
  constructor(db: DatabaseSync, of: { readonly name: string; readonly rowsMax: number }) {
    this.#db = db;
    this.#name = of.name;
    this.#rowsMax = of.rowsMax;
  }

  /** ApiError STORAGE_FULL. */
  add(rows: readonly NewRow[], nowMs: number): void {
    const { count } = this.#sql('SELECT count FROM queue_size').get() as { count: number };
    if (count + rows.length > this.#rowsMax)
      throw new ApiError(
        'STORAGE_FULL',
        `${this.#name} holds ${count} rows of at most ${this.#rowsMax}: what they wait for must come back first`,
      );
    const put = this.#sql(`
      INSERT INTO queue (key, lane, about, bytes, data, revision, addedMs, dueMs, attempts, cause, message, dead)
      VALUES (?, ?, ?, ?, ?, 1, ?, ?, 0, '', '', 0)
      ON CONFLICT (key) DO UPDATE SET lane = excluded.lane, about = excluded.about, bytes = excluded.bytes,
        data = excluded.data, revision = revision + 1, dueMs = excluded.dueMs, attempts = 0, cause = '', message = '', dead = 0`);
    for (const { key, lane, about, bytes, data } of rows) put.run(key, lane, about, bytes, data, nowMs, nowMs);
  }

  /** Rows of the lane that may be tried now, those first that have waited longest. */
  due(lane: string, { nowMs, limit }: { readonly nowMs: number; readonly limit: number }): Row[] {
    return this.#rows('SELECT * FROM queue WHERE dead = 0 AND lane = ? AND dueMs <= ? ORDER BY dueMs, id LIMIT ?', [
      lane,
      nowMs,
      limit,
    ]);
  }

  /** When the next row of the lane is due; undefined: it has none. */
  nextDueMs(lane: string): number | undefined {
    const next = this.#sql('SELECT min(dueMs) AS dueMs FROM queue WHERE dead = 0 AND lane = ?').get(lane);
    return (next as { dueMs: number | null }).dueMs ?? undefined;
  }

  /** False: it was written anew meanwhile, and stays. */
  done({ id, revision }: RowRef): boolean {
    return Number(this.#sql('DELETE FROM queue WHERE id = ? AND revision = ?').run(id, revision).changes) > 0;
  }

  failed({ id, revision, cause, message, dueMs, dead }: RowFailed): void {
    this.#sql(`UPDATE queue SET attempts = attempts + 1, cause = ?, message = ?, dueMs = ?, dead = ?
      WHERE id = ? AND revision = ?`).run(cause, message.slice(0, messageMax), dueMs, dead ? 1 : 0, id, revision);
  }

  /** It is tried again then; nothing has failed. */
  postpone({ id, revision }: RowRef, dueMs: number): void {
    this.#sql('UPDATE queue SET dueMs = ? WHERE id = ? AND revision = ?').run(dueMs, id, revision);
  }

  /** The row of that key. */
  get(key: string): Row | undefined {
    return this.#rows('SELECT * FROM queue WHERE key = ?', [key])[0];
  }

  /** Which of these some row is about, dead or not. */
  held(abouts: readonly string[]): string[] {
    const one = this.#sql('SELECT 1 FROM queue WHERE about = ? LIMIT 1');
    return abouts.filter((about) => one.get(about) !== undefined);
  }

  /** In the order in which they were added. */
  list(filter: RowFilter, { after = 0, max }: { readonly after?: number | undefined; readonly max: number }): RowPage {
    const { where, values } = conditions(filter);
    const limit = Math.min(max, listMax);
    const rows = this.#rows(`SELECT * FROM queue WHERE id > ?${where} ORDER BY id LIMIT ?`, [
      after,
      ...values,
      limit + 1,
    ]);
    const page = rows.slice(0, limit);
    return { rows: page, next: rows.length > limit ? page.at(-1)?.id : undefined };
  }

  /** The row of that key, or all dead ones, are alive and due now. How many those are. */
  retry(key: string | undefined, nowMs: number): number {
    const set = "UPDATE queue SET dead = 0, attempts = 0, cause = '', message = '', dueMs = ?";
    const done =
      key === undefined
        ? this.#sql(`${set} WHERE dead = 1`).run(nowMs)
        : this.#sql(`${set} WHERE key = ?`).run(nowMs, key);
    return Number(done.changes);
  }

  /** Removes dead rows, that of one key or all of them: what they stood for will not be done. How many. */
  drop(key: string | undefined): number {
    const done =
      key === undefined
        ? this.#sql('DELETE FROM queue WHERE dead = 1').run()
        : this.#sql('DELETE FROM queue WHERE dead = 1 AND key = ?').run(key);
    return Number(done.changes);
  }

  /** The clock was set back, or is another host's: nothing waits longer than it would have. */
  within(nowMs: number, waitMsMax: number): void {
    this.#sql('UPDATE queue SET dueMs = ? WHERE dueMs > ?').run(nowMs, nowMs + waitMsMax);
    this.#sql('UPDATE queue SET addedMs = ? WHERE addedMs > ?').run(nowMs, nowMs);
  }

  stats(): LaneStats[] {
    const lanes = this.#sql(`SELECT lane, sum(dead = 0) AS waiting, sum(bytes * (dead = 0)) AS bytes, sum(dead) AS dead,
      min(CASE WHEN dead = 0 THEN addedMs END) AS oldestMs FROM queue GROUP BY lane`).all() as (Omit<
      LaneStats,
      'oldestMs' | 'causes'
    > & { oldestMs: number | null })[];
    const causes = this.#sql("SELECT lane, cause, count(*) AS count FROM queue WHERE cause != '' GROUP BY lane, cause");
    const all = causes.all() as { lane: string; cause: string; count: number }[];
    return lanes.map(({ lane, waiting, bytes, dead, oldestMs }) => {
      const own = all.filter((one) => one.lane === lane).map(({ cause, count }) => [cause, count] as const);
      return { lane, waiting, bytes, dead, oldestMs: oldestMs ?? undefined, causes: Object.fromEntries(own) };
    });
  }

  /** Until `complete` of the same, whatever that is: its rows are not known to be all that there should be. */
  fresh(asOf: string): boolean {
    return this.#sql('SELECT 1 FROM queue_state WHERE complete = 1 AND asOf = ?').get(asOf) === undefined;
  }

  complete(asOf: string): void {
    this.#sql('UPDATE queue_state SET complete = 1, asOf = ?').run(asOf);
  }

  #rows(sql: string, values: readonly SQLInputValue[]): Row[] {
    const rows = this.#sql(sql).all(...values) as (Omit<Row, 'dead'> & { dead: number })[];
    return rows.map((row) => ({ ...row, dead: row.dead !== 0 }));
  }

  #sql(sql: string): StatementSync {
    const known = this.#statements.get(sql);
    if (known !== undefined) return known;
    const made = this.#db.prepare(sql);
    this.#statements.set(sql, made);
    return made;
  }
}

function conditions({ lane, about, cause, dead }: RowFilter): { where: string; values: SQLInputValue[] } {
  const wanted = { lane, about, cause, dead: dead === undefined ? undefined : Number(dead) };
  const given = Object.entries(wanted).filter((one): one is [string, string | number] => one[1] !== undefined);
  return { where: given.map(([column]) => ` AND ${column} = ?`).join(''), values: given.map(([, value]) => value) };
}
