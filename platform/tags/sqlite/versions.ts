/** The tags themselves in SQLite, each with the version of its last write, and the tombstones of deleted ones (versions.ts). */

import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { TagVersion } from '../../../core/contracts/index-api.ts';
import type { Digest } from '../../../core/digest.ts';
import { forgetEvery, leadOf, numberOf, type TagState, tagVersion, tombstonesMax, writerOf } from '../versions.ts';

const SQL = {
  database: 'SELECT id FROM identity',
  // Not below the clock, where there is one.
  next: 'UPDATE identity SET tag_version = max(tag_version + 1, ?) RETURNING tag_version AS no',
  seen: 'UPDATE identity SET tag_version = max(tag_version, ?)',
  // A tag is in one of the two, or in neither.
  at: `SELECT version AS no, writer, digest FROM tags WHERE repo = ?1 AND tag = ?2
    UNION ALL SELECT version, writer, NULL FROM tombstones WHERE repo = ?1 AND tag = ?2`,
  on: 'SELECT tag FROM tags WHERE repo = ? AND digest = ?',
  put: `INSERT INTO tags (repo, tag, digest, version, writer) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET digest = excluded.digest, version = excluded.version, writer = excluded.writer`,
  revive: 'DELETE FROM tombstones WHERE repo = ? AND tag = ?',
  tagged: 'UPDATE manifests SET untagged = NULL WHERE repo = ? AND digest = ? AND untagged IS NOT NULL',
  orphaned: `UPDATE manifests
    SET untagged = max(untagged, coalesce((SELECT untagged FROM manifests WHERE repo = ?1 AND digest = ?2), ?3))
    WHERE repo = ?1 AND untagged IS NOT NULL AND digest IN (
      SELECT target FROM refs WHERE repo = ?1 AND manifest = ?2 AND kind = 'manifest'
      UNION SELECT digest FROM manifests WHERE subject = ?2 AND repo = ?1)`,
  remove: 'DELETE FROM tags WHERE repo = ? AND tag = ?',
  bury: 'INSERT OR REPLACE INTO tombstones (repo, tag, version, writer) VALUES (?, ?, ?, ?)',
  oldest: `SELECT version AS no FROM tombstones ORDER BY version DESC LIMIT 1 OFFSET ${tombstonesMax}`,
  forget: 'DELETE FROM tombstones WHERE version <= ?',
  forgotten: 'UPDATE identity SET forgotten_version = ?',
} as const;

export class SqliteVersions {
  readonly #statements: Readonly<Record<keyof typeof SQL, StatementSync>>;
  readonly #database: string;
  readonly #nowMs: (() => number) | undefined;
  /** Writes since it was looked what is too old. */
  #unlooked = 0;

  /** `nowMs`: what numbers are not below, if anything. */
  constructor(db: DatabaseSync, nowMs: (() => number) | undefined) {
    const prepared = Object.entries(SQL).map(([name, sql]) => [name, db.prepare(sql)]);
    this.#statements = Object.fromEntries(prepared) as Record<keyof typeof SQL, StatementSync>;
    this.#database = (this.#statements.database.get() as { id: string }).id;
    this.#nowMs = nowMs;
  }

  /** Of a write of this database, or of the one that is named. */
  version(no: number, writer: string | null = null): TagVersion {
    return tagVersion(no, writer ?? this.#database);
  }

  /** The database that wrote it; null: this one. */
  foreign(version: TagVersion): string | null {
    const writer = writerOf(version);
    return writer === this.#database ? null : writer;
  }

  state(repo: number, tag: string): TagState & { readonly digest: Digest | undefined } {
    const row = this.#statements.at.get(repo, tag) as Row | undefined;
    if (row === undefined) return { there: false, version: null, digest: undefined };
    const { no, writer, digest } = row;
    return { there: digest !== null, version: this.version(no, writer), digest: digest ?? undefined };
  }

  /** Sets them in one write; with the version that it has, if it was made elsewhere. */
  put(repo: number, tags: readonly string[], digest: Digest, as?: TagVersion): TagVersion {
    return this.#put(repo, tags, digest, this.#at(as));
  }

  /** Removes them in one write, as well. */
  remove(repo: number, tags: readonly string[], as?: TagVersion): TagVersion {
    return this.#bury(repo, tags, this.#at(as));
  }

  #at(as: TagVersion | undefined): TagVersion {
    if (as === undefined) return this.next();
    this.seen(as);
    return as;
  }

  /** Another database has written so. */
  seen(version: TagVersion): void {
    const lead = leadOf(version);
    if (lead !== undefined) this.#statements.seen.run(lead);
  }

  /** The same as another database has written it. */
  adopt(repo: number, tag: string, digest: Digest | null, version: TagVersion): void {
    if (digest === null) this.remove(repo, [tag], version);
    else this.put(repo, [tag], digest, version);
  }

  /** The tags on a manifest. */
  on(repo: number, digest: Digest): string[] {
    return (this.#statements.on.all(repo, digest) as { tag: string }[]).map(({ tag }) => tag);
  }

  /** A manifest is about to go: since when what it had kept has no tag (untagged.ts). */
  orphaned(repo: number, digest: Digest, nowMs: number): void {
    this.#statements.orphaned.run(repo, digest, nowMs);
  }

  /** That of the next write. */
  next(): TagVersion {
    const { no } = this.#statements.next.get(this.#nowMs?.() ?? 0) as { no: number };
    if (no % forgetEvery === 0 || ++this.#unlooked >= forgetEvery) this.#forget();
    return this.version(no);
  }

  #put(repo: number, tags: readonly string[], digest: Digest, version: TagVersion): TagVersion {
    for (const tag of tags) {
      this.#statements.put.run(repo, tag, digest, numberOf(version), this.foreign(version));
      this.#statements.revive.run(repo, tag);
    }
    this.#statements.tagged.run(repo, digest);
    return version;
  }

  #bury(repo: number, tags: readonly string[], version: TagVersion): TagVersion {
    for (const tag of tags) {
      this.#statements.remove.run(repo, tag);
      this.#statements.bury.run(repo, tag, numberOf(version), this.foreign(version));
    }
    return version;
  }

  #forget(): void {
    this.#unlooked = 0;
    const oldest = this.#statements.oldest.get() as { no: number } | undefined;
    if (oldest === undefined) return;
    this.#statements.forget.run(oldest.no);
    this.#statements.forgotten.run(oldest.no);
  }
}

type Row = { readonly no: number; readonly writer: string | null; readonly digest: Digest | null };
