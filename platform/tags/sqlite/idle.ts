/** Idle links in SQLite (platform/tags/idle.ts): since when, beside each blob's link. */

import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { Digest } from '../../../core/digest.ts';
import type { Expired, IdleAt, IdleCounts } from '../idle.ts';
import type { SqliteUnlinked } from './unlinked.ts';

const referred = 'EXISTS (SELECT 1 FROM refs WHERE refs.target = blobs.digest AND refs.repo = blobs.repo)';
const SQL = {
  begin: `UPDATE blobs SET idle = ?3 WHERE repo = ?1 AND digest = ?2 AND NOT ${referred}`,
  end: 'UPDATE blobs SET idle = NULL WHERE repo = ? AND digest = ? AND idle IS NOT NULL',
  // A digest has few links, and hardly any that are idle.
  anew: `UPDATE blobs SET idle = ?3 WHERE digest = ?2 AND (idle IS NOT NULL OR (repo = ?1 AND NOT ${referred}))`,
  since: 'SELECT idle FROM repos r JOIN blobs b ON b.repo = r.id WHERE r.name = ? AND b.digest = ?',
  due: `SELECT b.repo, r.name, b.digest, b.size, b.idle, ${referred.replaceAll('blobs.', 'b.')} AS wanted
    FROM blobs b JOIN repos r ON r.id = b.repo WHERE b.idle <= ? ORDER BY b.idle LIMIT ?`,
  remove: 'DELETE FROM blobs WHERE repo = ? AND digest = ?',
  useless: `SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM blobs WHERE digest = ?1 AND (idle IS NULL OR idle > ?2))
    AND NOT EXISTS (SELECT 1 FROM manifests WHERE digest = ?1) AND NOT EXISTS (SELECT 1 FROM refs WHERE target = ?1)
    AND NOT EXISTS (SELECT 1 FROM manifests WHERE subject = ?1)
    AND (EXISTS (SELECT 1 FROM unlinked WHERE digest = ?1 AND (since <= ?2 OR generation IS NOT NULL))
      OR EXISTS (SELECT 1 FROM blobs WHERE digest = ?1))`,
  counts: `SELECT count(*) AS idle, coalesce(sum(idle <= ?1), 0) AS due,
    coalesce(sum(CASE WHEN idle <= ?1 THEN size END), 0) AS dueBytes FROM blobs WHERE idle IS NOT NULL`,
} as const;

type Due = { repo: number; name: string; digest: Digest; size: number; idle: number; wanted: number };

export type IdleHost = {
  readonly unlinked: Pick<SqliteUnlinked, 'lost'>;
  readonly nowMs: () => number;
  /** The repository's link has gone. */
  readonly gone: (id: number, repo: string, digest: Digest) => void;
};

export class SqliteIdle {
  readonly #statements: Readonly<Record<keyof typeof SQL, StatementSync>>;
  readonly #host: IdleHost;

  constructor(db: DatabaseSync, host: IdleHost) {
    const prepared = Object.entries(SQL).map(([name, sql]) => [name, db.prepare(sql)]);
    this.#statements = Object.fromEntries(prepared) as Record<keyof typeof SQL, StatementSync>;
    this.#host = host;
  }

  /** The repository has linked it. */
  linked(repo: number, digest: Digest): void {
    this.#statements.begin.run(repo, digest, this.#host.nowMs());
  }

  /** A manifest of the repository refers to these now. */
  referred(repo: number, digests: Iterable<Digest>): void {
    for (const digest of digests) this.#statements.end.run(repo, digest);
  }

  /** A manifest of the repository, or its link, has gone; or it relies on them. */
  anew(repo: number, digests: Iterable<Digest>, nowMs = this.#host.nowMs()): void {
    for (const digest of digests) this.#statements.anew.run(repo, digest, nowMs);
  }

  since(repo: string, digest: Digest): number | undefined {
    return (this.#statements.since.get(repo, digest) as { idle: number | null } | undefined)?.idle ?? undefined;
  }

  useless(digests: readonly Digest[], beforeMs: number): Digest[] {
    return digests.filter((digest) => this.#statements.useless.get(digest, beforeMs) !== undefined);
  }

  counts(beforeMs: number): IdleCounts {
    return { ...(this.#statements.counts.get(beforeMs) as IdleCounts) };
  }

  expire({ beforeMs, n, keeps }: IdleAt): Expired {
    const due = this.#statements.due.all(beforeMs, n) as Due[];
    let [links, bytes] = [0, 0];
    for (const { repo, name, digest, size, idle, wanted } of due) {
      if (wanted !== 0) {
        this.#statements.end.run(repo, digest);
        continue;
      }
      if (keeps?.(name)) {
        this.linked(repo, digest);
        continue;
      }
      this.#statements.remove.run(repo, digest);
      this.#host.unlinked.lost([digest], idle);
      this.#host.gone(repo, name, digest);
      links += 1;
      bytes += size;
    }
    return { links, bytes, more: due.length === n };
  }
}
