/** Which repositories there are: a name is made before anything counts as being there, and never removed. */

import type { Cells } from './cells/cells.ts';
import { nameAt } from './layout.ts';
import type { FilledRepos } from './outbox/filled.ts';

/** Names that are remembered; then all are forgotten, and each is marked once more. */
const namedMax = 100_000;

export class RepoNames {
  readonly #cells: Cells;
  readonly #filled: FilledRepos;
  readonly #named = new Set<string>();

  constructor(cells: Cells, filled: FilledRepos) {
    this.#cells = cells;
    this.#filled = filled;
  }

  async has(repo: string): Promise<boolean> {
    for await (const { key } of this.#cells.keys(nameAt(repo), '', 1)) return key === '';
    return false;
  }

  /** There is such a repository from now on. Of a new one nothing is left to be queued: its writes are told one by one. */
  async add(repo: string): Promise<void> {
    if (this.#named.has(repo)) return;
    if (this.#filled.concerns(repo) && !(await this.has(repo))) await this.#filled.begin(repo);
    await this.#cells.mark(nameAt(repo));
    if (this.#named.size >= namedMax) this.#named.clear();
    this.#named.add(repo);
  }
}
