/** The outbox in SQLite (outbox.ts): one row a key, found by when it may be tried. */

import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { TagVersion } from '../../../core/contracts/index-api.ts';
import type { Digest } from '../../../core/digest.ts';
import { Leases } from '../leases.ts';
import type { OutboxKey, OutboxKind, OutboxOptions, OutboxRow, OutboxState, OutboxWaiting } from '../outbox.ts';
import { numberOf } from '../versions.ts';

const columns = 'r.name AS repo, o.kind, o.name, o.version AS no, o.digest, o.since AS sinceMs, o.attempts';
const SQL = {
  // What is older of the key waits no longer; the backend lacks something since then all the same.
  add: `INSERT INTO outbox (repo, kind, name, backend, version, digest, since, due, attempts)
    VALUES (?, ?, ?, ?, ?, ?, ?7, ?7, 0) ON CONFLICT (repo, kind, name) DO UPDATE
    SET backend = excluded.backend, version = excluded.version, digest = excluded.digest, due = excluded.due,
      attempts = 0, cause = NULL`,
  due: `SELECT ${columns} FROM outbox o JOIN repos r ON r.id = o.repo
    WHERE o.backend = ? AND o.due <= ? ORDER BY o.due, o.version LIMIT ?`,
  next: 'SELECT due FROM outbox WHERE backend = ? ORDER BY due LIMIT 1',
  one: `SELECT ${columns} FROM repos r JOIN outbox o ON o.repo = r.id WHERE r.name = ? AND o.kind = ? AND o.name = ?`,
  waiting: `SELECT ${columns}, o.backend, o.due AS dueMs, o.cause FROM outbox o JOIN repos r ON r.id = o.repo
    ORDER BY o.repo, o.kind, o.name LIMIT ?2 OFFSET ?1`,
  retryOne: `UPDATE outbox SET due = 0
    WHERE repo = (SELECT id FROM repos WHERE name = ?1) AND kind = ?2 AND name = ?3`,
  retryAll: 'UPDATE outbox SET due = 0 WHERE cause IS NOT NULL',
  state: `SELECT backend, cause, count(*) AS rows, min(since) AS sinceMs FROM outbox GROUP BY backend, cause`,
  written:
    'DELETE FROM outbox WHERE repo = (SELECT id FROM repos WHERE name = ?) AND kind = ? AND name = ? AND version = ?',
  superseded: 'DELETE FROM outbox WHERE repo = ? AND kind = ? AND name = ?',
  failed: `UPDATE outbox SET due = ?5, cause = ?6, attempts = attempts + 1
    WHERE repo = (SELECT id FROM repos WHERE name = ?1) AND kind = ?2 AND name = ?3 AND version = ?4`,
  routes: 'SELECT DISTINCT r.name AS repo, o.repo AS id, o.backend FROM outbox o JOIN repos r ON r.id = o.repo',
  mark: 'UPDATE repos SET backend = ?2 WHERE id = ?1 AND backend IS NULL',
  marks: 'SELECT id, name AS repo, backend FROM repos',
  remark: 'UPDATE repos SET backend = ?2 WHERE id = ?1',
  allBlobs: `INSERT INTO outbox (repo, kind, name, backend, version, digest, since, due, attempts)
    SELECT repo, 'blob', digest, ?2, ?3, digest, ?4, ?4, 0 FROM blobs WHERE repo = ?1 ON CONFLICT DO NOTHING`,
  allManifests: `INSERT INTO outbox (repo, kind, name, backend, version, digest, since, due, attempts)
    SELECT repo, 'manifest', digest, ?2, ?3, digest, ?4, ?4, 0 FROM manifests WHERE repo = ?1 ON CONFLICT DO NOTHING`,
  // A backend that it came from knew its writer; for this one we are.
  ownTags: 'UPDATE tags SET version = ?2, writer = NULL WHERE repo = ?1 AND writer IS NOT NULL',
  allTags: `INSERT INTO outbox (repo, kind, name, backend, version, digest, since, due, attempts)
    SELECT repo, 'tag', tag, ?2, version, digest, ?3, ?3, 0 FROM tags WHERE repo = ?1 ON CONFLICT DO NOTHING`,
  reroute: 'UPDATE outbox SET backend = ?, due = 0 WHERE repo = ?',
} as const;

type Raw = Omit<OutboxRow, 'version'> & { readonly no: number };

export class SqliteOutbox {
  readonly #statements: Readonly<Record<keyof typeof SQL, StatementSync>>;
  readonly #options: OutboxOptions | undefined;
  readonly leases = new Leases((...args) => this.due(...args));
  readonly #version: (no: number) => TagVersion;

  constructor(db: DatabaseSync, options: OutboxOptions | undefined, version: (no: number) => TagVersion) {
    const prepared = Object.entries(SQL).map(([name, sql]) => [name, db.prepare(sql)]);
    this.#statements = Object.fromEntries(prepared) as Record<keyof typeof SQL, StatementSync>;
    this.#options = options;
    this.#version = version;
  }

  /** Nothing, where the repository has no backend. */
  add(id: number, { repo, kind, name }: OutboxKey, digest: Digest | null, version: TagVersion): void {
    const backend = this.#options?.backendOf(repo);
    if (backend === undefined) return;
    this.#statements.add.run(id, kind, name, backend, numberOf(version), digest, this.#options?.nowMs() ?? 0);
    this.#statements.mark.run(id, backend);
  }

  /** What the repository holds is in its backend, or is queued one by one. */
  mark(id: number, repo: string): void {
    const backend = this.#options?.backendOf(repo);
    if (backend !== undefined) this.#statements.mark.run(id, backend);
  }

  /** `next`: a version for what is queued. */
  backfill(next: () => TagVersion): string | undefined {
    const all = this.#statements.marks.all() as { id: number; repo: string; backend: string | null }[];
    for (const { id, repo, backend: before } of all) {
      const backend = this.#options?.backendOf(repo);
      if (backend === undefined || backend === before) continue;
      const [no, nowMs] = [numberOf(next()), this.#options?.nowMs() ?? 0];
      const { allBlobs, allManifests, ownTags, allTags, remark } = this.#statements;
      allBlobs.run(id, backend, no, nowMs);
      allManifests.run(id, backend, no, nowMs);
      ownTags.run(id, no);
      allTags.run(id, backend, nowMs);
      remark.run(id, backend);
      return repo;
    }
    return undefined;
  }

  /** The key's row, of whatever version. */
  supersede(id: number, kind: OutboxKind, name: string): void {
    this.#statements.superseded.run(id, kind, name);
  }

  due(backend: string, nowMs: number, n: number): OutboxRow[] {
    return (this.#statements.due.all(backend, nowMs, n) as Raw[]).map((raw) => this.#row(raw));
  }

  nextDueMs(backend: string): number | undefined {
    return (this.#statements.next.get(backend) as { due: number } | undefined)?.due;
  }

  pending({ repo, kind, name }: OutboxKey): OutboxRow | undefined {
    const raw = this.#statements.one.get(repo, kind, name) as Raw | undefined;
    return raw === undefined ? undefined : this.#row(raw);
  }

  waiting(skip: number, n: number): OutboxWaiting[] {
    const all = this.#statements.waiting.all(skip, n) as (Raw & Pick<OutboxWaiting, 'backend' | 'dueMs' | 'cause'>)[];
    return all.map(({ backend, dueMs, cause, ...raw }) => ({ ...this.#row(raw), backend, dueMs, cause }));
  }

  retry(key: OutboxKey | undefined): number {
    const { retryOne, retryAll } = this.#statements;
    return Number((key === undefined ? retryAll.run() : retryOne.run(key.repo, key.kind, key.name)).changes);
  }

  outbox(): OutboxState[] {
    return (this.#statements.state.all() as OutboxState[]).map((state) => ({ ...state }));
  }

  written(row: OutboxRow): void {
    const { repo, kind, name, version } = row;
    this.leases.end(row);
    this.#statements.written.run(repo, kind, name, numberOf(version));
  }

  failed(row: OutboxRow, { dueMs, cause }: { dueMs: number; cause: string }): void {
    const { repo, kind, name, version } = row;
    this.leases.end(row);
    this.#statements.failed.run(repo, kind, name, numberOf(version), dueMs, cause);
  }

  reroute(): void {
    for (const { repo, id, backend } of this.#statements.routes.all() as {
      repo: string;
      id: number;
      backend: string;
    }[]) {
      const now = this.#options?.backendOf(repo);
      if (now !== undefined && now !== backend) this.#statements.reroute.run(now, id);
    }
  }

  #row({ no, repo, kind, name, digest, sinceMs, attempts }: Raw): OutboxRow {
    return { repo, kind, name, version: this.#version(no), digest, sinceMs, attempts };
  }
}
