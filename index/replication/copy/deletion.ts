/**
 * A manifest that was deleted here by its digest, deleted at a remote: where nothing there needs it.
 *
 * Rule 1: what a tag or an index of the remote's own has stays there. A tag that is to go there as well is waited for.
 * Rule 2: another cluster looks and deletes in one step. A registry has no such step: what is pushed there between our look
 *   and the deletion may go with it, as with any other client that deletes.
 * Rule 3: a registry that does not list what refers to a manifest has a list of it under a tag (fallback.ts): first it is
 *   taken from there.
 */

import type { TagVersion } from '../../../core/contracts/index-api.ts';
import type { Digest } from '../../../core/digest.ts';
import { type Manifest, parseManifest } from '../../../core/oci/manifest.ts';
import type { TagStore } from '../../../platform/tags/store.ts';
import { NotYet } from '../failures.ts';
import type { RemoteRegistry } from '../remote/remote.ts';
import type { RemoteManifest } from '../remote/tags.ts';
import { unlistedBySubject } from './fallback.ts';
import type { BlobTurns } from './turns.ts';

/** Tags of a registry that are looked at for one that has the manifest; of more it is not known, and it stays. */
const looksMax = 2_000;
const looksAtOnce = 16;
/** An index that was deleted at the same time, which nobody can name by then, is gone there within some seconds. */
const indexTriesMax = 4;

export type DeletionParts = {
  readonly remote: Pick<RemoteRegistry, 'name' | 'kind' | 'deletions' | 'tagNames' | 'tags'>;
  readonly store: Pick<TagStore, 'pending'>;
  readonly target: string;
  readonly turns: BlobTurns;
};
export type Deletion = {
  readonly repo: string;
  readonly digest: Digest;
  readonly version: TagVersion;
  /** That ended as it was needed. */
  readonly attempts: number;
};

/** needed: something there has it. unable: the remote takes no such deletions. */
export type DeletionDone = 'deleted' | 'there' | 'needed' | 'unable';

/** Throws NotYet where tags that are to go there first still have it. */
export async function deleteThere(parts: DeletionParts, one: Deletion, signal: AbortSignal): Promise<DeletionDone> {
  const { remote } = parts;
  if (remote.kind === 'registry') return await deleteAtRegistry(parts, one, signal);
  if (!remote.deletions) return 'unable';
  const answer = await remote.tags.deleteUnneeded(one, signal);
  if (answer.kind !== 'needed') return answer.kind;
  const { repo, digest } = one;
  if (answer.tags.length === 0) return stays(parts, one);
  const [going] = await goingAmong(parts, repo, answer.tags);
  if (going === undefined) return 'needed';
  throw new NotYet(`remote ${remote.name}: ${repo}@${digest} stays until its tag ${going} is deleted there`);
}

async function deleteAtRegistry(parts: DeletionParts, one: Deletion, signal: AbortSignal): Promise<DeletionDone> {
  const { remote, turns } = parts;
  const { repo, digest } = one;
  const manifest = await remote.tags.read(repo, digest, signal);
  if (manifest === undefined) return 'there';
  const subject = parsed(manifest)?.subject?.digest;
  if (subject !== undefined)
    await turns.take(`${repo} ${subject}`, () => unlistedBySubject(remote.tags, { repo, subject, digest }, signal));
  const names = await remote.tagNames(repo, signal);
  if (names.length > looksMax) return 'needed';
  const on = await lookedAt(parts, one, names, signal);
  if (on.listed) return stays(parts, one);
  // Tags that are to go as well go with it, which many registries cannot delete otherwise.
  if ((await goingAmong(parts, repo, on.tags)).size < on.tags.length) return 'needed';
  return (await remote.tags.deleteManifest(repo, digest, signal)) ? 'deleted' : 'there';
}

/** Tags that are on it, and whether an index that has a tag has it. */
async function lookedAt(
  { remote }: DeletionParts,
  { repo, digest }: Deletion,
  names: readonly string[],
  signal: AbortSignal,
): Promise<{ readonly tags: readonly string[]; readonly listed: boolean }> {
  const tags: string[] = [];
  const indexes = new Map<Digest, string>();
  const left = names.values();
  const worker = async (): Promise<void> => {
    for (const name of left) {
      const found = await remote.tags.tag(repo, name, signal);
      if (found?.digest === digest) tags.push(name);
      else if (found?.index === true) indexes.set(found.digest, name);
    }
  };
  await Promise.all(Array.from({ length: Math.min(looksAtOnce, names.length) }, worker));
  for (const of of indexes.keys()) {
    const index = await remote.tags.read(repo, of, signal);
    if (index !== undefined && has(index, digest)) return { tags, listed: true };
  }
  return { tags, listed: false };
}

/** What cannot be read may have it. */
function has(index: RemoteManifest, digest: Digest): boolean {
  return parsed(index)?.manifests.some((one) => one.digest === digest) ?? true;
}

function parsed({ bytes, mediaType }: RemoteManifest): Manifest | undefined {
  try {
    return parseManifest(bytes, mediaType);
  } catch {
    return undefined;
  }
}

/** Of tags that are on it there those that wait to be deleted as well. */
async function goingAmong(
  { store, target }: DeletionParts,
  repo: string,
  tags: readonly string[],
): Promise<ReadonlySet<string>> {
  const going = new Set<string>();
  for (const name of tags)
    if ((await store.pending({ target, repo, kind: 'tag', name }))?.digest === null) going.add(name);
  return going;
}

/** Throws where the index that has it may be about to be deleted there, too: then it is tried again. */
function stays({ remote }: DeletionParts, { repo, digest, attempts }: Deletion): 'needed' {
  if (attempts >= indexTriesMax) return 'needed';
  throw new NotYet(`remote ${remote.name}: ${repo}@${digest} stays while an index there has it`);
}
