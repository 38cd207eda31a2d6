/** The peer of a process of the run: platform's PeerNode over the run's network and clocks, its announcing, its end. */

import { PeerNode, type PeerNodeOptions } from '../../platform/peer/node.ts';
import type { BlobStore } from '../../platform/store/store.ts';
import { type Logger, silentLog } from '../../platform/telemetry/log.ts';
import { Metrics } from '../../platform/telemetry/metrics.ts';
import type { Arena } from '../../platform/workers/arena.ts';
import { Announcing } from './announcing.ts';
import { judgingLog } from './judge.ts';
import { type Cluster, hostName } from './net.ts';
import type { SiteOptions } from './site.ts';
import { clockOf, type Process } from './world.ts';

export const log: Logger = silentLog();
const port = 1;

export type Peer = {
  readonly node: PeerNode;
  readonly announcing: Announcing;
  /** The process ends. `power`: without its system closing its connections. */
  end(power: boolean): void;
};

export async function startPeer(
  cluster: Cluster,
  o: {
    readonly role: 'agent' | 'origin';
    readonly process: Process;
    readonly store: BlobStore;
    readonly arena: Arena;
    readonly site: SiteOptions;
    /** Of an agent: who is told of pulls that are read, and when those end that are not any more. */
    readonly pulls?: Pick<PeerNodeOptions, 'pulls' | 'lingerMs' | 'learnMs'>;
    readonly origins: SiteOptions['origins'];
  },
): Promise<Peer> {
  const { process, store, arena, site } = o;
  const { world, policy, peers } = cluster;
  const host = hostName(process.host);
  const place = cluster.net.place(host);
  const announcing = new Announcing(world, process, { ...site, origins: o.origins });
  const node = await PeerNode.listen({
    ...o.pulls,
    role: o.role,
    host,
    port,
    cluster: 'fuzz',
    zone: '',
    store,
    arena,
    net: place,
    clock: clockOf(world, site.clock, process),
    tracking: announcing,
    log: judgingLog(cluster, process.host),
    metrics: new Metrics(),
    policy,
    uplinkBytesPerS: site.bytesPerS,
  });
  const known = { process, self: node.self, windowBytes: arena.shareBytes('receive') };
  peers.set(process.host, known);
  const end = (power: boolean): void => {
    place.end(power);
    announcing.end();
    if (peers.get(process.host) === known) peers.delete(process.host);
  };
  return { node, announcing, end };
}
