/** What may be deleted from backends, in SQLite (platform/tags/doomed.ts). */

import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { Digest } from '../../../core/digest.ts';
import {
  type Doomed,
  type DoomedAt,
  type DoomedClaims,
  type DoomedCounts,
  type DoomedTables,
  doomedPasses,
  lateMs,
} from '../doomed.ts';
import { condemnedMs } from '../store.ts';

/** The step of the schema that makes its tables. */
export const SQLITE_DOOMED = `
-- Digests that were linked, and are not since then (doomed.ts). generation: that of a deletion that is not settled, claimed
-- until then; passes: deletions so far.
CREATE TABLE doomed (
  digest TEXT PRIMARY KEY, since INTEGER NOT NULL, passes INTEGER NOT NULL DEFAULT 0, generation INTEGER, until INTEGER
) WITHOUT ROWID;
CREATE INDEX doomed_by_since ON doomed (since);
CREATE INDEX doomed_by_until ON doomed (until) WHERE until IS NOT NULL;
-- Backends from which what nobody needs is deleted; those that others filled.
CREATE TABLE backends_of_gc (name TEXT PRIMARY KEY, deletes INTEGER NOT NULL, brought INTEGER NOT NULL) WITHOUT ROWID;
`;

const linked = (digest: string): string => `(EXISTS (SELECT 1 FROM blobs x WHERE x.digest = ${digest})
  OR EXISTS (SELECT 1 FROM manifests x WHERE x.digest = ${digest})
  OR EXISTS (SELECT 1 FROM refs x WHERE x.target = ${digest})
  OR EXISTS (SELECT 1 FROM manifests x WHERE x.subject = ${digest}))`;

const SQL = {
  noDeletes: 'UPDATE backends_of_gc SET deletes = 0',
  deletes: 'INSERT INTO backends_of_gc VALUES (?, 1, 0) ON CONFLICT DO UPDATE SET deletes = 1',
  brought: 'INSERT INTO backends_of_gc VALUES (?, 0, 1) ON CONFLICT DO UPDATE SET brought = 1',
  broughtAll: 'SELECT name FROM backends_of_gc WHERE brought ORDER BY name',
  lost: `INSERT INTO doomed (digest, since) SELECT ?1, ?2 WHERE EXISTS (SELECT 1 FROM backends_of_gc WHERE deletes)
    ON CONFLICT DO UPDATE SET since = excluded.since, passes = 0`,
  saved: 'DELETE FROM doomed WHERE digest = ? AND generation IS NULL',
  told: `UPDATE doomed SET passes = ${doomedPasses - 1}, since = ?2
    WHERE digest = ?1 AND passes >= ${doomedPasses} AND generation IS NULL`,
  find: 'SELECT passes, generation, until FROM doomed WHERE digest = ?',
  over: `SELECT digest, ${linked('doomed.digest')} AS linked FROM doomed
    WHERE until <= ?1 AND (since <= ?2 OR ${linked('doomed.digest')}) ORDER BY until LIMIT ?3`,
  forget: `DELETE FROM doomed WHERE digest IN (SELECT digest FROM doomed
    WHERE since <= ? AND passes >= ${doomedPasses} AND generation IS NULL LIMIT ?)`,
  due: `SELECT digest, ${linked('doomed.digest')} AS linked FROM doomed
    WHERE since <= ? AND passes < ${doomedPasses} AND generation IS NULL ORDER BY since LIMIT ?`,
  nextGeneration: 'UPDATE identity SET generation = generation + 1 RETURNING generation',
  condemn: `INSERT INTO unlinked (digest, since, told, generation) VALUES (?1, ?2, ?2, ?3)
    ON CONFLICT DO UPDATE SET told = excluded.told, generation = excluded.generation`,
  renew: 'UPDATE unlinked SET generation = ?2 WHERE digest = ?1',
  claim: 'UPDATE doomed SET generation = ?2, until = ?3 WHERE digest = ?1',
  settle: `UPDATE doomed SET generation = NULL, until = NULL, passes = passes + ?3,
    since = CASE WHEN ?3 THEN ?4 ELSE since END WHERE digest = ?1 AND generation = ?2`,
  linked: `SELECT ${linked('?1')} AS linked`,
  late: 'DELETE FROM doomed WHERE digest = ?1 AND until <= ?2',
  counts: `SELECT count(*) FILTER (WHERE passes < ${doomedPasses}) AS doomed,
    count(*) FILTER (WHERE passes < ${doomedPasses} AND since <= ?1) AS due,
    count(*) FILTER (WHERE generation IS NOT NULL) AS claimed FROM doomed`,
} as const;

type Row = { readonly passes: number; readonly generation: number | null; readonly until: number | null };
type Found = { readonly digest: Digest; readonly linked: number };

export class SqliteDoomed implements DoomedTables {
  readonly #statements: Readonly<Record<keyof typeof SQL, StatementSync>>;

  constructor(db: DatabaseSync) {
    const prepared = Object.entries(SQL).map(([name, sql]) => [name, db.prepare(sql)]);
    this.#statements = Object.fromEntries(prepared) as Record<keyof typeof SQL, StatementSync>;
  }

  /** Its last link went. */
  lost(digest: Digest, nowMs: number): void {
    this.#statements.lost.run(digest, nowMs);
  }

  /** It is linked. */
  saved(digest: Digest): void {
    this.#statements.saved.run(digest);
  }

  /** An origin that holds it, and may have written it since, is told to remove it. */
  told(digest: Digest, nowMs: number): void {
    this.#statements.told.run(digest, nowMs);
  }

  /**
   * The generation in which nothing may link it: of a claim that is not over, or, of one that is, of which it was proved, another
   * one, since what was proved before may have gone after it.
   */
  refuses(digest: Digest, proof: number | undefined, nowMs: number): number | undefined {
    const { generation = null, until } = this.#find(digest) ?? {};
    if (generation === null) return undefined;
    if ((until ?? 0) > nowMs) return generation;
    if (proof !== generation) return undefined;
    const next = this.#next();
    this.#statements.renew.run(digest, next);
    return next;
  }

  /** Whether any of these may be about to go from backends, or just went. */
  going(digests: Iterable<Digest>): boolean {
    return [...digests].some((digest) => {
      const row = this.#find(digest);
      return row !== undefined && (row.generation !== null || row.passes > 0);
    });
  }

  deletesFrom(backends: readonly string[]): void {
    this.#statements.noDeletes.run();
    for (const name of backends) this.#statements.deletes.run(name);
  }

  broughtFrom(backend: string): void {
    this.#statements.brought.run(backend);
  }

  broughtBackends(): string[] {
    return (this.#statements.broughtAll.all() as { name: string }[]).map(({ name }) => name);
  }

  claimDoomed({ nowMs, beforeMs, untilMs, n }: DoomedAt): DoomedClaims {
    this.#statements.forget.run(beforeMs - condemnedMs, n);
    const over = this.#statements.over.all(nowMs, beforeMs, n) as Found[];
    const due = this.#statements.due.all(beforeMs, n) as Found[];
    for (const { digest } of due.filter(isLinked)) this.saved(digest);
    const unneeded = [...over, ...due].filter((one) => !isLinked(one));
    const generation = unneeded.length === 0 ? 0 : this.#next();
    const claims = unneeded.map(({ digest }): Doomed => {
      this.#statements.condemn.run(digest, nowMs, generation);
      this.#statements.claim.run(digest, generation, untilMs);
      return { digest, generation };
    });
    const again = over.filter(isLinked).map(({ digest }) => digest);
    return { claims, again, more: due.length === n };
  }

  settleDoomed(claims: readonly Doomed[], gone: boolean, nowMs: number): Digest[] {
    const next = claims.length === 0 ? 0 : this.#next();
    return claims.flatMap(({ digest, generation }) => {
      if (isLinked(this.#statements.linked.get(digest) as Found)) return [digest];
      this.#statements.renew.run(digest, next);
      this.#statements.settle.run(digest, generation, gone ? 1 : 0, nowMs);
      return [];
    });
  }

  savedDoomed(digests: readonly Digest[], nowMs: number): void {
    for (const digest of digests)
      if (isLinked(this.#statements.linked.get(digest) as Found)) this.#statements.late.run(digest, nowMs - lateMs);
  }

  doomedCounts(beforeMs: number): DoomedCounts {
    return { ...(this.#statements.counts.get(beforeMs) as DoomedCounts) };
  }

  #find(digest: Digest): Row | undefined {
    return this.#statements.find.get(digest) as Row | undefined;
  }

  #next(): number {
    return (this.#statements.nextGeneration.get() as { generation: number }).generation;
  }
}

function isLinked({ linked }: Pick<Found, 'linked'>): boolean {
  return linked !== 0;
}
