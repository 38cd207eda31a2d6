/** What repositories held before they had a target, queued for it in SQLite (outbox.ts, rule 4). */

import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { TagVersion } from '../../../core/contracts/index-api.ts';
import type { Filled, OutboxOptions } from '../outbox.ts';
import { backendAmong, filledAmong, isBackend, type OutboxTarget } from '../targets.ts';
import { numberOf, unversioned, writerOf } from '../versions.ts';

/** Of a step: bounds how long others wait for it, but for one large repository. */
const fillRowsMax = 1_000;
const fillReposMax = 100;

const add = 'INSERT INTO outbox (target, repo, slot, kind, name, state, version, writer, digest, since, due, attempts)';
const SQL = {
  mark: 'INSERT INTO filled (repo, target) VALUES (?, ?) ON CONFLICT DO NOTHING',
  unmark: 'DELETE FROM filled WHERE repo = ? AND target = ?',
  unmarkAll: 'DELETE FROM filled WHERE target = ?',
  // No target has a blank in its name.
  repos: `SELECT id, name AS repo, (SELECT group_concat(f.target, ' ') FROM filled f WHERE f.repo = r.id) AS filled
    FROM repos r`,
  blobs: `${add} SELECT ?2, repo, 0, 'blob', digest, 0, ?3, NULL, digest, ?4, ?4, 0 FROM blobs WHERE repo = ?1
    ON CONFLICT DO NOTHING`,
  manifests: `${add} SELECT ?2, repo, 0, 'manifest', digest, 0, ?3, NULL, digest, ?4, ?4, 0 FROM manifests WHERE repo = ?1
    ON CONFLICT DO NOTHING`,
  referrers: `${add} SELECT ?2, repo, 0, 'manifest', digest, 0, ?3, NULL, digest, ?4, ?4, 0 FROM manifests
    WHERE repo = ?1 AND subject IS NOT NULL ON CONFLICT DO NOTHING`,
  // Of what a registry wrote nobody has a version: for others we are its writer.
  own: `UPDATE tags SET version = ?2, writer = NULL WHERE repo = ?1 AND version = ${numberOf(unversioned)}
    AND writer = '${writerOf(unversioned)}'`,
  tags: `${add} SELECT ?2, repo, 0, 'tag', tag, 0, version, writer, digest, ?3, ?3, 0 FROM tags WHERE repo = ?1
    ON CONFLICT DO NOTHING`,
  routes: 'SELECT DISTINCT r.name AS repo, o.repo AS id, o.target FROM outbox o JOIN repos r ON r.id = o.repo',
  // What the new one has already is newer.
  move: 'UPDATE OR IGNORE outbox SET target = ?3, due = 0, state = 0 WHERE target = ?1 AND repo = ?2',
  left: 'DELETE FROM outbox WHERE target = ? AND repo = ?',
} as const;

type Repo = { readonly id: number; readonly repo: string };

export class SqliteFilled {
  readonly #statements: Readonly<Record<keyof typeof SQL, StatementSync>>;
  readonly #options: OutboxOptions | undefined;

  constructor(db: DatabaseSync, options: OutboxOptions | undefined) {
    const prepared = Object.entries(SQL).map(([name, sql]) => [name, db.prepare(sql)]);
    this.#statements = Object.fromEntries(prepared) as Record<keyof typeof SQL, StatementSync>;
    this.#options = options;
  }

  /** Of a new repository: what it will hold is in its targets, or is queued one by one. */
  mark(id: number, repo: string): void {
    for (const { name } of this.#targetsOf(repo)) this.#statements.mark.run(id, name);
  }

  /** `next`: a version for what is queued. */
  backfill(next: () => TagVersion): Filled[] {
    const done: Filled[] = [];
    let rows = 0;
    for (const { filled, ...repo } of this.#statements.repos.all() as (Repo & { filled: string | null })[]) {
      const targets = this.#targetsOf(repo.repo);
      const had = filled?.split(' ') ?? [];
      for (const name of had)
        if (!targets.some((target) => target.name === name)) this.#statements.unmark.run(repo.id, name);
      for (const target of targets.filter(({ name }) => !had.includes(name))) {
        rows += this.#fill(repo.id, target, next);
        done.push({ repo: repo.repo, target: target.name });
      }
      if (rows >= fillRowsMax || done.length >= fillReposMax) break;
    }
    return done;
  }

  /** How many rows there are more. */
  #fill(id: number, { name, kinds }: OutboxTarget, next: () => TagVersion): number {
    const [no, nowMs] = [numberOf(next()), this.#options?.nowMs() ?? 0];
    const { blobs, manifests, referrers, own, tags, mark } = this.#statements;
    let rows = 0;
    if (kinds.includes('blob')) rows += Number(blobs.run(id, name, no, nowMs).changes);
    if (kinds.includes('manifest')) rows += Number(manifests.run(id, name, no, nowMs).changes);
    else if (kinds.includes('referrer')) rows += Number(referrers.run(id, name, no, nowMs).changes);
    if (kinds.includes('tag')) {
      own.run(id, no);
      rows += Number(tags.run(id, name, nowMs).changes);
    }
    mark.run(id, name);
    return rows;
  }

  refill(target: string): number {
    return Number(this.#statements.unmarkAll.run(target).changes);
  }

  reroute(): void {
    const { routes, move, left } = this.#statements;
    for (const { repo, id, target } of routes.all() as (Repo & { target: string })[]) {
      const backend = backendAmong(this.#options?.targetsOf(repo) ?? []);
      if (!isBackend(target) || backend === undefined || backend === target) continue;
      move.run(target, id, backend);
      left.run(target, id);
    }
  }

  #targetsOf(repo: string): readonly OutboxTarget[] {
    return filledAmong(this.#options?.targetsOf(repo) ?? []);
  }
}
