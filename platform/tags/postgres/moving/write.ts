/** Entries (platform/tags/move) written into an index's tables in PostgreSQL: each in place of what has its key. */

import type { TagVersion } from '../../../../core/contracts/index-api.ts';
import type { Change, Entries } from '../../move/entries.ts';
import { numberOf, writerOf } from '../../versions.ts';
import { type Querying, statements, type Value } from '../server/statements.ts';

const REPO = '(SELECT id FROM repos WHERE name = $1)';
const SQL = statements('moving', {
  unlinked: `INSERT INTO unlinked (digest, since, told, generation) VALUES ($1, $2, $3, $4) ON CONFLICT (digest)
    DO UPDATE SET since = excluded.since, told = excluded.told, generation = excluded.generation`,
  linked: 'DELETE FROM unlinked WHERE digest = $1',
  repo: 'INSERT INTO repos (name) VALUES ($1)',
  brought: `INSERT INTO filled (repo, target) VALUES (${REPO}, $2)`,
  noBrought: `DELETE FROM filled WHERE repo = ${REPO} AND target = $2`,
  blob: `INSERT INTO blobs (repo, digest, size) VALUES (${REPO}, $2, $3) ON CONFLICT (repo, digest)
    DO UPDATE SET size = excluded.size`,
  noBlob: `DELETE FROM blobs WHERE repo = ${REPO} AND digest = $2`,
  idle: `UPDATE blobs SET idle = $3 WHERE repo = ${REPO} AND digest = $2`,
  manifest: `INSERT INTO manifests (repo, digest, media_type, size, subject, artifact_type, annotations)
    VALUES (${REPO}, $2, $3, $4, $5, $6, $7) ON CONFLICT (repo, digest) DO UPDATE SET media_type = excluded.media_type,
      size = excluded.size, subject = excluded.subject, artifact_type = excluded.artifact_type,
      annotations = excluded.annotations`,
  noManifest: `DELETE FROM manifests WHERE repo = ${REPO} AND digest = $2`,
  refs: `INSERT INTO refs (repo, manifest, target, kind)
    SELECT ${REPO}, $2, d, $4 FROM unnest($3::text[]) AS d`,
  noRefs: `DELETE FROM refs WHERE repo = ${REPO} AND manifest = $2`,
  tag: `INSERT INTO tags (repo, tag, digest, version, writer) VALUES (${REPO}, $2, $3, $4, $5) ON CONFLICT (repo, tag)
    DO UPDATE SET digest = excluded.digest, version = excluded.version, writer = excluded.writer`,
  noTag: `DELETE FROM tags WHERE repo = ${REPO} AND tag = $2`,
  tombstone: `INSERT INTO tombstones (repo, tag, version, writer) VALUES (${REPO}, $2, $3, $4) ON CONFLICT (repo, tag)
    DO UPDATE SET version = excluded.version, writer = excluded.writer`,
  noTombstone: `DELETE FROM tombstones WHERE repo = ${REPO} AND tag = $2`,
  outbox: `INSERT INTO outbox (repo, target, slot, kind, name, state, version, writer, digest, since, due, attempts, cause)
    VALUES (${REPO}, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
    ON CONFLICT (target, repo, slot, kind, name) DO UPDATE SET state = excluded.state, version = excluded.version,
      writer = excluded.writer, digest = excluded.digest, since = excluded.since, due = excluded.due,
      attempts = excluded.attempts, cause = excluded.cause`,
  noOutbox: `DELETE FROM outbox WHERE repo = ${REPO} AND target = $2 AND slot = $3 AND kind = $4 AND name = $5`,
  numbers: 'UPDATE identity SET generation = $1, tag_version = $2, forgotten_version = $3',
  succession: `INSERT INTO succession (id, trusted) VALUES ($1, $2) ON CONFLICT (id)
    DO UPDATE SET trusted = excluded.trusted`,
  noSuccession: 'DELETE FROM succession WHERE id = $1',
  document: `INSERT INTO documents (name, version, body) VALUES ($1, $2, $3) ON CONFLICT (name)
    DO UPDATE SET version = excluded.version, body = excluded.body`,
  noDocument: 'DELETE FROM documents WHERE name = $1',
});

/** Statements of one change, in their order; the caller sends them in a transaction. */
export class PostgresMoveWrites {
  readonly #asking: Querying;
  readonly #database: string;

  constructor(asking: Querying, database: string) {
    this.#asking = asking;
    this.#database = database;
  }

  async apply(change: Change): Promise<void> {
    await Promise.all(
      this.#statementsOf(change).map(([statement, ...values]) => this.#asking.run(SQL[statement], ...values)),
    );
  }

  #statementsOf(change: Change): Asked[] {
    const gone = change.how === 'remove';
    switch (change.kind) {
      case 'unlinked':
        return [unlinked(change.entry, gone)];
      case 'repo':
        // None ever goes.
        return gone ? [] : [['repo', change.entry.repo]];
      case 'brought':
        return [[gone ? 'noBrought' : 'brought', change.entry.repo, change.entry.target]];
      case 'blob': {
        const { repo, digest, size } = change.entry;
        return [gone ? ['noBlob', repo, digest] : ['blob', repo, digest, size]];
      }
      case 'manifest':
        return manifest(change.entry, gone);
      case 'idle': {
        const { repo, digest, sinceMs } = change.entry;
        return [['idle', repo, digest, gone ? null : sinceMs]];
      }
      case 'tag':
        return this.#tag(change.entry, gone);
      case 'outbox':
        return [this.#outbox(change.entry, gone)];
      case 'numbers': {
        const { generation, version, forgotten } = change.entry;
        return [['numbers', generation, version, forgotten]];
      }
      case 'succession': {
        const { id, trusted } = change.entry;
        return [gone ? ['noSuccession', id] : ['succession', id, trusted]];
      }
      case 'document': {
        const { name, version, text } = change.entry;
        return [gone ? ['noDocument', name] : ['document', name, version, text]];
      }
    }
  }

  #tag({ repo, tag, version, on }: Entries['tag'], gone: boolean): Asked[] {
    const said = this.#versioned(version);
    const noTag: Asked = ['noTag', repo, tag];
    const noTombstone: Asked = ['noTombstone', repo, tag];
    if (gone) return [noTag, noTombstone];
    return on === null
      ? [noTag, ['tombstone', repo, tag, ...said]]
      : [noTombstone, ['tag', repo, tag, on.digest, ...said]];
  }

  #outbox(entry: Entries['outbox'], gone: boolean): Asked {
    const { repo, target, slot, kind, name, state, digest, sinceMs, dueMs, attempts, cause } = entry;
    const key = [repo, target, slot, kind, name] as const;
    if (gone) return ['noOutbox', ...key];
    const version = this.#versioned(entry.version);
    return ['outbox', ...key, state, ...version, digest, sinceMs, dueMs, attempts, cause];
  }

  /** Its number, and who wrote it; null: this database. */
  #versioned(version: TagVersion): readonly [number, string | null] {
    const writer = writerOf(version);
    return [numberOf(version), writer === this.#database ? null : writer];
  }
}

type Asked = readonly [keyof typeof SQL, ...Value[]];

function unlinked(entry: Entries['unlinked'], gone: boolean): Asked {
  if (gone) return ['linked', entry.digest];
  if ('sinceMs' in entry) return ['unlinked', entry.digest, entry.sinceMs, null, null];
  return ['unlinked', entry.digest, entry.toldMs, entry.toldMs, entry.generation];
}

function manifest(entry: Entries['manifest'], gone: boolean): Asked[] {
  const { repo, digest, mediaType, size, subject, artifactType, annotations, blobs, manifests } = entry;
  if (gone)
    return [
      ['noRefs', repo, digest],
      ['noManifest', repo, digest],
    ];
  const told = annotations === null ? null : JSON.stringify(annotations);
  return [
    ['noRefs', repo, digest],
    ['manifest', repo, digest, mediaType, size, subject, artifactType, told],
    ['refs', repo, digest, blobs, 'blob'],
    ['refs', repo, digest, manifests, 'manifest'],
  ];
}
