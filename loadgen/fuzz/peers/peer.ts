/** The peer of a process of the run: platform's PeerNode over the run's network and clocks, its announcing, its end. */

import { OriginFinder } from '../../../platform/clients/finder.ts';
import type { OriginClient } from '../../../platform/clients/origin.ts';
import { TrackerSession } from '../../../platform/clients/tracker.ts';
import type { Members } from '../../../platform/members/members.ts';
import type { SimulatedHost } from '../../../platform/net/simulated.ts';
import { PeerNode, type PeerNodeOptions } from '../../../platform/peer/node.ts';
import type { BlobStore } from '../../../platform/store/store.ts';
import { type Logger, silentLog } from '../../../platform/telemetry/log.ts';
import { Metrics } from '../../../platform/telemetry/metrics.ts';
import type { Arena } from '../../../platform/workers/arena.ts';
import type { Calls } from '../http/calls.ts';
import type { SiteOptions } from '../site.ts';
import { clockOf } from '../world.ts';
import { judgingLog } from './judge.ts';
import { type Cluster, hostName } from './net.ts';

export const log: Logger = silentLog();
const port = 1;

export type Peer = {
  readonly node: PeerNode;
  readonly tracking: TrackerSession;
  /** Where its connections are. */
  readonly place: SimulatedHost;
  /** The process ends. `power`: without its system closing its connections. */
  end(power: boolean): void;
};

export async function startPeer(
  cluster: Cluster,
  o: {
    readonly role: 'agent' | 'origin';
    readonly calls: Calls;
    readonly store: BlobStore;
    readonly arena: Arena;
    readonly site: SiteOptions;
    /** Of an agent: who is told of pulls that are read, and when those end that are not any more. */
    readonly pulls?: Pick<PeerNodeOptions, 'pulls' | 'lingerMs' | 'learnMs'>;
    readonly origins: Members<OriginClient>;
  },
): Promise<Peer> {
  const { calls, store, arena, site, origins } = o;
  const { process } = calls;
  const { world, policy, peers } = cluster;
  const host = hostName(process.host);
  const place = cluster.net.place(host);
  const clock = clockOf(world, site.clock, process);
  const finder = new OriginFinder({ origins, clock });
  const tracking = new TrackerSession({ trackers: calls.to([...site.trackers.keys()]), log, clock, finder });
  const node = await PeerNode.listen({
    ...o.pulls,
    role: o.role,
    nodeId: site.certificates?.nodeOf(process.host),
    host,
    port,
    cluster: 'fuzz',
    zone: '',
    store,
    arena,
    net: place,
    clock,
    tracking,
    log: judgingLog(cluster, process.host),
    metrics: new Metrics(),
    policy,
    uplinkBytesPerS: site.bytesPerS,
  });
  const known = { process, self: node.self, windowBytes: arena.shareBytes('receive') };
  peers.set(process.host, known);
  const end = (power: boolean): void => {
    place.end(power);
    void tracking.leave();
    if (peers.get(process.host) === known) peers.delete(process.host);
  };
  return { node, tracking, place, end };
}
