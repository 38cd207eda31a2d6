/** Manifests without a tag, in SQLite (platform/tags/untagged.ts). */

import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { Digest } from '../../../../core/digest.ts';
import type { TagTables } from '../../store.ts';
import {
  hasTagSql,
  isFreeSql,
  type UntaggedOf,
  type UntaggedPage,
  type UntaggedRow,
  type UntaggedTables,
  untaggedPage,
} from '../../untagged.ts';

/** The step of the schema that adds its column. */
export const SQLITE_UNTAGGED = `
-- Since when a manifest is known to have no tag (untagged.ts). NULL: it has one, or nobody has looked.
ALTER TABLE manifests ADD COLUMN untagged INTEGER;
CREATE INDEX manifests_by_untagged ON manifests (untagged) WHERE untagged IS NOT NULL;
`;

const REPO = '(SELECT id FROM repos WHERE name = ?1)';

const SQL = {
  look: `SELECT m.digest, m.untagged AS since, ${hasTagSql} AS tagged, NOT ${hasTagSql} AND ${isFreeSql} AS free
    FROM (SELECT repo, digest, subject, untagged FROM manifests WHERE repo = ${REPO} AND digest > ?2
      ORDER BY digest LIMIT ?3) m ORDER BY m.digest`,
  note: `UPDATE manifests AS m SET untagged = ?3 WHERE repo = ${REPO} AND digest = ?2 AND untagged IS NULL AND NOT ${hasTagSql}`,
  unnote: `UPDATE manifests AS m SET untagged = NULL WHERE repo = ${REPO} AND digest = ?2 AND ${hasTagSql}`,
  asked: `UPDATE manifests SET untagged = ?3 WHERE repo = ${REPO} AND digest = ?2 AND untagged IS NOT NULL`,
  has: `SELECT 1 FROM manifests WHERE repo = ${REPO} AND digest = ?2`,
  due: `SELECT 1 FROM manifests m WHERE repo = ${REPO} AND digest = ?2 AND untagged <= ?3 AND NOT ${hasTagSql} AND ${isFreeSql}`,
  forget: `UPDATE manifests SET untagged = NULL
    WHERE (repo, digest) IN (SELECT repo, digest FROM manifests WHERE untagged IS NOT NULL LIMIT ?)`,
} as const;

export class SqliteUntagged implements UntaggedTables {
  readonly #statements: Readonly<Record<keyof typeof SQL, StatementSync>>;
  readonly #tables: Pick<TagTables, 'deleteManifest'>;

  constructor(db: DatabaseSync, tables: Pick<TagTables, 'deleteManifest'>) {
    const prepared = Object.entries(SQL).map(([name, sql]) => [name, db.prepare(sql)]);
    this.#statements = Object.fromEntries(prepared) as Record<keyof typeof SQL, StatementSync>;
    this.#tables = tables;
  }

  lookUntagged(of: UntaggedOf): UntaggedPage {
    return untaggedPage(this.#statements.look.all(of.repo, of.last ?? '', of.n) as UntaggedRow[], of);
  }

  noteUntagged: UntaggedTables['noteUntagged'] = (repo, { fresh, tagged: since }, nowMs) => {
    for (const digest of fresh) this.#statements.note.run(repo, digest, nowMs);
    for (const digest of since) this.#statements.unnote.run(repo, digest);
  };

  askedFor(repo: string, digest: Digest, nowMs: number): boolean {
    this.#statements.asked.run(repo, digest, nowMs);
    return this.#statements.has.get(repo, digest) !== undefined;
  }

  retire: UntaggedTables['retire'] = (repo, digests, { beforeMs, nowMs }) =>
    digests.filter(
      (digest) =>
        this.#statements.due.get(repo, digest, beforeMs) !== undefined &&
        this.#tables.deleteManifest(repo, digest, nowMs) === true,
    );

  forgetUntagged(n: number): boolean {
    return Number(this.#statements.forget.run(n).changes) === n;
  }
}
