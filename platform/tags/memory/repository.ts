/** A repository of the state in memory (memory.ts): what it holds, and where a tag of it stands. */

import type { ReferrerRecord, TagVersion } from '../../../core/contracts/index-api.ts';
import type { Digest } from '../../../core/digest.ts';
import type { References, TagPlace } from '../outbox.ts';
import type { ManifestWrite } from '../store.ts';
import { type TagState, tombstonesMax } from '../versions.ts';

type Manifest = ReferrerRecord & {
  readonly subject: Digest | undefined;
  readonly references: References;
  /** What it refers to, the subject included. */
  readonly targets: readonly Digest[];
  /** Since when it is known to have no tag. */
  untaggedMs?: number | undefined;
};

/** What a repository holds. */
export type MemoryRepository = {
  readonly tags: Map<string, { readonly digest: Digest; readonly version: TagVersion }>;
  /** Versions of the deletions of tags that are not there, the oldest first. */
  readonly deleted: Map<string, TagVersion>;
  readonly manifests: Map<Digest, Manifest>;
  readonly blobs: Map<Digest, number>;
  /** Since when the links of these are idle. */
  readonly idle: Map<Digest, number>;
  /** The targets that all of it was queued for, or comes from. */
  filled: Set<string>;
};

export function manifestOf(
  digest: Digest,
  {
    mediaType,
    size,
    subject,
    artifactType,
    annotations,
    blobs,
    manifests,
  }: Omit<ManifestWrite, 'tags' | 'after' | 'proof'>,
): Manifest {
  return {
    digest,
    mediaType,
    size,
    subject,
    references: { blobs, manifests },
    targets: [...blobs, ...manifests, ...(subject === undefined ? [] : [subject])],
    ...(artifactType === undefined ? {} : { artifactType }),
    ...(annotations === undefined ? {} : { annotations }),
  };
}

export function tagsOn({ tags }: MemoryRepository, digest: Digest): string[] {
  return [...tags].filter(([, target]) => target.digest === digest).map(([tag]) => tag);
}

export function stateOf(repository: MemoryRepository | undefined, tag: string): TagState {
  const there = repository?.tags.get(tag);
  return { there: there !== undefined, version: there?.version ?? repository?.deleted.get(tag) ?? null };
}

export function memoryPlaceOf(repository: MemoryRepository | undefined, tag: string): TagPlace {
  return { digest: repository?.tags.get(tag)?.digest, version: stateOf(repository, tag).version };
}

export function setTags(
  { tags: there, deleted, manifests }: MemoryRepository,
  ...[tags, digest, version]: [readonly string[], Digest, TagVersion]
): TagVersion {
  for (const tag of tags) {
    there.set(tag, { digest, version });
    deleted.delete(tag);
  }
  const manifest = manifests.get(digest);
  if (manifest !== undefined) manifest.untaggedMs = undefined;
  return version;
}

export function buryTags(
  { tags: there, deleted }: MemoryRepository,
  tags: readonly string[],
  version: TagVersion,
): TagVersion {
  for (const tag of tags) {
    there.delete(tag);
    deleted.set(tag, version);
  }
  for (const oldest of deleted.keys()) {
    if (deleted.size <= tombstonesMax) break;
    deleted.delete(oldest);
  }
  return version;
}
