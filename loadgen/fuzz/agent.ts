/** An agent of the run: a peer over the real store or a light one, and the agent's own Pulls. */

import { Pulls } from '../../agent/pull.ts';
import type { PullLog } from '../../agent/pull-log.ts';
import { inlineBytesMax } from '../../core/contracts/fields.ts';
import type { Digest } from '../../core/digest.ts';
import { unitBytes } from '../../core/piece.ts';
import { StartError } from '../../platform/lifecycle/errors.ts';
import type { PeerNode } from '../../platform/peer/node.ts';
import { agentPromises } from '../../platform/store/options.ts';
import { InlinePieceIo } from '../../platform/store/pieces/inline-piece-io.ts';
import { BlobStore } from '../../platform/store/store.ts';
import type { Arena } from '../../platform/workers/arena.ts';
import { Announcing } from './announcing.ts';
import { arenaOf } from './arenas.ts';
import { type Ailments, dataDir, Medium, ProcessDisk } from './disk.ts';
import { type LightMedium, LightStore, lightMedium, powerCut, rotLight } from './light-store.ts';
import type { Cluster } from './net.ts';
import { log, Peer } from './peer.ts';
import { UnverifiedPieceIo } from './plants.ts';
import type { SiteOptions } from './site.ts';
import { pieceStored } from './stored.ts';
import type { Process, World } from './world.ts';

const lingerMs = 2_000;
const findMs = 5_000;
/** The cache of a light node, blobs; of real ones, bytes: by host, some of them too small for the larger blobs. */
const lightBlobsMax = 24;
const budgetBytes = [40, 6, 2].map((units) => units * unitBytes);
/** Units of an agent's arena; those of a light one are hardly ever written to. */
const arenaUnits = 16;
const lightArenaUnits = 8;

export type RunningAgent = {
  readonly process: Process;
  readonly store: BlobStore;
  readonly peer: Peer;
  readonly pulls: Pulls;
  readonly arena: Arena;
};

type Store = { readonly store: BlobStore; readonly light: LightStore | undefined; readonly arena: Arena };

export class AgentSite {
  readonly host: number;
  readonly real: boolean;
  readonly #cluster: Cluster;
  readonly #world: World;
  readonly #o: SiteOptions;
  readonly #medium: Medium | undefined;
  readonly #light: LightMedium;
  #process: Process | undefined;
  #endDisk: (() => void) | undefined;
  running: RunningAgent | undefined;

  constructor(cluster: Cluster, real: boolean, o: SiteOptions) {
    this.#cluster = cluster;
    this.#world = cluster.world;
    this.#o = o;
    this.host = o.host;
    this.real = real;
    this.#medium = real ? new Medium(cluster.world) : undefined;
    this.#light = lightMedium();
  }

  get up(): boolean {
    return this.running !== undefined;
  }

  get ailments(): Ailments {
    return (this.#medium ?? this.#light).ailments;
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
    const made = this.#medium === undefined ? this.#openLight(process) : await this.#openReal(this.#medium, process);
    if (made === undefined) {
      process.alive = false;
      if (this.#process === process) this.#process = undefined;
      return false;
    }
    if (!process.alive) return false;
    const { store, light, arena } = made;
    const announcing = new Announcing(this.#world, process, this.#o);
    const peer = new Peer({
      cluster: this.#cluster,
      process,
      self: this.#o.address('agent'),
      store,
      light,
      stored: (content, piece) => this.#medium !== undefined && pieceStored(this.#medium.disk, content, piece),
      arena,
      announcing,
      uplinkBytesPerS: this.#o.bytesPerS,
      nowMs: this.#o.clock,
    });
    for (const entry of store.entries()) if (entry.complete && entry.meta.length > inlineBytesMax) peer.seed(entry);
    const node = peer as unknown as PeerNode;
    const nothing = (): void => undefined;
    const history = { add: nothing, passes: nothing, passed: nothing } as unknown as PullLog;
    const pulls = new Pulls({
      store,
      arena,
      node,
      tracking: announcing,
      log,
      history,
      lingerMs,
      findMs,
      nowMs: this.#o.clock,
    });
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
    running?.pulls[Symbol.dispose]();
    this.#endDisk?.();
    this.#endDisk = undefined;
    if (!power) return;
    if (this.#medium === undefined) powerCut(this.#light, this.#world);
    else this.#medium.disk.crash();
  }

  heal(): void {
    Object.assign(this.ailments, { slowMs: 0, full: false, failsOnceIn: 0 });
  }

  /** A stored piece decays; false: there is none. */
  rot(): boolean {
    if (this.#medium === undefined) return rotLight(this.#light, this.#world);
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

  #openLight(process: Process): Store {
    const arena = arenaOf(this.#world, process, lightArenaUnits);
    const plantUnverified = this.#o.plant === 'unverified-serve';
    const light = new LightStore(this.#world, this.#light, { plantUnverified, blobsMax: lightBlobsMax });
    this.#endDisk = () => {
      light.ended = true;
    };
    return { store: light.asBlobStore(), light, arena };
  }

  async #openReal(medium: Medium, process: Process): Promise<Store | undefined> {
    const disk = new ProcessDisk(this.#world, medium);
    this.#endDisk = () => disk.end();
    const arena = arenaOf(this.#world, process, arenaUnits);
    const workers =
      this.#o.plant === 'unverified-serve' ? new UnverifiedPieceIo(arena, disk) : new InlinePieceIo(arena, disk);
    try {
      const store = await BlobStore.open({
        dir: dataDir,
        ...agentPromises,
        workers,
        budgetBytes: budgetBytes[this.host % budgetBytes.length] as number,
        // Of the larger blobs a part only is there at a time.
        windowBytesMin: 2 * unitBytes,
        disk,
      });
      return { store, light: undefined, arena };
    } catch (error) {
      disk.end();
      if (!(error instanceof StartError) && !(error instanceof Error && 'code' in error)) throw error;
      return undefined;
    }
  }
}
