/** An agent of the run: a peer over the real store or a light one, and the agent's own Pulls. */

import { Pulls } from '../../agent/pull.ts';
import { PullLog } from '../../agent/pull-log.ts';
import { inlineBytesMax } from '../../core/contracts/fields.ts';
import type { Digest } from '../../core/digest.ts';
import { unitBytes } from '../../core/piece.ts';
import { StartError } from '../../platform/lifecycle/errors.ts';
import { agentPromises } from '../../platform/store/options.ts';
import { InlinePieceIo } from '../../platform/store/pieces/inline-piece-io.ts';
import { BlobStore } from '../../platform/store/store.ts';
import { Metrics } from '../../platform/telemetry/metrics.ts';
import type { Arena } from '../../platform/workers/arena.ts';
import { arenaOf } from './arenas.ts';
import { type Ailments, dataDir, Medium, ProcessDisk } from './disk.ts';
import { JudgedPieceIo } from './judge.ts';
import type { Cluster } from './net.ts';
import { log, type Peer, startPeer } from './peer.ts';
import { UnverifiedPieceIo } from './plants.ts';
import type { SiteOptions } from './site.ts';
import type { Process, World } from './world.ts';

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
  readonly #cluster: Cluster;
  readonly #world: World;
  readonly #o: SiteOptions;
  readonly #medium: Medium;
  #process: Process | undefined;
  #endDisk: (() => void) | undefined;
  running: RunningAgent | undefined;

  constructor(cluster: Cluster, o: SiteOptions) {
    this.#cluster = cluster;
    this.#world = cluster.world;
    this.#o = o;
    this.host = o.host;
    this.#medium = new Medium(cluster.world);
  }

  get up(): boolean {
    return this.running !== undefined;
  }

  get ailments(): Ailments {
    return this.#medium.ailments;
  }

  /** Its process has begun and is not ready yet. */
  get starting(): boolean {
    return this.#process !== undefined && this.running === undefined;
  }

  process = (): Process | undefined => this.running?.process;

  /** False: the disk would not have it, or it was crashed meanwhile. */
  async start(): Promise<boolean> {
    const process: Process = { host: this.host, alive: true };
    this.#process = process;
    const arena = arenaOf(this.#world, process, arenaUnits);
    const store = await this.#open(process, arena);
    if (store === undefined) {
      process.alive = false;
      if (this.#process === process) this.#process = undefined;
      return false;
    }
    if (!process.alive) return false;
    const { origins, clock } = this.#o;
    const nowMs = clock;
    const history = new PullLog({ log, metrics: new Metrics(), nowMs, cacheBytes: () => store.usedBytes });
    const pulled = { pulls: history, lingerMs, learnMs };
    const how = { role: 'agent', process, store, arena, site: this.#o, origins, pulls: pulled } as const;
    const peer = await startPeer(this.#cluster, how);
    const { node, announcing: tracking } = peer;
    for (const entry of store.entries()) if (entry.complete && entry.meta.length > inlineBytesMax) node.seed(entry);
    const pulls = new Pulls({ store, arena, node, tracking, log, history, nowMs });
    this.running = { process, store, peer, pulls, arena };
    return true;
  }

  /** `power`: what was not synced may be lost or torn. */
  crash(power: boolean): void {
    const { running } = this;
    this.running = undefined;
    if (this.#process !== undefined) this.#process.alive = false;
    this.#process = undefined;
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
