/**
 * An origin of the run: the real store over a faulty disk, the origin's own uploads, hand-over and
 * blobs, and a peer. Its process comes and goes; its disk stays.
 */

import { ApiError } from '../../core/contracts/errors.ts';
import type { BlobInfo, FetchRequest, InfoProof } from '../../core/contracts/origin.ts';
import type { Digest } from '../../core/digest.ts';
import { unitBytes } from '../../core/piece.ts';
import { Rendezvous } from '../../core/rendezvous/rendezvous.ts';
import { OriginBlobs } from '../../origin/blobs.ts';
import { Handover } from '../../origin/handover.ts';
import { Mending } from '../../origin/mending.ts';
import { Uploads } from '../../origin/uploads.ts';
import { StartError } from '../../platform/lifecycle/errors.ts';
import { originPromises } from '../../platform/store/options.ts';
import { InlinePieceIo } from '../../platform/store/pieces/inline-piece-io.ts';
import { BlobStore } from '../../platform/store/store.ts';
import type { Arena } from '../../platform/workers/arena.ts';
import { arenaOf } from './arenas.ts';
import { dataDir, Medium, ProcessDisk } from './disk.ts';
import { JudgedPieceIo } from './judge.ts';
import { asking } from './litter.ts';
import type { Cluster } from './net.ts';
import { log, type Peer, startPeer } from './peer.ts';
import { UnverifiedPieceIo } from './plants.ts';
import type { SiteOptions } from './site.ts';
import type { Process, World } from './world.ts';

const replicas = 2;
const uploadsOpenMax = 64;
const uploadIdleMs = 3_600_000;
/** Where room is scarce. */
const litterIdleMs = 20_000;
const fetchMs = 2_000;
const arenaUnits = 24;

type Running = {
  readonly process: Process;
  readonly disk: ProcessDisk;
  readonly store: BlobStore;
  readonly peer: Peer;
  readonly blobs: OriginBlobs;
  readonly uploads: Uploads;
  readonly handover: Handover;
  readonly mending: Mending;
  readonly arena: Arena;
};

export class OriginSite {
  readonly name: string;
  readonly host: number;
  readonly medium: Medium;
  readonly #cluster: Cluster;
  readonly #world: World;
  readonly #o: SiteOptions;
  #process: Process | undefined;
  #disk: ProcessDisk | undefined;
  running: Running | undefined;

  constructor(cluster: Cluster, name: string, o: SiteOptions) {
    this.#cluster = cluster;
    this.#world = cluster.world;
    this.name = name;
    this.host = o.host;
    this.#o = o;
    this.medium = new Medium(cluster.world);
  }

  get up(): boolean {
    return this.running !== undefined;
  }

  /** Its process has begun and is not ready yet. */
  get starting(): boolean {
    return this.#process !== undefined && this.running === undefined;
  }

  process = (): Process | undefined => this.running?.process;

  /** False: the disk would not have it, or it was crashed meanwhile. */
  async start(): Promise<boolean> {
    const world = this.#world;
    const process: Process = { host: this.host, alive: true };
    this.#process = process;
    const disk = new ProcessDisk(world, this.medium);
    this.#disk = disk;
    const arena = arenaOf(world, process, arenaUnits);
    const io =
      this.#o.plant === 'unverified-serve' ? new UnverifiedPieceIo(arena, disk) : new InlinePieceIo(arena, disk);
    const workers = new JudgedPieceIo(io, this.#o.truth, (kind, what) => world.violate(kind, `${this.name} ${what}`));
    let store: BlobStore;
    try {
      const { litter } = this.#o;
      const synced = this.#o.plant !== 'lost-write';
      store = await BlobStore.open({
        dir: dataDir,
        ...originPromises,
        workers,
        budgetBytes: litter?.budgetBytes ?? 512 * unitBytes,
        synced,
        askUnneeded: litter && asking(world, process, litter.index()),
        disk,
      });
    } catch (error) {
      disk.end();
      process.alive = false;
      if (this.#process === process) this.#process = undefined;
      if (!(error instanceof StartError) && !isDisk(error)) throw error;
      return false;
    }
    if (!process.alive) return false;
    this.running = await this.#make({ process, disk, store, arena });
    this.#o.onStart?.(this);
    return true;
  }

  async #make(o: { process: Process; disk: ProcessDisk; store: BlobStore; arena: Arena }): Promise<Running> {
    const { process, store, arena } = o;
    const origins = new Map([...this.#o.origins].filter(([name]) => name !== this.name));
    const peer = await startPeer(this.#cluster, { role: 'origin', process, store, arena, site: this.#o, origins });
    const { node, announcing } = peer;
    const mending = new Mending({ store, node, log });
    const blobs = new OriginBlobs({ store, arena, node, mending, log });
    const names = [...this.#o.origins.keys()];
    const handover = new Handover({
      origins: Rendezvous.of(names),
      self: this.name,
      replicas,
      peer: node.self,
      find: (digest) => store.get(digest),
      mend: ({ digest, meta }) => mending.want(digest, meta),
      ask: (url, digest, request) => this.#ask(process, url, digest, request),
      tracking: announcing,
      log,
    });
    store.watch({ evicted: (digest) => handover.forget(digest) });
    for (const entry of store.entries()) if (entry.complete) handover.offer(entry);
    mending.begin();
    const idleMs = this.#o.litter === undefined ? uploadIdleMs : litterIdleMs;
    const uploads = new Uploads({ store, openMax: uploadsOpenMax, idleMs, nowMs: this.#o.clock });
    return { ...o, peer, blobs, uploads, handover, mending };
  }

  /** `power`: what was not synced may be lost or torn. */
  crash(power: boolean): void {
    const { running } = this;
    this.running = undefined;
    if (this.#process !== undefined) this.#process.alive = false;
    this.#process = undefined;
    running?.peer.end(power);
    running?.handover[Symbol.dispose]();
    running?.mending[Symbol.dispose]();
    this.#disk?.end();
    this.#disk = undefined;
    if (power) this.medium.disk.crash();
  }

  // ---- its API ---------------------------------------------------------------------------------

  /** undefined: it is not here. */
  async info(digest: Digest, proof: InfoProof = 'size'): Promise<BlobInfo | undefined> {
    const { blobs } = this.running as Running;
    try {
      return await blobs.info(await blobs.held(digest, proof));
    } catch (error) {
      if (error instanceof ApiError && error.code === 'BLOB_UNKNOWN') return undefined;
      throw error;
    }
  }

  async commit(id: string, digest: Digest): Promise<void> {
    const { uploads, blobs, handover } = this.running as Running;
    const entry = await uploads.commit(id, digest);
    blobs.committed(entry);
    handover.offer(entry);
  }

  async prove(digest: Digest): Promise<boolean> {
    const { blobs, handover } = this.running as Running;
    try {
      handover.offer(await blobs.prove(digest));
      return true;
    } catch (error) {
      if (error instanceof ApiError && error.code === 'BLOB_UNKNOWN') return false;
      throw error;
    }
  }

  #ask(from: Process, url: string, digest: Digest, request: FetchRequest): Promise<boolean> {
    const site = this.#o.origins.get(url) as OriginSite;
    const handle = async (): Promise<boolean> =>
      (await (site.running as Running).blobs.fetch(digest, request)) === 'held';
    return this.#world.call(from, site, { bytes: 300, limitMs: fetchMs, handle });
  }
}

function isDisk(error: unknown): boolean {
  return error instanceof Error && 'code' in error;
}
