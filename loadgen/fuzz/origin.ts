/**
 * An origin of the run: the real store over a faulty disk, the origin's own uploads, hand-over and
 * blobs, and a peer. Its process comes and goes; its disk stays.
 */

import type { Digest } from '../../core/digest.ts';
import { unitBytes } from '../../core/piece.ts';
import { type BlobsOptions, OriginBlobs } from '../../origin/blobs.ts';
import type { BackendCopies } from '../../origin/cold/copies.ts';
import { openCold } from '../../origin/cold/open.ts';
import { Handover } from '../../origin/handover.ts';
import { Mending } from '../../origin/mending.ts';
import type { Repairing } from '../../origin/repair/open.ts';
import type { OriginRepair } from '../../origin/repair/repair.ts';
import { addRepairRoutes } from '../../origin/repair/routes.ts';
import { askUnneeded } from '../../origin/unneeded.ts';
import { Uploads, type UploadsOptions } from '../../origin/uploads.ts';
import { owedBy } from '../../origin/write-back/owed.ts';
import type { WriteBack } from '../../origin/write-back/write-back.ts';
import type { Backends } from '../../platform/backends/backends.ts';
import { CallContext } from '../../platform/clients/context.ts';
import { IndexClient } from '../../platform/clients/index-client.ts';
import type { OriginClient } from '../../platform/clients/origin.ts';
import { StartError } from '../../platform/lifecycle/errors.ts';
import type { Members } from '../../platform/members/members.ts';
import type { Queue } from '../../platform/queue/queue.ts';
import { originPromises } from '../../platform/store/options.ts';
import type { Proof } from '../../platform/store/pieces/believed.ts';
import { InlinePieceIo } from '../../platform/store/pieces/inline-piece-io.ts';
import type { AskUnneeded } from '../../platform/store/room/let-go.ts';
import { type BlobEntry, BlobStore } from '../../platform/store/store.ts';
import { Metrics } from '../../platform/telemetry/metrics.ts';
import type { Arena } from '../../platform/workers/arena.ts';
import type { SharedBackend } from './backing/backend.ts';
import { beginWriteBack } from './backing/owed.ts';
import { QueueFile } from './backing/queue-file.ts';
import type { Damage } from './disks/damage.ts';
import { dataDir, Medium, ProcessDisk } from './disks/disk.ts';
import { Calls } from './http/calls.ts';
import { serveOrigin } from './http/servers.ts';
import { arenaOf } from './peers/arenas.ts';
import { JudgedPieceIo } from './peers/judge.ts';
import type { Cluster } from './peers/net.ts';
import { log, type Peer, startPeer } from './peers/peer.ts';
import { UnverifiedPieceIo } from './plants/plants.ts';
import { beginRepair, fetchingBy } from './repairing.ts';
import type { SiteOptions } from './site.ts';
import type { Process, World } from './world.ts';

const replicas = (): number => 2;
const uploadsOpenMax = 64;
const sweepMs = 10_000;
const uploadIdleMs = 3_600_000;
/** Where room is scarce. */
const litterIdleMs = 20_000;
const arenaUnits = 24;
/** Where room is not scarce. */
const budgetBytes = 512 * unitBytes;
const idHexDigits = 32;

/** What an origin asks the index when it needs room. */
function asking(world: World, index: IndexClient): AskUnneeded {
  return async (asked, signal) => {
    const { condemned, waiting } = await index.condemn(asked, CallContext.begin({ signal }));
    if (condemned.length > 0) world.fault('origin told what may go');
    return { unneeded: condemned, waiting };
  };
}

export type OriginOptions = SiteOptions & {
  readonly onStart?: ((site: OriginSite) => void) | undefined;
  readonly backend?: SharedBackend | undefined;
};

type Running = {
  readonly calls: Calls;
  readonly process: Process;
  readonly disk: ProcessDisk;
  readonly store: BlobStore;
  readonly peer: Peer;
  readonly blobs: OriginBlobs;
  readonly uploads: Uploads;
  readonly handover: Handover;
  readonly mending: Mending;
  readonly repair: OriginRepair;
  readonly spares: Pick<Repairing, 'sparesToGo'>;
  readonly arena: Arena;
  readonly members: Members<OriginClient>;
  readonly queue: Queue | undefined;
  readonly writeBack: WriteBack | undefined;
  /** Of what it does beside: ends with the process. */
  readonly cold: AsyncDisposableStack | undefined;
  readonly beside: AsyncDisposableStack;
};

type Parts = Pick<Running, 'calls' | 'process' | 'disk' | 'store' | 'arena' | 'queue'>;

export class OriginSite {
  readonly name: string;
  /** In a run that moves, what it is called on the ring, and whether it ever was in the cluster. */
  readonly id: string;
  joined = true;
  readonly host: number;
  #base: string;
  /** Its disk; another one after the disk was lost. */
  medium: Medium;
  readonly #cluster: Cluster;
  readonly #world: World;
  readonly #o: OriginOptions;
  /** On the disk, as the medium is. */
  #queueFile: QueueFile | undefined;
  #calls: Calls | undefined;
  #disk: ProcessDisk | undefined;
  running: Running | undefined;

  constructor(cluster: Cluster, name: string, o: OriginOptions) {
    this.#cluster = cluster;
    this.#world = cluster.world;
    this.name = name;
    this.host = o.host;
    this.#base = name;
    this.id = o.roster.moving ? o.host.toString(16).padStart(idHexDigits, '0') : name;
    this.#o = o;
    this.medium = new Medium(cluster.world);
    this.#queueFile = o.backend && new QueueFile();
  }

  /** Where it is called now. */
  get base(): string {
    return this.#base;
  }

  /** From its next start on. */
  moveTo(base: string): void {
    this.#base = base;
  }

  get up(): boolean {
    return this.running !== undefined;
  }

  /** Its process has begun and is not ready yet. */
  get starting(): boolean {
    return this.#calls !== undefined && this.running === undefined;
  }

  process = (): Process | undefined => this.running?.process;

  /** False: the disk would not have it, or it was crashed meanwhile. */
  async start(): Promise<boolean> {
    const world = this.#world;
    const calls = new Calls(world, this.host);
    const { process } = calls;
    this.#calls = calls;
    const disk = new ProcessDisk(world, this.medium);
    this.#disk = disk;
    const arena = arenaOf(world, process, arenaUnits);
    const io =
      this.#o.plant === 'unverified-serve' ? new UnverifiedPieceIo(arena, disk) : new InlinePieceIo(arena, disk);
    const workers = new JudgedPieceIo(io, this.#o.truth, (kind, what) => world.violate(kind, `${this.name} ${what}`));
    const queue = this.#queueFile?.queue(process, this.#o.clock, world.seed + this.host);
    let store: BlobStore;
    let copies: BackendCopies | undefined;
    try {
      const { litter, backend } = this.#o;
      const index = litter && asking(world, new IndexClient(calls.index()));
      const synced = this.#o.plant !== 'lost-write';
      store = await BlobStore.open({
        dir: dataDir,
        ...originPromises,
        workers,
        budgetBytes: litter?.budgetBytes ?? budgetBytes,
        synced,
        askUnneeded:
          (litter ?? backend) &&
          askUnneeded({ index, owed: () => queue, copies: () => copies, spares: () => this.running?.spares }),
        disk,
      });
    } catch (error) {
      disk.end();
      calls.end(false);
      if (this.#calls === calls) this.#calls = undefined;
      if (!(error instanceof StartError) && !isDisk(error)) throw error;
      return false;
    }
    if (!process.alive) return false;
    const parts = { calls, process, disk, store, arena, queue };
    const running = await this.#make(parts, (from) => {
      copies = from;
    });
    if (!process.alive) {
      end(running, false);
      return false;
    }
    this.running = running;
    this.#o.onStart?.(this);
    return true;
  }

  /** As origin/main.ts does. */
  async #make(o: Parts, onCopies: (copies: BackendCopies) => void): Promise<Running> {
    const { calls, process, store, arena, queue } = o;
    const self = { id: this.id, url: this.#base, weight: 1, instance: this.#instance(), zone: '' };
    const origins = this.#o.roster.members(calls, { self });
    const peer = await startPeer(this.#cluster, { role: 'origin', calls, store, arena, site: this.#o, origins });
    const { node, tracking } = peer;
    const { clock } = this.#o;
    const fetching = fetchingBy(this.#world, calls, clock);
    const mending = new Mending({ store, node, ...fetching, log });
    const blobs = new JudgedBlobs({ store, arena, node, mending, log }, this, this.#o.damage);
    const handover = new Handover({
      origins,
      self: this.id,
      replicas,
      peer: node.self,
      find: (digest) => store.get(digest),
      mend: ({ digest, meta }) => mending.want(digest, meta),
      ask: async (id, digest, request, ctx) => (await origins.byId(id)?.fetch(digest, request, ctx)) ?? false,
      owed: owedBy(queue),
      tracking,
      log,
    });
    store.watch({
      evicted: (digest) => handover.forget(digest),
      unneeded: (digest) => {
        mending.forget(digest);
        node.drop(digest);
      },
    });
    const backends = this.#o.backend?.open(process, this.#world.seed + this.host);
    const cold = backends && new AsyncDisposableStack();
    if (backends !== undefined && cold !== undefined) {
      const index = new IndexClient(calls.index());
      const onFetched = (entry: BlobEntry): void => handover.offer(entry);
      const about = { backends, origins, self: this.id, replicas, node, store, blobs, index, onFetched };
      onCopies(openCold({ ...about, log, metrics: new Metrics() }, cold).copies);
    }
    mending.begin();
    const idleMs = this.#o.litter === undefined ? uploadIdleMs : litterIdleMs;
    const options = { store, openMax: uploadsOpenMax, idleMs, clock: { nowMs: this.#o.clock } };
    const uploads = new JudgedUploads(options, this, this.#o.damage);
    const writeBack = backends && this.#writeBack(o, { blobs, origins, backends });
    const beside = new AsyncDisposableStack();
    const spares = beginRepair(
      {
        ...{ origins, self: this.id, replicas, peer, store, queue },
        ...{ handover, mending, fetching, writeBack, budgetBytes: this.#o.litter?.budgetBytes ?? budgetBytes },
      },
      beside,
    );
    await serveOrigin(
      {
        world: this.#world,
        base: this.#base,
        process,
        identity: this.#o.roster.moving ? { self, known: () => origins.known } : undefined,
      },
      {
        blobs,
        uploads,
        onCommitted: (entry) => handover.offer(entry),
        onRemoved: (digest) => handover.forget(digest),
        writeBack,
      },
      (app) => addRepairRoutes(app, spares),
    );
    this.#sweepLater(process, uploads);
    const { repair } = spares;
    return { ...o, members: origins, peer, blobs, uploads, handover, mending, repair, spares, writeBack, cold, beside };
  }

  /** As drawn at each start. */
  #instance(): string {
    const no = this.#o.roster.moving ? this.#world.prng.below(2 ** 31) : 0;
    return no.toString(16).padStart(idHexDigits, '0');
  }

  /** What it owes the backend, where the run has one. */
  #writeBack(
    { store, queue }: Pick<Running, 'store' | 'queue'>,
    parts: { readonly blobs: OriginBlobs; readonly origins: Members<OriginClient>; readonly backends: Backends },
  ): WriteBack | undefined {
    const { clock } = this.#o;
    if (queue === undefined) return undefined;
    const { blobs, origins, backends } = parts;
    return beginWriteBack({
      ...{ queue, origins, backends, clock, seed: this.#world.seed + this.host },
      self: this.id,
      find: async (digest) => {
        const entry = await store.whole(digest, 'size');
        return entry && ((start, end, signal) => blobs.content(entry, signal).open(start, end));
      },
    });
  }

  /** As origin/main.ts does: what nobody goes on with gives its room back. */
  #sweepLater(process: Process, uploads: Uploads): void {
    this.#world.after(sweepMs, () => {
      if (!process.alive) return;
      this.#sweepLater(process, uploads);
      uploads
        .sweep()
        .catch((error: unknown) => this.#world.note(`idle uploads not removed: ${String(error).slice(0, 80)}`));
    });
  }

  /** `power`: what was not synced may be lost or torn. */
  crash(power: boolean): void {
    const { running } = this;
    this.running = undefined;
    this.#calls?.end(power);
    this.#calls = undefined;
    if (running !== undefined) end(running, power);
    this.#disk?.end();
    this.#disk = undefined;
    if (power) this.medium.disk.crash();
  }

  /** The whole data directory is lost, the queue too. */
  loseDisk(): void {
    this.crash(true);
    this.medium = new Medium(this.#world);
    this.#queueFile = this.#o.backend && new QueueFile();
  }
}

function end({ peer, handover, mending, writeBack, cold, beside }: Running, power: boolean): void {
  void cold?.disposeAsync();
  void beside.disposeAsync();
  void writeBack?.[Symbol.asyncDispose]();
  peer.end(power);
  handover[Symbol.dispose]();
  mending[Symbol.dispose]();
}

/** Says that a blob is here only where it is. */
class JudgedBlobs extends OriginBlobs {
  readonly #site: OriginSite;
  readonly #damage: Damage | undefined;

  constructor(options: BlobsOptions, site: OriginSite, damage: Damage | undefined) {
    super(options);
    this.#site = site;
    this.#damage = damage;
  }

  override async held(digest: Digest, proof?: Proof): Promise<BlobEntry> {
    const damage = this.#damage;
    const times = damage?.timesOf(digest);
    const entry = await super.held(digest, proof);
    // Because of a sample, a push is not made.
    if (proof === 'sample' && damage?.timesOf(digest) === times) damage?.judgeHave(this.#site, digest);
    return entry;
  }
}

/** Answers from now on for the bytes that came. */
class JudgedUploads extends Uploads {
  readonly #site: OriginSite;
  readonly #committed = new Set<string>();
  readonly #damage: Damage | undefined;

  constructor(options: UploadsOptions, site: OriginSite, damage: Damage | undefined) {
    super(options);
    this.#site = site;
    this.#damage = damage;
  }

  override async commit(id: string, digest: Digest): Promise<BlobEntry> {
    const damage = this.#damage;
    const times = damage?.timesOf(digest);
    const entry = await super.commit(id, digest);
    // Asked again, it is answered as before: no bytes came.
    if (damage?.timesOf(digest) === times && !this.#committed.has(id)) damage?.committed(this.#site, digest);
    this.#committed.add(id);
    return entry;
  }
}

function isDisk(error: unknown): boolean {
  return error instanceof Error && 'code' in error;
}
