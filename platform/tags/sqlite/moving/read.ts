/** What a database of an index in SQLite holds, as entries (platform/tags/move): of the moment when the reading began. */

import { DatabaseSync } from 'node:sqlite';
import type { Digest } from '../../../../core/digest.ts';
import { type MoveReading, paged } from '../../move/engine.ts';
import { type Entries, type EntryKind, referencesOf } from '../../move/entries.ts';
import { tagVersion } from '../../versions.ts';

const SQL: { readonly [K in EntryKind]: string } = {
  unlinked: 'SELECT digest, since, told, generation FROM unlinked ORDER BY digest',
  repo: 'SELECT name AS repo FROM repos ORDER BY name',
  brought: 'SELECT r.name AS repo, f.target FROM filled f JOIN repos r ON r.id = f.repo ORDER BY r.name, f.target',
  blob: 'SELECT b.digest, r.name AS repo, b.size FROM blobs b JOIN repos r ON r.id = b.repo ORDER BY b.digest, r.name',
  manifest: `SELECT r.id, r.name AS repo, m.digest, m.media_type AS mediaType, m.size, m.subject,
    m.artifact_type AS artifactType, m.annotations FROM repos r JOIN manifests m ON m.repo = r.id ORDER BY r.name, m.digest`,
  idle: `SELECT b.digest, r.name AS repo, b.idle AS sinceMs FROM blobs b JOIN repos r ON r.id = b.repo
    WHERE b.idle IS NOT NULL ORDER BY b.digest, r.name`,
  tag: `SELECT * FROM (
      SELECT r.name AS repo, t.tag, t.version AS no, t.writer, m.digest, m.media_type AS mediaType, m.size
        FROM repos r JOIN tags t ON t.repo = r.id JOIN manifests m ON m.repo = r.id AND m.digest = t.digest
      UNION ALL SELECT r.name, t.tag, t.version, t.writer, NULL, NULL, NULL FROM repos r JOIN tombstones t ON t.repo = r.id
    ) ORDER BY repo, tag COLLATE NOCASE, tag`,
  outbox: `SELECT o.target, r.name AS repo, o.slot, o.kind, o.name, o.state, o.version AS no, o.writer, o.digest,
    o.since AS sinceMs, o.due AS dueMs, o.attempts, o.cause FROM outbox o JOIN repos r ON r.id = o.repo
    ORDER BY o.target, r.name, o.slot, o.kind, o.name`,
  numbers: 'SELECT generation, tag_version AS version, forgotten_version AS forgotten FROM identity',
  succession: 'SELECT id, trusted FROM succession ORDER BY id',
  document: 'SELECT name, version, body AS text FROM documents ORDER BY name',
};
const REFS = 'SELECT target, kind FROM refs WHERE repo = ? AND manifest = ?';

type Row = Record<string, string | number | null>;

export class SqliteReading implements MoveReading {
  readonly #db: DatabaseSync;
  readonly #database: string;

  constructor(file: string) {
    this.#db = new DatabaseSync(file, { readOnly: true });
    this.#db.exec('BEGIN');
    this.#database = (this.#db.prepare('SELECT id FROM identity').get() as { id: string }).id;
  }

  async *pages<K extends EntryKind>(kind: K): AsyncGenerator<readonly Entries[K][]> {
    const refs = this.#db.prepare(REFS);
    const references = (row: Row): { target: Digest; kind: string }[] =>
      refs.all(row['id'] as number, row['digest'] as string) as { target: Digest; kind: string }[];
    const rows = this.#db.prepare(SQL[kind]).iterate() as Iterable<Row>;
    for (const page of paged(rows))
      yield page.map((row) => entryOf(kind, row, { database: this.#database, references }) as Entries[K]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#db.close();
  }
}

type Of = { readonly database: string; readonly references: (row: Row) => { target: Digest; kind: string }[] };

function entryOf(kind: EntryKind, row: Row, { database, references }: Of): object {
  switch (kind) {
    case 'unlinked': {
      const { digest, since, told, generation } = row;
      return generation === null ? { digest, sinceMs: since } : { digest, toldMs: told, generation };
    }
    case 'tag': {
      const { repo, tag, no, writer, digest, mediaType, size } = row;
      const version = tagVersion(no as number, (writer as string | null) ?? database);
      return { repo, tag, version, on: digest === null ? null : { digest, mediaType, size } };
    }
    case 'manifest': {
      const { id: _, annotations, ...rest } = row;
      const all = references(row);
      const of = (what: string): Digest[] => all.filter((one) => one.kind === what).map(({ target }) => target);
      const told = annotations === null ? null : (JSON.parse(annotations as string) as object);
      return { ...rest, annotations: told, ...referencesOf(of('blob'), of('manifest')) };
    }
    case 'outbox': {
      const { no, writer, ...rest } = row;
      return { ...rest, version: tagVersion(no as number, (writer as string | null) ?? database) };
    }
    case 'succession':
      return { id: row['id'], trusted: row['trusted'] === 1 };
    default:
      return { ...row };
  }
}
