/** What an agent's `cache.pins` needs of it: the index, and manifests, which are pulled where they are not in the cache. */

import { ApiError } from '../core/contracts/errors.ts';
import type { BlobIn } from '../core/digest.ts';
import { CallContext } from '../platform/clients/context.ts';
import { architectureOf, type ReadManifest } from '../platform/host/pins/closure.ts';
import { beginPins } from '../platform/host/pins/open.ts';
import type { PinSet, Pins, PinsIndex } from '../platform/host/pins/pins.ts';
import { bytesOf } from '../platform/http/content.ts';
import type { RoleContext } from '../platform/lifecycle/role.ts';
import type { PeerNode } from '../platform/peer/node.ts';
import type { BlobStore } from '../platform/store/store.ts';
import type { AgentConfig } from './config.ts';
import type { Pulls } from './pull.ts';

/** A blob that stands still keeps the others from being fetched no longer. */
const fetchMsMax = 600_000;

type Parts = {
  readonly set: PinSet;
  readonly store: BlobStore;
  readonly index: PinsIndex;
  readonly pulls: Pick<Pulls, 'open'>;
  readonly node: Pick<PeerNode, 'pull'>;
};

export function pinInCache(
  context: RoleContext<AgentConfig>,
  { set, store, index, pulls, node }: Parts,
  stack: AsyncDisposableStack,
): Pins {
  const read: ReadManifest = async (repo, { digest }) =>
    await bytesOf(await pulls.open({ digest, repo }, CallContext.begin()));
  const { budget: budgetBytes, pins: configured } = context.config.cache;
  // A host runs what is made for it.
  const architecture = architectureOf(process.arch);
  const parts = { set, store, index, budgetBytes, configured, architecture, read };
  return beginPins(context, { ...parts, fetch: (blob, signal) => fetchPinned(node, blob, signal) }, stack);
}

async function fetchPinned(node: Parts['node'], { digest, repo }: BlobIn, signal: AbortSignal): Promise<void> {
  const pull = node.pull(digest, { repo });
  using _ = pull.use();
  const entry = await pull.learned(signal);
  if (entry.window !== undefined) throw new ApiError('STORAGE_FULL', `the cache has no room for ${digest}`);
  const ended = Promise.withResolvers<never>();
  const end = (): void => ended.reject(signal.reason);
  const late = setTimeout(
    () => ended.reject(new Error(`it has not come within ${fetchMsMax / 60_000} min`)),
    fetchMsMax,
  );
  signal.addEventListener('abort', end, { once: true });
  try {
    await Promise.race([pull.complete, ended.promise]);
  } finally {
    clearTimeout(late);
    signal.removeEventListener('abort', end);
  }
}
