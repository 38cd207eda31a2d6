/**
 * What an agent and an origin are both built of: worker threads, the blobs on disk, the session with the trackers, and the
 * node that peers dial. Built in this order, closed in the reverse.
 */

import type { ToldPlace } from '../../core/contracts/members.ts';
import type { Digest } from '../../core/digest.ts';
import type { Blocks } from '../blocks/blocks.ts';
import { withoutBlocked } from '../blocks/peers.ts';
import type { OriginFinder } from '../clients/finder.ts';
import type { HttpClient } from '../clients/http.ts';
import { TrackerSession } from '../clients/tracker.ts';
import { hostPlaceIn } from '../config/place.ts';
import type { RoleContext } from '../lifecycle/role.ts';
import type { Members } from '../members/members.ts';
import type { Membership } from '../members/membership.ts';
import { type PeerConfig, peerOptions } from '../peer/config.ts';
import { PeerNode, type PeerNodeOptions } from '../peer/node.ts';
import { type TunedSwarm, tunedPolicy } from '../peer/swarm-config.ts';
import type { agentPromises, originPromises } from '../store/options.ts';
import type { HotPieces } from '../store/pieces/hot.ts';
import type { AskUnneeded } from '../store/room/let-go.ts';
import type { Eviction } from '../store/room/tidying.ts';
import { BlobStore } from '../store/store.ts';
import type { VolumePlan } from '../store/volumes/volume.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Arena } from '../workers/arena.ts';
import { Workers } from '../workers/workers.ts';
import { letsInBy } from './door.ts';

/** Of the role's configuration. */
export type HostConfig = {
  readonly data: string;
  readonly cluster: string;
  readonly zone: string;
  readonly peer: PeerConfig;
  readonly swarm: TunedSwarm;
  readonly trackers: readonly string[];
  readonly workers: number;
  readonly volumes: readonly VolumePlan[];
  readonly memory: { readonly arena: number };
};

export type HostPlan<F extends Finding> = {
  readonly membership: Membership;
  readonly promises: typeof agentPromises | typeof originPromises;
  readonly budgetBytes: number;
  readonly askUnneeded?: AskUnneeded | undefined;
  readonly eviction?: Eviction | undefined;
  readonly shares?: boolean;
  /** Of small blobs, in memory; 0: none. */
  readonly hotBytes: number;
  /** What stays in any case. */
  readonly pinned?: { has(digest: Digest): boolean } | undefined;
  /** Who is told of pulls that are read, and when those end that are not any more. */
  readonly pulls?: Pick<PeerNodeOptions, 'pulls' | 'lingerMs' | 'learnMs'>;
  /** Neither pulled nor given to peers; it stays on the disk. */
  readonly blocked?: Blocks | undefined;
  /** Called once the data directory is ours. */
  readonly finding: () => Promise<F>;
};

export type Finding = {
  /** Who is asked where no tracker answers. */
  readonly finder: OriginFinder;
  /** A tracker told of the origins. */
  readonly onOrigins?: (urls: readonly string[], places: readonly ToldPlace[]) => void;
};

export type Host<F extends Finding> = {
  readonly arena: Arena;
  readonly store: BlobStore;
  readonly found: F;
  readonly trackers: Members<HttpClient>;
  readonly tracking: TrackerSession;
  readonly node: PeerNode;
};

/** Everything of it is closed with the stack. */
export async function startHost<F extends Finding>(
  context: RoleContext<HostConfig>,
  { pulls, finding, membership, ...plan }: HostPlan<F>,
  stack: AsyncDisposableStack,
): Promise<Host<F>> {
  const { config, log, metrics, secure } = context;
  const { trackers, volumes } = config;
  const lanes = 1 + config.volumes.length;
  const workers = stack.use(await Workers.start({ count: config.workers, lanes, arenaBytes: config.memory.arena }));
  const { arena } = workers;
  // Peers that wait for more of a blob have it from here: it stays.
  const fed = (digest: Digest): boolean => (feeding?.statsOf(digest)?.sinks ?? 0) > 0;
  let feeding: PeerNode | undefined;
  const { promises, budgetBytes, askUnneeded, eviction, shares, pinned, blocked } = plan;
  const stays = (digest: Digest): boolean =>
    pinned?.has(digest) === true || blocked?.list.has(digest) === true || fed(digest);
  const hot = await hotOf(plan.hotBytes, metrics);
  const policy = { budgetBytes, askUnneeded, eviction, shares, stays, hot };
  const store = stack.use(await BlobStore.open({ dir: config.data, ...promises, ...policy, workers, volumes, log }));
  if (hot !== undefined) store.watch({ evicted: (digest) => hot.forget(digest) });
  await blocked?.follow(config.data, stack);
  const found = await finding();
  const { finder, onOrigins } = found;
  const members = await membership.others('trackers', trackers);
  const tracking = new TrackerSession({ trackers: members, log, finder, ...(onOrigins && { onOrigins }) });
  stack.defer(() => tracking.leave());
  const letsIn = await letsInBy(context, { listener: 'peer', allow: config.peer.allow }, stack);
  const node = stack.use(
    await PeerNode.listen({
      letsIn,
      ...(await peerOptions(config.peer, [...members.urls, ...finder.urls])),
      ...(secure && { net: secure.net, nodeId: secure.drawNode(), foreign: secure.foreign }),
      ...pulls,
      blocked: blocked?.list,
      policy: tunedPolicy(config.swarm),
      role: promises.role,
      cluster: config.cluster,
      zone: hostPlaceIn(config),
      store,
      arena,
      tracking,
      log,
      metrics,
    }),
  );
  feeding = node;
  if (blocked !== undefined) withoutBlocked(blocked, { node, store, role: promises.role });
  return { arena, store, found, trackers: members, tracking, node };
}

/** Nothing of it is loaded where none is to be kept. */
async function hotOf(maxBytes: number, metrics: Metrics): Promise<HotPieces | undefined> {
  if (maxBytes === 0) return undefined;
  const hot = new (await import('../store/pieces/hot.ts')).HotPieces(maxBytes);
  metrics.observed('hot_bytes', 'Bytes of small blobs that are kept in memory', () => hot.bytes);
  metrics.observed('hot_pieces', 'Pieces of small blobs that are kept in memory', () => hot.count);
  metrics.observed('hot_lent', 'Pieces that were given from there since the start', () => hot.lentCount);
  return hot;
}
