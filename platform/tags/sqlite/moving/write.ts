/** Entries (platform/tags/move) written into a database of an index in SQLite: each in place of what has its key. */

import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite';
import type { TagVersion } from '../../../../core/contracts/index-api.ts';
import type { Change, Entries } from '../../move/entries.ts';
import { numberOf, writerOf } from '../../versions.ts';

const REPO = '(SELECT id FROM repos WHERE name = ?1)';
const SQL = {
  unlinked: 'INSERT OR REPLACE INTO unlinked (digest, since, told, generation) VALUES (?, ?, ?, ?)',
  linked: 'DELETE FROM unlinked WHERE digest = ?',
  repo: 'INSERT INTO repos (name) VALUES (?)',
  brought: `INSERT INTO filled (repo, target) VALUES (${REPO}, ?2)`,
  noBrought: `DELETE FROM filled WHERE repo = ${REPO} AND target = ?2`,
  blob: `INSERT INTO blobs (repo, digest, size) VALUES (${REPO}, ?2, ?3) ON CONFLICT DO UPDATE SET size = excluded.size`,
  idle: `UPDATE blobs SET idle = ?3 WHERE repo = ${REPO} AND digest = ?2`,
  noBlob: `DELETE FROM blobs WHERE repo = ${REPO} AND digest = ?2`,
  // An update, not OR REPLACE, which would have the triggers of used.ts count it once more; so below.
  manifest: `INSERT INTO manifests (repo, digest, media_type, size, subject, artifact_type, annotations)
    VALUES (${REPO}, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO UPDATE SET media_type = excluded.media_type,
      size = excluded.size, subject = excluded.subject, artifact_type = excluded.artifact_type,
      annotations = excluded.annotations`,
  noManifest: `DELETE FROM manifests WHERE repo = ${REPO} AND digest = ?2`,
  ref: `INSERT INTO refs (repo, manifest, target, kind) VALUES (${REPO}, ?2, ?3, ?4)`,
  noRefs: `DELETE FROM refs WHERE repo = ${REPO} AND manifest = ?2`,
  tag: `INSERT INTO tags (repo, tag, digest, version, writer) VALUES (${REPO}, ?2, ?3, ?4, ?5)
    ON CONFLICT DO UPDATE SET digest = excluded.digest, version = excluded.version, writer = excluded.writer`,
  noTag: `DELETE FROM tags WHERE repo = ${REPO} AND tag = ?2`,
  tombstone: `INSERT OR REPLACE INTO tombstones (repo, tag, version, writer) VALUES (${REPO}, ?2, ?3, ?4)`,
  noTombstone: `DELETE FROM tombstones WHERE repo = ${REPO} AND tag = ?2`,
  outbox: `INSERT OR REPLACE INTO outbox
    (repo, target, slot, kind, name, state, version, writer, digest, since, due, attempts, cause)
    VALUES (${REPO}, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)`,
  noOutbox: `DELETE FROM outbox WHERE repo = ${REPO} AND target = ?2 AND slot = ?3 AND kind = ?4 AND name = ?5`,
  numbers: 'UPDATE identity SET generation = ?, tag_version = ?, forgotten_version = ?',
  succession: 'INSERT OR REPLACE INTO succession (id, trusted) VALUES (?, ?)',
  noSuccession: 'DELETE FROM succession WHERE id = ?',
  document: 'INSERT OR REPLACE INTO documents (name, version, body) VALUES (?, ?, ?)',
  noDocument: 'DELETE FROM documents WHERE name = ?',
} as const;

export class SqliteMoveWrites {
  readonly #statements: Readonly<Record<keyof typeof SQL, StatementSync>>;
  readonly #database: string;

  constructor(db: DatabaseSync, database: string) {
    const prepared = Object.entries(SQL).map(([name, sql]) => [name, db.prepare(sql)]);
    this.#statements = Object.fromEntries(prepared) as Record<keyof typeof SQL, StatementSync>;
    this.#database = database;
  }

  /** In a transaction of the caller's. */
  apply(change: Change): void {
    const gone = change.how === 'remove';
    switch (change.kind) {
      case 'unlinked':
        return this.#unlinked(change.entry, gone);
      case 'repo':
        // None ever goes.
        return gone ? undefined : this.#run('repo', change.entry.repo);
      case 'brought':
        return this.#run(gone ? 'noBrought' : 'brought', change.entry.repo, change.entry.target);
      case 'blob': {
        const { repo, digest, size } = change.entry;
        return gone ? this.#run('noBlob', repo, digest) : this.#run('blob', repo, digest, size);
      }
      case 'manifest':
        return this.#manifest(change.entry, gone);
      case 'idle': {
        const { repo, digest, sinceMs } = change.entry;
        return this.#run('idle', repo, digest, gone ? null : sinceMs);
      }
      case 'tag':
        return this.#tag(change.entry, gone);
      case 'outbox':
        return this.#outbox(change.entry, gone);
      case 'numbers': {
        const { generation, version, forgotten } = change.entry;
        return this.#run('numbers', generation, version, forgotten);
      }
      case 'succession': {
        const { id, trusted } = change.entry;
        return gone ? this.#run('noSuccession', id) : this.#run('succession', id, trusted ? 1 : 0);
      }
      case 'document': {
        const { name, version, text } = change.entry;
        return gone ? this.#run('noDocument', name) : this.#run('document', name, version, text);
      }
    }
  }

  #unlinked(entry: Entries['unlinked'], gone: boolean): void {
    if (gone) return this.#run('linked', entry.digest);
    if ('sinceMs' in entry) return this.#run('unlinked', entry.digest, entry.sinceMs, null, null);
    this.#run('unlinked', entry.digest, entry.toldMs, entry.toldMs, entry.generation);
  }

  #manifest(entry: Entries['manifest'], gone: boolean): void {
    const { repo, digest, mediaType, size, subject, artifactType, annotations, blobs, manifests } = entry;
    this.#run('noRefs', repo, digest);
    if (gone) return this.#run('noManifest', repo, digest);
    const told = annotations === null ? null : JSON.stringify(annotations);
    this.#run('manifest', repo, digest, mediaType, size, subject, artifactType, told);
    for (const blob of blobs) this.#run('ref', repo, digest, blob, 'blob');
    for (const manifest of manifests) this.#run('ref', repo, digest, manifest, 'manifest');
  }

  #tag({ repo, tag, version, on }: Entries['tag'], gone: boolean): void {
    const said = this.#versioned(version);
    if (gone || on === null) this.#run('noTag', repo, tag);
    if (gone || on !== null) this.#run('noTombstone', repo, tag);
    if (gone) return;
    if (on === null) this.#run('tombstone', repo, tag, ...said);
    else this.#run('tag', repo, tag, on.digest, ...said);
  }

  #outbox(entry: Entries['outbox'], gone: boolean): void {
    const { repo, target, slot, kind, name, state, digest, sinceMs, dueMs, attempts, cause } = entry;
    const key = [repo, target, slot, kind, name] as const;
    if (gone) return this.#run('noOutbox', ...key);
    const version = this.#versioned(entry.version);
    this.#run('outbox', ...key, state, ...version, digest, sinceMs, dueMs, attempts, cause);
  }

  /** Its number, and who wrote it; null: this database. */
  #versioned(version: TagVersion): readonly [number, string | null] {
    const writer = writerOf(version);
    return [numberOf(version), writer === this.#database ? null : writer];
  }

  #run(statement: keyof typeof SQL, ...values: SQLInputValue[]): void {
    this.#statements[statement].run(...values);
  }
}
