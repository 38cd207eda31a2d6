/**
 * Whether a remote holds what its rules say, tag by tag: what is here is looked up there, and what is there is looked for here.
 *
 * Rule 1: what is not compared is not called equal: a tag is looked up at the remote itself, where a Shoal says no to one
 *   whose blobs it has lost.
 * Rule 2: steps follow one another by name, first through the repositories here, then through those that are only there.
 *   What changes meanwhile may be told either way; a write on its way is said to be.
 */

import {
  type DiffReply,
  type DiffStep,
  differencesMax,
  diffRepositoriesMax,
  type TagDifference,
} from '../../core/contracts/replicate/api.ts';
import { tagValid } from '../../core/oci/name.ts';
import { repositoryMatches } from '../../core/oci/pattern.ts';
import { type ReplicationRule, ruleFor, tagMatches } from '../../core/replicate/rules.ts';
import { BackendError } from '../../platform/backends/backend.ts';
import type { TagStore } from '../../platform/tags/store.ts';
import type { RemoteRegistry } from './remote/remote.ts';

/** Tags that are looked up at once. */
const lookupsMax = 16;
/** Repositories of a step: each may have thousands of tags, and somebody waits for the answer. */
const stepMax = 10;
const tagsPageMax = 1_000;

export type DiffParts = {
  readonly remote: RemoteRegistry;
  readonly target: string;
  readonly rules: readonly ReplicationRule[];
  readonly store: Pick<TagStore, 'catalog' | 'tags' | 'tag' | 'pending'>;
  readonly signal: AbortSignal;
};
type Found = { repositories: number; tags: number; differences: TagDifference[]; different: number; unlisted: boolean };

export async function diffStep(parts: DiffParts, { from = 'here ', repositories }: DiffStep): Promise<DiffReply> {
  const found: Found = { repositories: 0, tags: 0, differences: [], different: 0, unlisted: false };
  await parts.remote.introduced(parts.signal);
  const wanted = (repo: string): boolean =>
    ruleFor(parts.rules, repo, parts.remote.name) !== undefined &&
    (repositories === undefined || repositoryMatches([repositories], repo));
  const [phase, last] = [from.slice(0, from.indexOf(' ')), from.slice(from.indexOf(' ') + 1)];
  const next =
    phase === 'here' ? await here(parts, last, { wanted, found }) : await there(parts, last, { wanted, found });
  return { ...found, ...(next === undefined ? {} : { next }) };
}

type Step = { readonly wanted: (repo: string) => boolean; readonly found: Found };

async function here(parts: DiffParts, last: string, { wanted, found }: Step): Promise<string> {
  const page = await parts.store.catalog({ n: diffRepositoriesMax, ...(last === '' ? {} : { last }) });
  for (const [i, repo] of page.repositories.entries()) {
    if (!wanted(repo)) continue;
    await compare(parts, repo, found);
    if (found.repositories >= stepMax && i + 1 < page.repositories.length) return `here ${repo}`;
  }
  return page.more ? `here ${page.repositories.at(-1)}` : 'there ';
}

async function there(parts: DiffParts, last: string, { wanted, found }: Step): Promise<string | undefined> {
  const { remote, store, signal } = parts;
  let theirs: readonly string[];
  try {
    theirs = await remote.repositories(signal);
  } catch (error) {
    if (!(error instanceof BackendError) || error.why !== 'unsupported') throw error;
    found.unlisted = true;
    return undefined;
  }
  const ours = theirs.flatMap((name) => remote.ourName(name) ?? []).filter((repo) => wanted(repo) && repo > last);
  for (const [i, repo] of ours.sort().entries()) {
    if ((await store.tags(repo, { n: 1 })) !== undefined) continue;
    await compare(parts, repo, found);
    if (found.repositories >= stepMax && i + 1 < ours.length) return `there ${repo}`;
  }
  return undefined;
}

async function compare(parts: DiffParts, repo: string, found: Found): Promise<void> {
  const { remote, rules, signal } = parts;
  found.repositories += 1;
  const { tags } = ruleFor(rules, repo, remote.name) as ReplicationRule;
  const theirs = (await remote.tagNames(repo, signal)).filter(tagValid);
  const all = [...new Set([...(await tagsHere(parts, repo)), ...theirs])].filter((tag) => tagMatches(tags, tag)).sort();
  for (let i = 0; i < all.length; i += lookupsMax) {
    signal.throwIfAborted();
    const some = all.slice(i, i + lookupsMax);
    for (const one of await Promise.all(some.map((tag) => difference(parts, repo, tag)))) {
      found.tags += 1;
      if (one === undefined) continue;
      found.different += 1;
      if (found.differences.length < differencesMax) found.differences.push(one);
    }
  }
}

async function difference(parts: DiffParts, repo: string, tag: string): Promise<TagDifference | undefined> {
  const { store, remote, target, signal } = parts;
  const [ours, theirs] = await Promise.all([store.tag(repo, tag), remote.tags.tag(repo, tag, signal)]);
  const how = howOf(ours, theirs, remote.kind);
  if (how === undefined) return undefined;
  const waiting = (await store.pending({ target, repo, kind: 'tag', name: tag })) !== undefined;
  return {
    ...{ repo, tag, how, waiting },
    here: ours && { digest: ours.digest, version: ours.version },
    there: theirs && { digest: theirs.digest, version: theirs.version },
  };
}

type Place = { readonly digest: string; readonly version?: string | undefined };

function howOf(
  here: Place | undefined,
  there: Place | undefined,
  kind: RemoteRegistry['kind'],
): TagDifference['how'] | undefined {
  if (here === undefined) return there === undefined ? undefined : 'extra';
  if (there === undefined) return 'missing';
  if (here.digest !== there.digest) return 'digest';
  return kind === 'shoal' && here.version !== there.version ? 'version' : undefined;
}

async function tagsHere({ store }: DiffParts, repo: string): Promise<readonly string[]> {
  const all: string[] = [];
  for (let more = true; more; ) {
    const page = await store.tags(repo, { n: tagsPageMax, last: all.at(-1) });
    all.push(...(page?.tags ?? []));
    more = page?.more === true;
  }
  return all;
}
