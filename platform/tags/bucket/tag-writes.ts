/** A tag is set, or deleted, by itself: read, looked at, and written as it was read; again where somebody else was faster. */

import type { TagPut, TagVersion } from '../../../core/contracts/index-api.ts';
import { follows, type TagOutcome } from '../versions.ts';
import { againMax, busy } from './again.ts';
import type { BucketManifests } from './manifests.ts';
import { stateOfCell, type Tags } from './tags.ts';

type Parts = { readonly tags: Tags; readonly manifests: BucketManifests };
type Named = { readonly repo: string; readonly tag: string };

export async function putTag(
  { tags, manifests }: Parts,
  { repo, tag, digest, after }: Named & TagPut,
): Promise<TagOutcome | undefined> {
  for (let again = 0; again < againMax; again++) {
    const found = await tags.read(repo, tag);
    const made = await tags.mark(found, digest);
    // After the tag was read, and is marked: Rule 1 of tags.ts.
    const record = await manifests.read(repo, digest);
    const state = stateOfCell(found);
    const goesOn = record !== undefined && follows(state, after);
    if (!goesOn) await tags.unmark(found, { digest, made });
    if (record === undefined) return undefined;
    if (!goesOn) return { changed: state.version };
    const version = tags.next([found]);
    const { mediaType, size } = record;
    if (await tags.set(found, { digest, mediaType, size, version }, made)) return { version };
  }
  throw busy(`${repo} ${tag}`);
}

export async function deleteTag(
  { tags }: Parts,
  { repo, tag, at }: Named & { readonly at: TagVersion | undefined },
): Promise<TagOutcome | undefined> {
  for (let again = 0; again < againMax; again++) {
    const found = await tags.read(repo, tag);
    const state = stateOfCell(found);
    if (!state.there) return undefined;
    if (!follows(state, at)) return { changed: state.version };
    const version = tags.next([found]);
    if (await tags.bury(found, version)) return { version };
  }
  throw busy(`${repo} ${tag}`);
}
