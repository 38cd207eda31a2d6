/**
 * What repositories and tags a registry has, as keys in the order of their bytes: whatever order the registry has them in.
 *
 * Rule: read whole, in pages that it gives, and held for a moment, since our pages follow one another. Bounded: a registry
 *       that has more is asked by repository.
 */

import { repositoryValid, tagValid } from '../../../core/oci/name.ts';
import { OCI_PATHS } from '../../../core/oci/paths.ts';
import type { BackendPage } from '../backend.ts';
import { pullScopes, type RegistryApi, type RegistryCall } from './api.ts';
import { HeldNames } from './held-names.ts';
import { tagKey } from './layout.ts';
import { namesMax, namesPageMax } from './limits.ts';
import { type NamespaceMap, ourName, theirName } from './namespace.ts';

const catalog = '';

/** Bytes of a digest as text: what a tag's link has. */
const linkBytes = 71;

export class RegistryNames {
  readonly #api: RegistryApi;
  readonly #namespace: NamespaceMap;
  /** The catalogue is not given up for the tags of its repositories, which come between its pages. */
  readonly #catalog: HeldNames;
  readonly #tagsOf: HeldNames;
  #sorted: { readonly of: readonly string[]; readonly ours: readonly string[] } | undefined;

  constructor(api: RegistryApi, namespace: NamespaceMap, nowMs: () => number) {
    this.#api = api;
    this.#namespace = namespace;
    this.#catalog = new HeldNames(nowMs);
    this.#tagsOf = new HeldNames(nowMs);
  }

  async list(
    prefix: string,
    { after = '', max }: { readonly after?: string | undefined; readonly max: number },
    signal: AbortSignal,
  ): Promise<BackendPage> {
    const objects: { key: string; size: number }[] = [];
    for (const repo of await this.#repositories(prefix, signal)) {
      // All keys of a repository begin alike: those of one that is wholly before are not looked at.
      const last = tagKey(repo, '\u{10ffff}');
      if (before(last, after) || before(last, prefix)) continue;
      for (const tag of await this.#tags(repo, signal)) {
        const key = tagKey(repo, tag);
        if (!key.startsWith(prefix) || !before(after, key)) continue;
        if (objects.length === max) return { objects, next: objects.at(-1)?.key };
        objects.push({ key, size: linkBytes });
      }
    }
    return { objects, next: undefined };
  }

  /** Ours, in the order of their tags' keys. */
  async #repositories(prefix: string, signal: AbortSignal): Promise<readonly string[]> {
    const end = prefix.indexOf('/_');
    const named = prefix.slice(0, end);
    if (end >= 0) return repositoryValid(named) ? [named] : [];
    const read = (own: AbortSignal): Promise<readonly string[]> => readNames(this.#api, undefined, own);
    return this.#ours(await this.#catalog.get(catalog, read, signal)).filter((repo) =>
      tagKey(repo, '').startsWith(prefix),
    );
  }

  /** Of a catalogue, once: they are many, and each page goes through them. Keys are ASCII, whose order is that of bytes. */
  #ours(all: readonly string[]): readonly string[] {
    if (this.#sorted?.of === all) return this.#sorted.ours;
    const ours = all
      .flatMap((theirs) => ourName(this.#namespace, theirs) ?? [])
      .filter(repositoryValid)
      .map((repo) => ({ repo, key: tagKey(repo, '') }))
      .sort((one, other) => (one.key < other.key ? -1 : 1))
      .map(({ repo }) => repo);
    this.#sorted = { of: all, ours };
    return ours;
  }

  async #tags(repo: string, signal: AbortSignal): Promise<readonly string[]> {
    const theirs = theirName(this.#namespace, repo);
    if (theirs === undefined) return [];
    const read = (own: AbortSignal): Promise<readonly string[]> => readNames(this.#api, theirs, own);
    return (await this.#tagsOf.get(theirs, read, signal)).filter(tagValid);
  }
}

/** The tags of a repository as it is called there, or the catalogue of all of them; sorted. */
export async function readNames(
  api: RegistryApi,
  of: string | undefined,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const whole = of === undefined;
  const first = OCI_PATHS.page(whole ? OCI_PATHS.catalog : OCI_PATHS.tags(of), {
    limit: namesPageMax,
    last: undefined,
  });
  const about: Omit<RegistryCall, 'path'> = {
    ...{ method: 'GET', scopes: whole ? ['registry:catalog:*'] : pullScopes(of), signal },
    ...{ doing: 'list', object: whole ? 'the repositories' : `the tags of ${of}` },
  };
  const found = new Set<string>();
  for (let path: string | URL | undefined = first; path !== undefined; ) {
    const call = { ...about, path };
    const answer = await api.call({ ...call, expect: [404] });
    if (answer.status === 404) {
      await api.absent(answer, call);
      if (!whole) return [];
      throw answer.wrong('unsupported', 'has no catalogue of its repositories', 'name the repository that is meant');
    }
    api.noHtml(answer);
    const before = found.size;
    for (const name of namesIn(await answer.json(), whole)) found.add(name);
    if (found.size > namesMax)
      throw answer.wrong('unsupported', `lists more than ${namesMax} names`, 'name the repository that is meant');
    const next = nextIn(answer.headers['link']);
    path = next === undefined ? undefined : (URL.parse(next, answer.url.href) ?? undefined);
    if (path !== undefined && (path.origin !== api.base.origin || found.size === before))
      throw answer.wrong('damaged', 'lists pages that do not go on', 'look at what is before the registry');
  }
  return [...found].sort(byBytes);
}

function namesIn(page: unknown, whole: boolean): string[] {
  const { repositories, tags } = (typeof page === 'object' && page !== null ? page : {}) as {
    readonly repositories?: unknown;
    readonly tags?: unknown;
  };
  const names = whole ? repositories : tags;
  return Array.isArray(names) ? names.filter((name) => typeof name === 'string') : [];
}

/** `<...>; rel="next"` */
function nextIn(link: string | undefined): string | undefined {
  return /<([^>]*)>\s*;[^,]*\brel="?next"?/i.exec(link ?? '')?.[1];
}

function byBytes(one: string, other: string): number {
  return Buffer.compare(Buffer.from(one), Buffer.from(other));
}

function before(one: string, other: string): boolean {
  return byBytes(one, other) < 0;
}
