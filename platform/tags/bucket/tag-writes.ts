/** A tag is set, or deleted, by itself: read, looked at, and written as it was read; again where somebody else was faster. */

import type { TagPut } from '../../../core/contracts/index-api.ts';
import type { WriteName } from '../named.ts';
import type { DeleteOn } from '../store.ts';
import { follows, keptFor, type TagOutcome } from '../versions.ts';
import type { BucketManifests } from './manifests.ts';
import { knownIn, toldIn } from './named.ts';
import { againMax, busy } from './requests/again.ts';
import { placeOfCell, stateOfCell, type Tag, type Tags } from './tags.ts';

type Parts = { readonly tags: Tags; readonly manifests: BucketManifests };
type Place = { readonly repo: string; readonly tag: string; readonly of: WriteName | undefined };

export async function putTag(
  { tags, manifests }: Parts,
  { repo, tag, digest, after, as, of }: Place & TagPut,
): Promise<TagOutcome | undefined> {
  for (let again = 0; again < againMax; again++) {
    const found = await tags.read(repo, tag);
    const known = knownIn<TagOutcome | undefined>(found.cell, of);
    if (known !== undefined) return known.outcome;
    const state = stateOfCell(found);
    const kept = keptFor({ digest, as }, placeOfCell(found));
    if (kept !== undefined || !follows(state, after)) {
      const record = await manifests.read(repo, digest);
      const no = record === undefined ? undefined : kept === undefined ? { changed: state.version } : { kept };
      if (await refused(tags, found, { of, no })) return no;
      continue;
    }
    const version = tags.next([found], as);
    const plan = await tags.plan(found, { digest, version });
    // After the tag was read, and is marked: Rule 1 of tags.ts.
    const record = await manifests.read(repo, digest);
    if (record === undefined) {
      await tags.unplan(found, plan);
      if (await refused(tags, found, { of, no: undefined })) return undefined;
      continue;
    }
    const { mediaType, size } = record;
    if (!(await tags.set(found, { digest, mediaType, size, version }, plan, toldIn(of, { version })))) continue;
    tags.told(plan);
    return { version };
  }
  throw busy(`${repo} ${tag}`);
}

export async function deleteTag(
  { tags }: Parts,
  { repo, tag, on, of }: Place & { readonly on: DeleteOn | undefined },
): Promise<TagOutcome | undefined> {
  for (let again = 0; again < againMax; again++) {
    const found = await tags.read(repo, tag);
    const known = knownIn<TagOutcome | undefined>(found.cell, of);
    if (known !== undefined) return known.outcome;
    const state = stateOfCell(found);
    const as = typeof on === 'object' ? on.as : undefined;
    const kept = keptFor({ digest: null, as }, placeOfCell(found));
    const wrong = as === undefined && (!state.there || (typeof on === 'string' && !follows(state, on)));
    if (wrong || kept !== undefined) {
      const no = kept === undefined ? (state.there ? { changed: state.version } : undefined) : { kept };
      if (await refused(tags, found, { of, no })) return no;
      continue;
    }
    const version = tags.next([found], as);
    const plan = await tags.plan(found, { digest: null, version });
    if (!(await tags.bury(found, version, plan, toldIn(of, { version })))) continue;
    tags.told(plan);
    return { version };
  }
  throw busy(`${repo} ${tag}`);
}

/** The no is remembered, where it has to be. False: the tag was written since it was read. */
async function refused(
  tags: Tags,
  found: Tag,
  { of, no }: { readonly of: WriteName | undefined; readonly no: TagOutcome | undefined },
): Promise<boolean> {
  const told = toldIn(of, no);
  return told === undefined || (await tags.leave(found, told));
}
