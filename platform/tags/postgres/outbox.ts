/** The outbox in PostgreSQL (outbox.ts): one row a key, found by when it may be tried and is nobody's. */

import type { TagVersion } from '../../../core/contracts/index-api.ts';
import type { Digest } from '../../../core/digest.ts';
import type {
  ClaimAt,
  OutboxKey,
  OutboxKind,
  OutboxOptions,
  OutboxRow,
  OutboxState,
  OutboxWaiting,
} from '../outbox.ts';
import { numberOf, tagVersion } from '../versions.ts';
import type { Tx } from './numbers.ts';
import type { PostgresRepos } from './repos.ts';
import { type Querying, statements } from './server/statements.ts';

const columns = 'r.name AS repo, o.kind, o.name, o.version AS no, o.digest, o.since AS "sinceMs", o.attempts';
const from = 'FROM outbox o JOIN repos r ON r.id = o.repo';
const of = 'repo = (SELECT id FROM repos WHERE name = $1) AND kind = $2 AND name = $3';
const SQL = statements('outbox', {
  // What is older of the key waits no longer; the backend lacks something since then all the same. Who holds it, does.
  add: `INSERT INTO outbox (repo, kind, name, backend, version, digest, since, due, attempts)
    SELECT $1::bigint, k.kind, k.name, $4, $5::bigint, $6, $7::bigint, $7::bigint, 0
      FROM unnest($2::text[], $3::text[]) AS k (kind, name)
    ON CONFLICT (repo, kind, name) DO UPDATE SET backend = excluded.backend, version = excluded.version,
      digest = excluded.digest, due = excluded.due, attempts = 0, cause = NULL`,
  due: `SELECT ${columns} ${from} WHERE o.backend = $1 AND o.due <= $2 ORDER BY o.due, o.version LIMIT $3`,
  claim: `WITH free AS (SELECT repo, kind, name FROM outbox WHERE backend = $1 AND greatest(due, held) <= $2
      ORDER BY greatest(due, held), version LIMIT $3)
    UPDATE outbox o SET held = $4 FROM free f, repos r
    WHERE o.repo = f.repo AND o.kind = f.kind AND o.name = f.name AND r.id = o.repo RETURNING ${columns}`,
  hold: `UPDATE outbox o SET held = $4 FROM unnest($1::text[], $2::text[], $3::text[]) AS k (repo, kind, name), repos r
    WHERE r.name = k.repo AND o.repo = r.id AND o.kind = k.kind AND o.name = k.name`,
  next: 'SELECT greatest(due, held) AS due FROM outbox WHERE backend = $1 ORDER BY greatest(due, held) LIMIT 1',
  one: `SELECT ${columns} ${from} WHERE r.name = $1 AND o.kind = $2 AND o.name = $3`,
  waiting: `SELECT ${columns}, o.backend, o.due AS "dueMs", o.cause ${from}
    ORDER BY o.repo, o.kind, o.name LIMIT $2 OFFSET $1`,
  retryOne: `UPDATE outbox SET due = 0 WHERE ${of}`,
  retryAll: 'UPDATE outbox SET due = 0 WHERE cause IS NOT NULL',
  state: `SELECT backend, cause, count(*) AS rows, min(since) AS "sinceMs" FROM outbox GROUP BY backend, cause`,
  written: `DELETE FROM outbox WHERE ${of} AND version = $4`,
  free: `UPDATE outbox SET held = 0 WHERE ${of}`,
  waits: 'SELECT version AS no FROM outbox WHERE repo = $1 AND kind = $2 AND name = $3',
  superseded: 'DELETE FROM outbox WHERE repo = $1 AND kind = $2 AND name = $3',
  failed: `UPDATE outbox SET due = $5, cause = $6, attempts = attempts + 1 WHERE ${of} AND version = $4`,
  routes: `SELECT DISTINCT r.name AS repo, o.repo AS id, o.backend ${from}`,
  marks: 'SELECT id, name AS repo, backend FROM repos',
  remark: 'UPDATE repos SET backend = $2 WHERE id = $1',
  allBlobs: `INSERT INTO outbox (repo, kind, name, backend, version, digest, since, due, attempts)
    SELECT repo, 'blob', digest, $2, $3::bigint, digest, $4::bigint, $4::bigint, 0 FROM blobs WHERE repo = $1
    ON CONFLICT DO NOTHING`,
  allManifests: `INSERT INTO outbox (repo, kind, name, backend, version, digest, since, due, attempts)
    SELECT repo, 'manifest', digest, $2, $3::bigint, digest, $4::bigint, $4::bigint, 0 FROM manifests WHERE repo = $1
    ON CONFLICT DO NOTHING`,
  // A backend that it came from knew its writer; for this one we are.
  ownTags: 'UPDATE tags SET version = $2, writer = NULL WHERE repo = $1 AND writer IS NOT NULL',
  allTags: `INSERT INTO outbox (repo, kind, name, backend, version, digest, since, due, attempts)
    SELECT repo, 'tag', tag, $2, version, digest, $3::bigint, $3::bigint, 0 FROM tags WHERE repo = $1
    ON CONFLICT DO NOTHING`,
  reroute: 'UPDATE outbox SET backend = $1, due = 0 WHERE repo = $2',
});

type Raw = Omit<OutboxRow, 'version'> & { readonly no: number };
type RawWaiting = Raw & Pick<OutboxWaiting, 'backend' | 'dueMs' | 'cause'>;
type Place = { readonly id: number; readonly repo: string };

export class PostgresOutbox {
  readonly #database: string;
  readonly #options: OutboxOptions | undefined;
  readonly #repos: PostgresRepos;

  constructor(database: string, options: OutboxOptions | undefined, repos: PostgresRepos) {
    this.#database = database;
    this.#options = options;
    this.#repos = repos;
  }

  backed(repo: string): boolean {
    return this.#options?.backendOf(repo) !== undefined;
  }

  /** Nothing, where the repository has no backend. */
  async add(
    { asking }: Tx,
    { id, repo }: Place,
    keys: readonly (readonly [OutboxKind, string])[],
    { digest, version }: { digest: Digest | null; version: TagVersion },
  ): Promise<void> {
    const backend = this.#options?.backendOf(repo);
    if (backend === undefined) return;
    const [kinds, names] = [keys.map(([kind]) => kind), keys.map(([, name]) => name)];
    const nowMs = this.#options?.nowMs() ?? 0;
    await asking.run(SQL.add, id, kinds, names, backend, numberOf(version), digest, nowMs);
    await this.#repos.mark(asking, id, backend);
  }

  /** `next`: a version for what is queued. */
  async backfill({ asking }: Tx, next: () => Promise<TagVersion>): Promise<string | undefined> {
    const all = await asking.all<Place & { backend: string | null }>(SQL.marks);
    for (const { id, repo, backend: before } of all) {
      const backend = this.#options?.backendOf(repo);
      if (backend === undefined || backend === before) continue;
      const [no, nowMs] = [numberOf(await next()), this.#options?.nowMs() ?? 0];
      await asking.run(SQL.allBlobs, id, backend, no, nowMs);
      await asking.run(SQL.allManifests, id, backend, no, nowMs);
      await asking.run(SQL.ownTags, id, no);
      await asking.run(SQL.allTags, id, backend, nowMs);
      await asking.run(SQL.remark, id, backend);
      return repo;
    }
    return undefined;
  }

  async claim({ asking }: Tx, backend: string, { nowMs, n, untilMs }: ClaimAt): Promise<OutboxRow[]> {
    return (await asking.all<Raw>(SQL.claim, backend, nowMs, n, untilMs)).map((raw) => this.#row(raw));
  }

  async hold({ asking }: Tx, keys: readonly OutboxKey[], untilMs: number): Promise<void> {
    const column = (name: keyof OutboxKey): string[] => keys.map((key) => key[name]);
    await asking.run(SQL.hold, column('repo'), column('kind'), column('name'), untilMs);
  }

  /** The version that waits. */
  async waits({ asking }: Tx, id: number, kind: OutboxKind, name: string): Promise<TagVersion | undefined> {
    const [row] = await asking.all<{ no: number }>(SQL.waits, id, kind, name);
    return row === undefined ? undefined : tagVersion(row.no, this.#database);
  }

  /** The key's row, of whatever version. */
  async supersede({ asking }: Tx, id: number, kind: OutboxKind, name: string): Promise<void> {
    await asking.run(SQL.superseded, id, kind, name);
  }

  async due(asking: Querying, ...[backend, nowMs, n]: [string, number, number]): Promise<OutboxRow[]> {
    return (await asking.all<Raw>(SQL.due, backend, nowMs, n)).map((raw) => this.#row(raw));
  }

  async nextDueMs(asking: Querying, backend: string): Promise<number | undefined> {
    return (await asking.all<{ due: number }>(SQL.next, backend))[0]?.due;
  }

  async pending(asking: Querying, { repo, kind, name }: OutboxKey): Promise<OutboxRow | undefined> {
    const [raw] = await asking.all<Raw>(SQL.one, repo, kind, name);
    return raw === undefined ? undefined : this.#row(raw);
  }

  async waiting(asking: Querying, skip: number, n: number): Promise<OutboxWaiting[]> {
    const all = await asking.all<RawWaiting>(SQL.waiting, skip, n);
    return all.map(({ backend, dueMs, cause, ...raw }) => ({ ...this.#row(raw), backend, dueMs, cause }));
  }

  async retry({ asking }: Tx, key: OutboxKey | undefined): Promise<number> {
    if (key === undefined) return await asking.run(SQL.retryAll);
    return await asking.run(SQL.retryOne, key.repo, key.kind, key.name);
  }

  async outbox(asking: Querying): Promise<OutboxState[]> {
    return await asking.all<OutboxState>(SQL.state);
  }

  async written({ asking }: Tx, { repo, kind, name, version }: OutboxRow): Promise<void> {
    const gone = await asking.run(SQL.written, repo, kind, name, numberOf(version));
    if (gone === 0) await asking.run(SQL.free, repo, kind, name);
  }

  async failed(
    { asking }: Tx,
    { repo, kind, name, version }: OutboxRow,
    { dueMs, cause }: { dueMs: number; cause: string },
  ): Promise<void> {
    await asking.run(SQL.failed, repo, kind, name, numberOf(version), dueMs, cause);
    await asking.run(SQL.free, repo, kind, name);
  }

  async reroute({ asking }: Tx): Promise<void> {
    for (const { repo, id, backend } of await asking.all<Place & { backend: string }>(SQL.routes)) {
      const now = this.#options?.backendOf(repo);
      if (now !== undefined && now !== backend) await asking.run(SQL.reroute, now, id);
    }
  }

  #row({ no, repo, kind, name, digest, sinceMs, attempts }: Raw): OutboxRow {
    return { repo, kind, name, version: tagVersion(no, this.#database), digest, sinceMs, attempts };
  }
}
