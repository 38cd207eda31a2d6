/**
 * A list of repositories without those that whoever asks may not see: as many as a page has, or all that are left.
 *
 * Rule: nothing between tells of the others: neither a short page nor where it ends.
 */

import type { CatalogPage } from '../../core/contracts/index-api.ts';
import { pageEntriesMax } from '../../core/oci/limits.ts';
import type { PageRequest } from '../../core/oci/request.ts';
import type { PageOf } from '../tags/store.ts';

export async function visiblePage(
  ask: (page: PageOf) => Promise<CatalogPage>,
  { limit, last }: PageRequest,
  sees: (repo: string) => boolean,
): Promise<CatalogPage> {
  const repositories: string[] = [];
  if (limit === 0) return { repositories, more: false };
  for (let from = last, more = true; more; ) {
    const page = await ask({ n: pageEntriesMax, last: from });
    for (const repo of page.repositories) {
      if (!sees(repo)) continue;
      // One more than fits is there.
      if (repositories.length === limit) return { repositories, more: true };
      repositories.push(repo);
    }
    from = page.repositories.at(-1);
    more = page.more && from !== undefined;
  }
  return { repositories, more: false };
}
