/** The tags themselves in SQLite, each with the version of its last write, and the tombstones of deleted ones (versions.ts). */

import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { TagVersion } from '../../core/contracts/index-api.ts';
import type { Digest } from '../../core/digest.ts';
import { forgetEvery, type TagState, tagVersion, tombstonesMax } from './versions.ts';

const SQL = {
  database: 'SELECT id FROM identity',
  next: 'UPDATE identity SET tag_version = tag_version + 1 RETURNING tag_version AS no',
  // A tag is in one of the two, or in neither.
  at: `SELECT version AS no, 1 AS there FROM tags WHERE repo = ?1 AND tag = ?2
    UNION ALL SELECT version, 0 FROM tombstones WHERE repo = ?1 AND tag = ?2`,
  on: 'SELECT tag FROM tags WHERE repo = ? AND digest = ?',
  put: 'INSERT OR REPLACE INTO tags (repo, tag, digest, version) VALUES (?, ?, ?, ?)',
  revive: 'DELETE FROM tombstones WHERE repo = ? AND tag = ?',
  remove: 'DELETE FROM tags WHERE repo = ? AND tag = ?',
  bury: 'INSERT OR REPLACE INTO tombstones (repo, tag, version) VALUES (?, ?, ?)',
  oldest: `SELECT version AS no FROM tombstones ORDER BY version DESC LIMIT 1 OFFSET ${tombstonesMax}`,
  forget: 'DELETE FROM tombstones WHERE version <= ?',
  forgotten: 'UPDATE identity SET forgotten_version = ?',
} as const;

export class SqliteVersions {
  readonly #statements: Readonly<Record<keyof typeof SQL, StatementSync>>;
  readonly #database: string;

  constructor(db: DatabaseSync) {
    const prepared = Object.entries(SQL).map(([name, sql]) => [name, db.prepare(sql)]);
    this.#statements = Object.fromEntries(prepared) as Record<keyof typeof SQL, StatementSync>;
    this.#database = (this.#statements.database.get() as { id: string }).id;
  }

  version(no: number): TagVersion {
    return tagVersion(no, this.#database);
  }

  state(repo: number, tag: string): TagState {
    const row = this.#statements.at.get(repo, tag) as { no: number; there: number } | undefined;
    return row === undefined
      ? { there: false, version: null }
      : { there: row.there === 1, version: this.version(row.no) };
  }

  /** Sets them in one write. */
  put(repo: number, tags: readonly string[], digest: Digest): TagVersion {
    const no = this.#next();
    for (const tag of tags) {
      this.#statements.put.run(repo, tag, digest, no);
      this.#statements.revive.run(repo, tag);
    }
    return this.version(no);
  }

  /** Removes them, which are there, in one write. */
  remove(repo: number, tags: readonly string[]): TagVersion {
    const no = this.#next();
    for (const tag of tags) {
      this.#statements.remove.run(repo, tag);
      this.#statements.bury.run(repo, tag, no);
    }
    return this.version(no);
  }

  /** The tags on a manifest. */
  on(repo: number, digest: Digest): string[] {
    return (this.#statements.on.all(repo, digest) as { tag: string }[]).map(({ tag }) => tag);
  }

  #next(): number {
    const { no } = this.#statements.next.get() as { no: number };
    if (no % forgetEvery === 0) this.#forget();
    return no;
  }

  #forget(): void {
    const oldest = this.#statements.oldest.get() as { no: number } | undefined;
    if (oldest === undefined) return;
    this.#statements.forget.run(oldest.no);
    this.#statements.forgotten.run(oldest.no);
  }
}
