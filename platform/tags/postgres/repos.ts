/** Repositories in PostgreSQL: a number each, and the backend that what it holds was queued for. */

import type { OutboxOptions } from '../outbox.ts';
import type { Querying } from './server/statements.ts';
import { statements } from './server/statements.ts';

const SQL = statements('repos', {
  find: 'SELECT id, backend FROM repos WHERE name = $1',
  add: 'INSERT INTO repos (name, backend) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING id',
  mark: 'UPDATE repos SET backend = $2 WHERE id = $1 AND backend IS NULL',
});

/** No row: an id that no repository has. */
export const noRepo = -1;

export class PostgresRepos {
  readonly #options: OutboxOptions | undefined;

  constructor(options: OutboxOptions | undefined) {
    this.#options = options;
  }

  async find(asking: Querying, repo: string): Promise<number> {
    return (await asking.all<{ id: number }>(SQL.find, repo))[0]?.id ?? noRepo;
  }

  /** Made where it is missing: then what it holds is in its backend, or is queued one by one. */
  async open(asking: Querying, repo: string): Promise<number> {
    const id = await this.find(asking, repo);
    if (id !== noRepo) return id;
    const [row] = await asking.all<{ id: number }>(SQL.add, repo, this.#options?.backendOf(repo) ?? null);
    return row?.id ?? noRepo;
  }

  async mark(asking: Querying, id: number, backend: string): Promise<void> {
    await asking.run(SQL.mark, id, backend);
  }
}
