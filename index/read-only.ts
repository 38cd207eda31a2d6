/**
 * An index that is read only, while its state is copied or moved: clients read, and are refused what they would write.
 *
 * Rule 1: a write is refused before anything of it happens, in a way that no client tries again (405).
 * Rule 2: what a backend has is still read through, and what waits for it is written there: the state may change by that.
 * Rule 3: nothing is condemned: whoever asks what may be removed is told of nothing.
 */

import { ApiError } from '../core/contracts/errors.ts';
import type { NamedWrites, TagReads, TagStore, TagWrites } from '../platform/tags/store.ts';

type Store = Pick<TagStore, keyof TagReads | keyof TagWrites | 'named'>;

const refused = async (): Promise<never> => {
  throw readOnlyError();
};

const noWrites: NamedWrites = {
  putManifest: refused,
  putTag: refused,
  deleteTag: refused,
  deleteManifest: refused,
  unlinkBlob: refused,
};

export function readOnlyStore(store: Store): Store {
  return {
    ...noWrites,
    named: () => noWrites,
    tag: (...args) => store.tag(...args),
    tags: (...args) => store.tags(...args),
    manifest: (...args) => store.manifest(...args),
    referrers: (...args) => store.referrers(...args),
    blob: (...args) => store.blob(...args),
    catalog: (...args) => store.catalog(...args),
    holders: (...args) => store.holders(...args),
    unlinked: (...args) => store.unlinked(...args),
    linkBlob: refused,
    mount: refused,
    async condemn(digests) {
      const { index, unlinked } = await store.unlinked(digests);
      return { index, condemned: [], waiting: unlinked.length };
    },
  };
}

export function readOnlyError(): ApiError {
  return new ApiError(
    'UNSUPPORTED',
    'this index is read only now (`readOnly: true` of its configuration): pulls go on, push or delete later',
    // What the header `Allow` is to say.
    { allow: ['GET', 'HEAD'] },
  );
}
