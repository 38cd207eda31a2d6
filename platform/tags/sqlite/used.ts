/** What each repository holds, counted by the database itself, in SQLite (platform/tags/quotas/used.ts). */

import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { repositoryExpression } from '../../../core/oci/pattern.ts';
import type { RepositoryUse, Use } from '../../../core/quota.ts';
import { noUse } from '../../../core/quota.ts';
import type { UsedNow, UsedPage } from '../quotas/used.ts';
import type { PageOf } from '../store.ts';

/** Triggers count, so that no way to write can forget to: of what is there already, and from now on. */
export const SQLITE_USED = `
CREATE TABLE used (repo INTEGER PRIMARY KEY, bytes INTEGER NOT NULL, tags INTEGER NOT NULL, manifests INTEGER NOT NULL);
INSERT INTO used SELECT id,
  (SELECT coalesce(sum(size), 0) FROM blobs WHERE repo = id) + (SELECT coalesce(sum(size), 0) FROM manifests WHERE repo = id),
  (SELECT count(*) FROM tags WHERE repo = id), (SELECT count(*) FROM manifests WHERE repo = id) FROM repos;
CREATE TRIGGER used_repos AFTER INSERT ON repos BEGIN INSERT INTO used VALUES (NEW.id, 0, 0, 0); END;
CREATE TRIGGER used_blobs_in AFTER INSERT ON blobs BEGIN
  UPDATE used SET bytes = bytes + NEW.size WHERE repo = NEW.repo; END;
CREATE TRIGGER used_blobs_out AFTER DELETE ON blobs BEGIN
  UPDATE used SET bytes = bytes - OLD.size WHERE repo = OLD.repo; END;
CREATE TRIGGER used_blobs_size AFTER UPDATE OF size ON blobs WHEN OLD.size <> NEW.size BEGIN
  UPDATE used SET bytes = bytes - OLD.size + NEW.size WHERE repo = NEW.repo; END;
CREATE TRIGGER used_manifests_in AFTER INSERT ON manifests BEGIN
  UPDATE used SET bytes = bytes + NEW.size, manifests = manifests + 1 WHERE repo = NEW.repo; END;
CREATE TRIGGER used_manifests_out AFTER DELETE ON manifests BEGIN
  UPDATE used SET bytes = bytes - OLD.size, manifests = manifests - 1 WHERE repo = OLD.repo; END;
CREATE TRIGGER used_manifests_size AFTER UPDATE OF size ON manifests WHEN OLD.size <> NEW.size BEGIN
  UPDATE used SET bytes = bytes - OLD.size + NEW.size WHERE repo = NEW.repo; END;
CREATE TRIGGER used_tags_in AFTER INSERT ON tags BEGIN UPDATE used SET tags = tags + 1 WHERE repo = NEW.repo; END;
CREATE TRIGGER used_tags_out AFTER DELETE ON tags BEGIN UPDATE used SET tags = tags - 1 WHERE repo = OLD.repo; END;
`;

const SQL = {
  of: 'SELECT u.bytes, u.tags, u.manifests FROM repos r JOIN used u ON u.repo = r.id WHERE r.name = ?',
  page: `SELECT r.name AS repo, u.bytes, u.tags, u.manifests FROM repos r JOIN used u ON u.repo = r.id WHERE r.name > ?
    ORDER BY r.name LIMIT ?`,
  sum: `SELECT coalesce(sum(u.bytes), 0) AS bytes, coalesce(sum(u.tags), 0) AS tags, coalesce(sum(u.manifests), 0) AS manifests
    FROM repos r JOIN used u ON u.repo = r.id WHERE shoal_matches(?, r.name)`,
} as const;

export class SqliteUsed implements UsedNow {
  readonly #statements: Readonly<Record<keyof typeof SQL, StatementSync>>;

  #asked: { readonly patterns: string; readonly expressions: readonly RegExp[] } | undefined;

  constructor(db: DatabaseSync) {
    db.function('shoal_matches', { deterministic: true }, (patterns, repo) => this.#matches(`${patterns}`, `${repo}`));
    const prepared = Object.entries(SQL).map(([name, sql]) => [name, db.prepare(sql)]);
    this.#statements = Object.fromEntries(prepared) as Record<keyof typeof SQL, StatementSync>;
  }

  /** For thousands of repositories one after the other: the patterns are made into expressions once. */
  #matches(patterns: string, repo: string): number {
    if (this.#asked?.patterns !== patterns) {
      const expressions = patterns.split(' ').map((pattern) => new RegExp(repositoryExpression(pattern)));
      this.#asked = { patterns, expressions };
    }
    return this.#asked.expressions.some((expression) => expression.test(repo)) ? 1 : 0;
  }

  of(repo: string): Use {
    const row = this.#statements.of.get(repo) as Use | undefined;
    return row === undefined ? noUse : { ...row };
  }

  sum(patterns: readonly string[]): Use {
    // No pattern has a space.
    return { ...(this.#statements.sum.get(patterns.join(' ')) as Use) };
  }

  page({ n, last }: PageOf): UsedPage {
    const rows = this.#statements.page.all(last ?? '', n + 1) as RepositoryUse[];
    return { repositories: rows.slice(0, n).map((row) => ({ ...row })), more: rows.length > n };
  }
}
