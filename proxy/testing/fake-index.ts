/** The index without HTTP: its own tables in memory, answering as its client does. */

import { ApiError } from '../../core/contracts/errors.ts';
import type { MissingReferences, Unproved } from '../../core/contracts/index-api.ts';
import type { IndexClient } from '../../platform/clients/index-client.ts';
import { openMemoryTags } from '../../platform/tags/memory/memory.ts';
import type { ProxyIndex } from '../registry.ts';

/** Absent things of an index that fails are not absent: `down` makes every call UNAVAILABLE. `nowMs` is its clock. */
export type FakeIndex = ProxyIndex & Pick<IndexClient, 'condemn'> & { down: boolean; nowMs: number };

const keepUnlinkedMs = 1_000;

export function fakeIndex(): FakeIndex {
  const store = openMemoryTags();
  const index: FakeIndex = {
    down: false,
    room: async () => undefined,
    nowMs: 0,
    tag: (repo, tag) => up(() => store.tag(repo, tag)),
    deleteTag: async (repo, tag, _ctx, on) => {
      const deleted = await up(() => store.deleteTag(repo, tag, on));
      if (deleted !== undefined && 'kept' in deleted) return { version: deleted.kept, kept: true };
      return deleted !== undefined && 'version' in deleted ? deleted : undefined;
    },
    identity: async () => (await up(() => store.unlinked([]))).index,
    manifest: (repo, digest) => up(() => store.manifest(repo, digest)),
    deleteManifest: async (repo, digest, _ctx, as) => {
      const deleted = await up(() => store.deleteManifest(repo, digest, index.nowMs, as));
      if (typeof deleted === 'boolean') return deleted;
      throw new ApiError('MANIFEST_NEEDED', `manifest ${digest} stays`, deleted);
    },
    referrers: (repo, digest, of) => up(() => store.referrers(repo, digest, of)),
    blob: (repo, digest) => up(() => store.blob(repo, digest)),
    linkBlob: async (repo, digest, put) => unlessCondemned(await up(() => store.linkBlob(repo, digest, put))),
    unlinkBlob: (repo, digest) => up(() => store.unlinkBlob(repo, digest, index.nowMs)),
    condemn: (digests) => up(() => store.condemn(digests, { nowMs: index.nowMs, unlinkedMs: keepUnlinkedMs })),
    mount: (repo, digest, from) => up(() => store.mount(repo, digest, from)),
    catalog: (page) => up(() => store.catalog(page)),
    tags: async (repo, page) => {
      const tags = await up(() => store.tags(repo, page));
      if (tags === undefined) throw new ApiError('NAME_UNKNOWN', `there is no repository ${repo}`);
      return tags;
    },
    putManifest: async (repo, digest, put) => {
      const { missing, unproved, version, kept } = await up(() => store.putManifest(repo, digest, put, index.nowMs));
      unlessCondemned(unproved);
      const detail: MissingReferences = { missing };
      if (missing.length > 0)
        throw new ApiError('MANIFEST_BLOB_UNKNOWN', `${repo} does not hold ${missing[0]}`, detail);
      return kept === undefined ? { version } : { version: kept, kept: true };
    },
  };
  async function up<T>(act: () => Promise<T>): Promise<T> {
    if (index.down) throw new ApiError('UNAVAILABLE', 'no index answers');
    return act();
  }
  return index;
}

function unlessCondemned(generation: number | undefined): void {
  const detail: Unproved | undefined = generation === undefined ? undefined : { generation };
  if (detail !== undefined) throw new ApiError('BLOB_CONDEMNED', 'it was condemned', detail);
}
