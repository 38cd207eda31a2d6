/** What an origin's `disk.pins` needs of it: the index, and manifests, which any origin may hold. */

import type { Digest } from '../core/digest.ts';
import { CallContext } from '../platform/clients/context.ts';
import type { IndexClient } from '../platform/clients/index-client.ts';
import type { OriginClient } from '../platform/clients/origin.ts';
import { Origins } from '../platform/clients/origins.ts';
import type { ReadManifest } from '../platform/host/pins/closure.ts';
import { beginPins } from '../platform/host/pins/open.ts';
import type { PinSet, Pins } from '../platform/host/pins/pins.ts';
import { bytesOf } from '../platform/http/content.ts';
import type { RoleContext } from '../platform/lifecycle/role.ts';
import type { Members } from '../platform/members/members.ts';
import type { BlobStore } from '../platform/store/store.ts';
import type { OriginBlobs } from './blobs.ts';
import type { OriginConfig } from './config.ts';

type Parts = {
  readonly set: PinSet;
  readonly store: BlobStore;
  readonly blobs: Pick<OriginBlobs, 'content'>;
  readonly index: IndexClient | undefined;
  readonly origins: Members<OriginClient>;
  readonly self: string;
  /** How many are to hold it. */
  readonly replicas: (digest: Digest) => number;
};

export function pinOnDisk(
  context: RoleContext<OriginConfig>,
  { set, store, blobs, index, origins, self, replicas }: Parts,
  stack: AsyncDisposableStack,
): Pins {
  const all = new Origins({ members: origins, copies: 1, required: 1 });
  const read: ReadManifest = async (repo, { digest, size }) => {
    const ctx = CallContext.begin();
    // Nobody else may hold it.
    const here = await store.whole(digest, 'size');
    if (here !== undefined) return await bytesOf(blobs.content(here, ctx.signal));
    return await bytesOf({ size, open: (start, end) => all.read({ digest, repo }, { start, end }, ctx) });
  };
  const wanted = (digest: Digest): boolean => origins.owns(digest, self, replicas(digest));
  const { budget: budgetBytes, pins: configured } = context.config.disk;
  // It holds what hosts of every kind pull.
  const parts = { set, store, index, budgetBytes, configured, architecture: undefined, read, wanted };
  return beginPins(context, parts, stack);
}
