/** What an index's tables in PostgreSQL hold, as entries (platform/tags/move): of the moment when the reading began. */

import type { Digest } from '../../../../core/digest.ts';
import { type MoveReading, movePage } from '../../move/engine.ts';
import { type Entries, type EntryKind, referencesOf } from '../../move/entries.ts';
import { tagVersion } from '../../versions.ts';
import type { PgConnection } from '../server/connection.ts';

const refs = (kind: string): string =>
  `ARRAY(SELECT f.target FROM refs f WHERE f.repo = m.repo AND f.manifest = m.digest AND f.kind = '${kind}')`;

const SQL: { readonly [K in EntryKind]: string } = {
  unlinked: 'SELECT digest, since, told, generation FROM unlinked ORDER BY digest',
  repo: 'SELECT name AS repo FROM repos ORDER BY name',
  brought: 'SELECT r.name AS repo, f.target FROM filled f JOIN repos r ON r.id = f.repo ORDER BY r.name, f.target',
  blob: 'SELECT b.digest, r.name AS repo, b.size FROM blobs b JOIN repos r ON r.id = b.repo ORDER BY b.digest, r.name',
  manifest: `SELECT r.name AS repo, m.digest, m.media_type AS "mediaType", m.size, m.subject,
    m.artifact_type AS "artifactType", m.annotations, ${refs('blob')} AS blobs, ${refs('manifest')} AS manifests
    FROM repos r JOIN manifests m ON m.repo = r.id ORDER BY r.name, m.digest`,
  idle: `SELECT b.digest, r.name AS repo, b.idle AS "sinceMs" FROM blobs b JOIN repos r ON r.id = b.repo
    WHERE b.idle IS NOT NULL ORDER BY b.digest, r.name`,
  tag: `SELECT * FROM (
      SELECT r.name AS repo, t.tag, t.version AS no, t.writer, m.digest, m.media_type AS "mediaType", m.size
        FROM repos r JOIN tags t ON t.repo = r.id JOIN manifests m ON m.repo = r.id AND m.digest = t.digest
      UNION ALL SELECT r.name, t.tag, t.version, t.writer, NULL, NULL, NULL FROM repos r JOIN tombstones t ON t.repo = r.id
    ) AS every ORDER BY repo, lower(tag), tag`,
  outbox: `SELECT o.target, r.name AS repo, o.slot, o.kind, o.name, o.state, o.version AS no, o.writer, o.digest,
    o.since AS "sinceMs", o.due AS "dueMs", o.attempts, o.cause FROM outbox o JOIN repos r ON r.id = o.repo
    ORDER BY o.target, r.name, o.slot, o.kind, o.name`,
  numbers: 'SELECT generation, tag_version AS version, forgotten_version AS forgotten FROM identity',
  succession: 'SELECT id, trusted FROM succession ORDER BY id',
  document: 'SELECT name, version, body AS text FROM documents ORDER BY name',
};

/** Of one page: the first may have to wait for all of a kind to be sorted. */
const pageMs = 600_000;

type Row = Record<string, string | number | null | readonly Digest[]>;

export class PostgresReading implements MoveReading {
  readonly #connection: PgConnection;
  readonly #database: string;

  private constructor(connection: PgConnection, database: string) {
    this.#connection = connection;
    this.#database = database;
  }

  /** `connection` is its own from now on. */
  static async open(connection: PgConnection, database: string): Promise<PostgresReading> {
    await connection.say(
      `SET idle_in_transaction_session_timeout TO 0; SET statement_timeout TO ${pageMs};
      BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY`,
    );
    return new PostgresReading(connection, database);
  }

  async *pages<K extends EntryKind>(kind: K): AsyncGenerator<readonly Entries[K][]> {
    const connection = this.#connection;
    await connection.within(pageMs, () => connection.say(`DECLARE ${kind}_walk CURSOR FOR ${SQL[kind]}`));
    try {
      for (;;) {
        const fetch = { name: `move_${kind}`, text: `FETCH ${movePage} FROM ${kind}_walk` };
        const rows = await connection.within(pageMs, () => connection.all<Row>(fetch));
        if (rows.length > 0) yield rows.map((row) => entryOf(kind, row, this.#database) as Entries[K]);
        if (rows.length < movePage) return;
      }
    } finally {
      if (connection.lost === undefined) await connection.say(`CLOSE ${kind}_walk`).catch(() => undefined);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#connection.end();
  }
}

function entryOf(kind: EntryKind, row: Row, database: string): object {
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
      const { annotations, blobs, manifests, ...rest } = row;
      const told = annotations === null ? null : (JSON.parse(annotations as string) as object);
      return { ...rest, annotations: told, ...referencesOf(blobs as Digest[], manifests as Digest[]) };
    }
    case 'outbox': {
      const { no, writer, ...rest } = row;
      return { ...rest, version: tagVersion(no as number, (writer as string | null) ?? database) };
    }
    default:
      return row;
  }
}
