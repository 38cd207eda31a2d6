/** What a backend holds, brought into the tables in SQLite (outbox.ts, rule 3). */

import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { Digest } from '../../../core/digest.ts';
import type { Adopted, AdoptedManifest, AdoptedTag } from '../outbox.ts';
import { replaces } from '../versions.ts';
import type { SqliteFilled } from './filled.ts';
import type { SqliteIdle } from './idle.ts';
import type { SqliteOutbox } from './outbox.ts';
import type { SqliteUnlinked } from './unlinked.ts';
import type { SqliteVersions } from './versions.ts';

const SQL = {
  repo: 'SELECT id FROM repos WHERE name = ?',
  addRepo: 'INSERT INTO repos (name) VALUES (?) ON CONFLICT DO NOTHING',
  hasManifest: 'SELECT 1 FROM manifests WHERE repo = ? AND digest = ?',
  putManifest: `INSERT INTO manifests (repo, digest, media_type, size, subject, artifact_type, annotations)
    VALUES (?, ?, ?, ?, ?, ?, ?)`,
  putRef: 'INSERT OR REPLACE INTO refs (repo, manifest, target, kind) VALUES (?, ?, ?, ?)',
  // What is linked here has the size that its pusher said.
  putBlob: 'INSERT INTO blobs (repo, digest, size) VALUES (?, ?, ?) ON CONFLICT DO NOTHING',
} as const;

export type AdoptParts = {
  readonly outbox: SqliteOutbox;
  readonly filled: SqliteFilled;
  readonly versions: SqliteVersions;
  readonly unlinked: SqliteUnlinked;
  readonly idle: SqliteIdle;
};

export class SqliteAdopt {
  readonly #statements: Readonly<Record<keyof typeof SQL, StatementSync>>;
  readonly #parts: AdoptParts;

  constructor(db: DatabaseSync, parts: AdoptParts) {
    const prepared = Object.entries(SQL).map(([name, sql]) => [name, db.prepare(sql)]);
    this.#statements = Object.fromEntries(prepared) as Record<keyof typeof SQL, StatementSync>;
    this.#parts = parts;
  }

  manifest(repo: string, digest: Digest, manifest: AdoptedManifest): Adopted {
    const id = this.#open(repo);
    const { outbox } = this.#parts;
    if (outbox.waits({ id, repo }, 'manifest', digest) !== undefined || this.#has(id, digest)) return 'kept';
    const { mediaType, size, subject, artifactType, annotations, blobs, manifests } = manifest;
    const targets = [...blobs.map((blob) => blob.digest), ...manifests, ...(subject === undefined ? [] : [subject])];
    if (this.#parts.unlinked.going([digest, ...targets])) return 'kept';
    const told = annotations === undefined ? null : JSON.stringify(annotations);
    this.#statements.putManifest.run(id, digest, mediaType, size, subject ?? null, artifactType ?? null, told);
    for (const blob of blobs) {
      this.#statements.putRef.run(id, digest, blob.digest, 'blob');
      if (outbox.waits({ id, repo }, 'blob', blob.digest) === undefined)
        this.#statements.putBlob.run(id, blob.digest, blob.size);
    }
    for (const child of manifests) this.#statements.putRef.run(id, digest, child, 'manifest');
    this.#parts.idle.referred(
      id,
      blobs.map((blob) => blob.digest),
    );
    // Their bytes are in the backend, whatever origins were told of those that they had.
    this.#parts.unlinked.referred([digest, ...targets]);
    return 'adopted';
  }

  blob(repo: string, digest: Digest, size: number): Adopted {
    const id = this.#open(repo);
    const { outbox, unlinked } = this.#parts;
    if (outbox.waits({ id, repo }, 'blob', digest) !== undefined || unlinked.going([digest])) return 'kept';
    if (Number(this.#statements.putBlob.run(id, digest, size).changes) === 0) return 'kept';
    this.#parts.idle.linked(id, digest);
    unlinked.referred([digest]);
    return 'adopted';
  }

  tag(repo: string, tag: string, { digest, version }: AdoptedTag): Adopted {
    const id = this.#open(repo);
    const { versions, outbox } = this.#parts;
    const here = versions.state(id, tag);
    // Where a tombstone was forgotten its row still knows.
    const known = outbox.waits({ id, repo }, 'tag', tag) ?? here.version;
    if (!replaces({ digest, version }, { ...here, version: known })) return 'kept';
    if (digest !== null && !this.#has(id, digest)) return 'lacking';
    versions.adopt(id, tag, digest, version);
    outbox.supersede({ id, repo }, 'tag', tag);
    return 'adopted';
  }

  /** Whether it may go from the tables: not what waits to be written, nor what a tag is on. */
  mayGo(repo: string, digest: Digest): boolean {
    const id = (this.#statements.repo.get(repo) as { id: number } | undefined)?.id;
    if (id === undefined) return false;
    const { outbox, versions } = this.#parts;
    return outbox.waits({ id, repo }, 'manifest', digest) === undefined && versions.on(id, digest).length === 0;
  }

  #has(id: number, digest: Digest): boolean {
    return this.#statements.hasManifest.get(id, digest) !== undefined;
  }

  #open(repo: string): number {
    const { changes } = this.#statements.addRepo.run(repo);
    const { id } = this.#statements.repo.get(repo) as { id: number };
    if (Number(changes) > 0) this.#parts.filled.mark(id, repo);
    return id;
  }
}
