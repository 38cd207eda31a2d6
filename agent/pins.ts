/** What an agent's `cache.pins` needs of it: the index, and manifests, which are pulled where they are not in the cache. */

import { CallContext } from '../platform/clients/context.ts';
import { architectureOf, type ReadManifest } from '../platform/host/pins/closure.ts';
import { beginPins } from '../platform/host/pins/open.ts';
import type { PinSet, Pins, PinsIndex } from '../platform/host/pins/pins.ts';
import { bytesOf } from '../platform/http/content.ts';
import type { RoleContext } from '../platform/lifecycle/role.ts';
import type { BlobStore } from '../platform/store/store.ts';
import type { AgentConfig } from './config.ts';
import type { Pulls } from './pull.ts';

type Parts = {
  readonly set: PinSet | undefined;
  readonly store: BlobStore;
  readonly index: PinsIndex;
  readonly pulls: Pick<Pulls, 'open'>;
};

export function pinInCache(
  context: RoleContext<AgentConfig>,
  { set, store, index, pulls }: Parts,
  stack: AsyncDisposableStack,
): Pins | undefined {
  const read: ReadManifest = async (repo, { digest }) =>
    await bytesOf(await pulls.open({ digest, repo }, CallContext.begin()));
  const { budget: budgetBytes } = context.config.cache;
  // A host runs what is made for it.
  const architecture = architectureOf(process.arch);
  return beginPins(context, { set, store, index, budgetBytes, architecture, read }, stack);
}
