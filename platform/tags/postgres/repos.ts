/** Repositories in PostgreSQL: a number each. */

import type { PostgresFilled } from './filled.ts';
import { type Querying, statements } from './server/statements.ts';

const SQL = statements('repos', {
  find: 'SELECT id FROM repos WHERE name = $1',
  add: 'INSERT INTO repos (name) VALUES ($1) ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING id',
});

/** No row: an id that no repository has. */
export const noRepo = -1;

export class PostgresRepos {
  readonly #filled: PostgresFilled;

  constructor(filled: PostgresFilled) {
    this.#filled = filled;
  }

  async find(asking: Querying, repo: string): Promise<number> {
    return (await asking.all<{ id: number }>(SQL.find, repo))[0]?.id ?? noRepo;
  }

  /** Made where it is missing: then what it holds is in its targets, or is queued one by one. */
  async open(asking: Querying, repo: string): Promise<number> {
    const found = await this.find(asking, repo);
    if (found !== noRepo) return found;
    const [row] = await asking.all<{ id: number }>(SQL.add, repo);
    const id = row?.id ?? noRepo;
    await this.#filled.mark(asking, id, repo);
    return id;
  }
}
