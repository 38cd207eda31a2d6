/** An agent of the run: a peer over the real store or a light one, and the agent's own Pulls. */

import { PullLog, Pulls } from '../../agent/pull.ts';
import { AgentRegistry } from '../../agent/registry.ts';
import { inlineBytesMax } from '../../core/contracts/fields.ts';
import type { Digest } from '../../core/digest.ts';
import { unitBytes } from '../../core/piece.ts';
import { IndexClient } from '../../platform/clients/index-client.ts';
import { StartError } from '../../platform/lifecycle/errors.ts';
import { partSuffix } from '../../platform/store/layout.ts';
import { agentPromises } from '../../platform/store/options.ts';
import { InlinePieceIo } from '../../platform/store/pieces/inline-piece-io.ts';
import { BlobStore } from '../../platform/store/store.ts';
import { Metrics } from '../../platform/telemetry/metrics.ts';
import type { Arena } from '../../platform/workers/arena.ts';
import { type Ailments, dataDir, Medium, ProcessDisk } from './disks/disk.ts';
import { Calls } from './http/calls.ts';
import { serveRegistry } from './http/servers.ts';
import { arenaOf } from './peers/arenas.ts';
import { JudgedPieceIo } from './peers/judge.ts';
import type { Cluster } from './peers/net.ts';
import { log, type Peer, startPeer } from './peers/peer.ts';
import { UnverifiedPieceIo } from './plants/plants.ts';
import type { SiteOptions } from './site.ts';
import { clockOf, type Process, type World } from './world.ts';

const lingerMs = 2_000;
const learnMs = 5_000;
/** The cache, by host: some too small for the larger blobs, which pass through. */
const budgetBytes = [40, 6, 40, 2, 40].map((units) => units * unitBytes);
const arenaUnits = 16;

export type RunningAgent = {
  readonly process: Process;
  readonly store: BlobStore;
  readonly peer: Peer;
  readonly pulls: Pulls;
  readonly arena: Arena;
};

export class AgentSite {
  readonly host: number;
  /** Of its registry. */
  readonly base: string;
  readonly #cluster: Cluster;
  readonly #world: World;
  readonly #o: SiteOptions;
  readonly #medium: Medium;
  #calls: Calls | undefined;
  #endDisk: (() => void) | undefined;
  running: RunningAgent | undefined;

  constructor(cluster: Cluster, o: SiteOptions) {
    this.#cluster = cluster;
    this.#world = cluster.world;
    this.#o = o;
    this.host = o.host;
    this.base = `http://a${o.host}`;
    this.#medium = new Medium(cluster.world);
  }

  get up(): boolean {
    return this.running !== undefined;
  }

  get strict(): boolean {
    return this.#o.strict === true;
  }

  get ailments(): Ailments {
    return this.#medium.ailments;
  }

  /** Its process has begun and is not ready yet. */
  get starting(): boolean {
    return this.#calls !== undefined && this.running === undefined;
  }

  process = (): Process | undefined => this.running?.process;

  /** False: the disk would not have it, or it was crashed meanwhile. */
  async start(): Promise<boolean> {
    const calls = new Calls(this.#world, this.host);
    const { process } = calls;
    this.#calls = calls;
    const arena = arenaOf(this.#world, process, arenaUnits);
    const store = await this.#open(process, arena);
    if (store === undefined) {
      calls.end(false);
      if (this.#calls === calls) this.#calls = undefined;
      return false;
    }
    if (!process.alive) return false;
    const clock = clockOf(this.#world, this.#o.clock, process);
    const origins = this.#o.roster.members(calls, { rarely: true });
    const history = new PullLog({ log, metrics: new Metrics(), clock, cacheBytes: () => store.usedBytes });
    const pulled = { pulls: history, lingerMs, learnMs };
    const how = { role: 'agent', calls, store, arena, site: this.#o, origins, pulls: pulled } as const;
    const peer = await startPeer(this.#cluster, how);
    if (!process.alive) {
      peer.end(false);
      return false;
    }
    const { node, tracking } = peer;
    for (const blob of store.blobs()) if (blob.complete && blob.meta.length > inlineBytesMax) node.seed(blob);
    const { strict = false } = this.#o;
    const pulls = new Pulls({ store, arena, node, tracking, log, history, clock, strict });
    const index = new IndexClient(calls.index());
    const registry = new AgentRegistry({ pulls, index, proxy: 'http://p0' });
    this.running = { process, store, peer, pulls, arena };
    await serveRegistry({ world: this.#world, base: this.base, process }, 'agent', registry);
    return true;
  }

  /** `power`: what was not synced may be lost or torn. */
  crash(power: boolean): void {
    const { running } = this;
    this.running = undefined;
    this.#calls?.end(power);
    this.#calls = undefined;
    running?.peer.end(power);
    this.#endDisk?.();
    this.#endDisk = undefined;
    if (power) this.#medium.disk.crash();
  }

  heal(): void {
    Object.assign(this.ailments, { slowMs: 0, full: false, failsOnceIn: 0 });
  }

  /** A stored piece decays; false: there is none. */
  rot(): boolean {
    const { disk } = this.#medium;
    const paths = disk
      .paths()
      .filter((path) => path.includes('/blobs/') && !path.endsWith('.have') && (disk.peek(path)?.length ?? 0) > 0);
    if (paths.length === 0) return false;
    const path = this.#world.pick(paths);
    if (path.endsWith(partSuffix)) this.#cluster.decayed.add(this.host);
    disk.rot(path, this.#world.prng.below((disk.peek(path) as Uint8Array).length));
    return true;
  }

  /** Removes a blob, as an operator does. */
  async remove(digest: Digest): Promise<void> {
    await this.running?.pulls.remove(digest);
  }

  async #open(process: Process, arena: Arena): Promise<BlobStore | undefined> {
    const disk = new ProcessDisk(this.#world, this.#medium);
    this.#endDisk = () => disk.end();
    const io =
      this.#o.plant === 'unverified-serve' ? new UnverifiedPieceIo(arena, disk) : new InlinePieceIo(arena, disk);
    const workers = new JudgedPieceIo(io, this.#o.truth, (kind, what) =>
      this.#world.violate(kind, `h${process.host} ${what}`),
    );
    try {
      return await BlobStore.open({
        dir: dataDir,
        ...agentPromises,
        workers,
        budgetBytes: budgetBytes[this.host % budgetBytes.length] as number,
        // Of the larger blobs a part only is there at a time.
        windowBytesMin: 2 * unitBytes,
        disk,
      });
    } catch (error) {
      disk.end();
      if (!(error instanceof StartError) && !(error instanceof Error && 'code' in error)) throw error;
      return undefined;
    }
  }
}
