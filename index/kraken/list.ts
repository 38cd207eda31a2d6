/**
 * Lists of tags in Kraken's form: `repo:tag`, page by page, each page with the way to the next one.
 *
 * Rule: an answer without `limit` has all names there are, up to krakenListMax; what is more is behind `Links.next`.
 */

import { ApiError } from '../../core/contracts/errors.ts';
import { type KrakenList, krakenListMax } from '../../core/contracts/kraken/index.ts';
import { pageEntriesMax } from '../../core/oci/limits.ts';
import type { TagStore } from '../../platform/tags/store.ts';

type Lists = Pick<TagStore, 'tags' | 'catalog'>;
export type ListOf = { readonly limit?: number | undefined; readonly offset?: string | undefined };
type Names = AsyncGenerator<readonly [repo: string, tag: string]>;

/** Where Kraken's storage has the tags of a repository, which its users therefore list. */
const below = /\/_manifests\/tags$/;

/** Of a repository and all below it, or that one alone. '': of all. */
export function listNames(store: Lists, prefix: string, after: string | undefined): Names {
  const path = prefix.replace(/^\/+|\/+$/g, '');
  if (below.test(path)) return tagsOf(store, path.replace(below, ''), tagAfter(path.replace(below, ''), after));
  return reposBelow(store, path, after);
}

/** One page of `names`; `url` is the path and query that were asked for. */
export async function listingPage(names: Names, { limit, offset }: ListOf, url: string): Promise<KrakenListing> {
  if (limit === 0) throw new ApiError('REQUEST_INVALID', 'limit= is no whole number above 0');
  const max = Math.min(limit ?? krakenListMax, krakenListMax);
  const found: (readonly [string, string])[] = [];
  let more = false;
  for await (const name of names) {
    more = found.length === max;
    if (more) break;
    found.push(name);
  }
  return { found, next: more ? nextOf(url, { limit, offset }, found.at(-1)) : '', self: url };
}

export type KrakenListing = {
  readonly found: readonly (readonly [repo: string, tag: string])[];
  readonly next: string;
  readonly self: string;
};

export function replyOf({ found, next, self }: KrakenListing, shown: 'tag' | 'name'): KrakenList {
  const result = found.map(([repo, tag]) => (shown === 'tag' ? tag : `${repo}:${tag}`));
  return { Links: { next, self }, size: result.length, result };
}

function nextOf(url: string, { limit }: ListOf, last: readonly [string, string] | undefined): string {
  const query = new URLSearchParams();
  if (limit !== undefined) query.set('limit', String(limit));
  query.set('offset', (last ?? []).join(':'));
  return `${url.split('?', 1)[0]}?${query}`;
}

async function* reposBelow(store: Lists, path: string, after: string | undefined): Names {
  const from = after?.slice(0, after.lastIndexOf(':'));
  if (from !== undefined) yield* tagsOf(store, from, tagAfter(from, after));
  else if (path !== '') yield* tagsOf(store, path);
  const prefix = path === '' ? '' : `${path}/`;
  // The repository of that very name comes first, though others may sort between it and what is below it.
  let last = from === undefined || from === path ? prefix : from;
  for (;;) {
    const { repositories, more } = await store.catalog({ n: pageEntriesMax, last });
    for (const repo of repositories) {
      if (!repo.startsWith(prefix)) return;
      yield* tagsOf(store, repo);
    }
    if (!more) return;
    last = repositories.at(-1) as string;
  }
}

async function* tagsOf(store: Lists, repo: string, after?: string): Names {
  let last = after;
  for (;;) {
    const page = await store.tags(repo, { n: pageEntriesMax, last });
    for (const tag of page?.tags ?? []) yield [repo, tag];
    if (page?.more !== true) return;
    last = page.tags.at(-1);
  }
}

/** The tag of an offset that is in that repository. */
function tagAfter(repo: string, after: string | undefined): string | undefined {
  return after?.startsWith(`${repo}:`) ? after.slice(repo.length + 1) : undefined;
}
