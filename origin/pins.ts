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
import type { OriginConfig } from './config.ts';

type Parts = {
  readonly set: PinSet | undefined;
  readonly store: BlobStore;
  readonly index: IndexClient | undefined;
  readonly origins: Members<OriginClient>;
  readonly self: string;
  /** How many are to hold it. */
  readonly replicas: (digest: Digest) => number;
};

export function pinOnDisk(
  context: RoleContext<OriginConfig>,
  { set, store, index, origins, self, replicas }: Parts,
  stack: AsyncDisposableStack,
): Pins | undefined {
  const all = new Origins({ members: origins, copies: 1, required: 1 });
  const read: ReadManifest = (repo, { digest, size }) =>
    bytesOf({ size, open: (start, end) => all.read({ digest, repo }, { start, end }, CallContext.begin()) });
  const wanted = (digest: Digest): boolean => origins.owns(digest, self, replicas(digest));
  const { budget: budgetBytes } = context.config.disk;
  // It holds what hosts of every kind pull.
  const parts = { set, store, index, budgetBytes, architecture: undefined, read, wanted };
  return beginPins(context, parts, stack);
}
