/** What repositories held before they had a target, queued for it in PostgreSQL: as sqlite/filled.ts. */

import type { TagVersion } from '../../../core/contracts/index-api.ts';
import type { Filled, OutboxOptions } from '../outbox.ts';
import { backendAmong, filledAmong, isBackend, type OutboxTarget } from '../targets.ts';
import { numberOf, unversioned, writerOf } from '../versions.ts';
import type { Tx } from './numbers.ts';
import { type Querying, statements } from './server/statements.ts';

/** Of a step, which others wait for: but for one large repository it takes some milliseconds. */
const fillRowsMax = 1_000;
const fillReposMax = 20;

const add = 'INSERT INTO outbox (target, repo, slot, kind, name, state, version, writer, digest, since, due, attempts)';
const SQL = statements('filled', {
  mark: 'INSERT INTO filled (repo, target) SELECT $1::bigint, t FROM unnest($2::text[]) AS t ON CONFLICT DO NOTHING',
  unmark: 'DELETE FROM filled WHERE repo = $1 AND target = $2',
  unmarkAll: 'DELETE FROM filled WHERE target = $1',
  repos: `SELECT id, name AS repo, ARRAY(SELECT f.target FROM filled f WHERE f.repo = r.id) AS filled FROM repos r
    ORDER BY id`,
  blobs: `${add} SELECT $2, repo, 0, 'blob', digest, 0, $3::bigint, NULL, digest, $4::bigint, $4::bigint, 0 FROM blobs
    WHERE repo = $1 ON CONFLICT DO NOTHING`,
  manifests: `${add} SELECT $2, repo, 0, 'manifest', digest, 0, $3::bigint, NULL, digest, $4::bigint, $4::bigint, 0
    FROM manifests WHERE repo = $1 AND ($5 OR subject IS NOT NULL) ON CONFLICT DO NOTHING`,
  // Of what a registry wrote nobody has a version: for others we are its writer.
  own: `UPDATE tags SET version = $2, writer = NULL WHERE repo = $1 AND version = ${numberOf(unversioned)}
    AND writer = '${writerOf(unversioned)}'`,
  tags: `${add} SELECT $2, repo, 0, 'tag', tag, 0, version, writer, digest, $3::bigint, $3::bigint, 0 FROM tags
    WHERE repo = $1 ON CONFLICT DO NOTHING`,
  routes: 'SELECT DISTINCT r.name AS repo, o.repo AS id, o.target FROM outbox o JOIN repos r ON r.id = o.repo',
  // What the new one has already is newer.
  move: `UPDATE outbox o SET target = $3, due = 0, state = 0 WHERE target = $1 AND repo = $2 AND NOT EXISTS
    (SELECT 1 FROM outbox b WHERE b.target = $3 AND b.repo = o.repo AND b.slot = o.slot AND b.kind = o.kind
      AND b.name = o.name)`,
  left: 'DELETE FROM outbox WHERE target = $1 AND repo = $2',
});

type Repo = { readonly id: number; readonly repo: string };

export class PostgresFilled {
  readonly #options: OutboxOptions | undefined;

  constructor(options: OutboxOptions | undefined) {
    this.#options = options;
  }

  /** Of a new repository: what it will hold is in its targets, or is queued one by one. */
  async mark(asking: Querying, id: number, repo: string): Promise<void> {
    const names = this.#targetsOf(repo).map(({ name }) => name);
    if (names.length > 0) await asking.run(SQL.mark, id, names);
  }

  /** `next`: a version for what is queued. */
  async backfill({ asking }: Tx, next: () => Promise<TagVersion>): Promise<Filled[]> {
    const done: Filled[] = [];
    let rows = 0;
    for (const { id, repo, filled } of await asking.all<Repo & { filled: readonly string[] }>(SQL.repos)) {
      const targets = this.#targetsOf(repo);
      for (const name of filled)
        if (!targets.some((target) => target.name === name)) await asking.run(SQL.unmark, id, name);
      for (const target of targets.filter(({ name }) => !filled.includes(name))) {
        rows += await this.#fill(asking, id, target, next);
        done.push({ repo, target: target.name });
      }
      if (rows >= fillRowsMax || done.length >= fillReposMax) break;
    }
    return done;
  }

  /** How many rows there are more. */
  async #fill(
    asking: Querying,
    ...[id, { name, kinds }, next]: [number, OutboxTarget, () => Promise<TagVersion>]
  ): Promise<number> {
    const [no, nowMs] = [numberOf(await next()), this.#options?.nowMs() ?? 0];
    const [all, referrers] = [kinds.includes('manifest'), kinds.includes('referrer')];
    let rows = 0;
    if (kinds.includes('blob')) rows += await asking.run(SQL.blobs, id, name, no, nowMs);
    if (all || referrers) rows += await asking.run(SQL.manifests, id, name, no, nowMs, all);
    if (kinds.includes('tag')) {
      await asking.run(SQL.own, id, no);
      rows += await asking.run(SQL.tags, id, name, nowMs);
    }
    await asking.run(SQL.mark, id, [name]);
    return rows;
  }

  async refill({ asking }: Tx, target: string): Promise<number> {
    return await asking.run(SQL.unmarkAll, target);
  }

  async reroute({ asking }: Tx): Promise<void> {
    for (const { repo, id, target } of await asking.all<Repo & { target: string }>(SQL.routes)) {
      const backend = backendAmong(this.#options?.targetsOf(repo) ?? []);
      if (!isBackend(target) || backend === undefined || backend === target) continue;
      await asking.run(SQL.move, target, id, backend);
      await asking.run(SQL.left, target, id);
    }
  }

  #targetsOf(repo: string): readonly OutboxTarget[] {
    return filledAmong(this.#options?.targetsOf(repo) ?? []);
  }
}
