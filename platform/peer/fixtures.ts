/** For tests: trackers in memory, and whole nodes with real sockets, disks and workers. */

import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Waits } from '../../core/announce/types.ts';
import type { AnnounceAnswer, Located } from '../../core/contracts/tracker.ts';
import { type BlobIn, type Digest, digestOf } from '../../core/digest.ts';
import type { Growth, Metainfo } from '../../core/piece.ts';
import type { PeerAddress } from '../../core/wire/messages.ts';
import type { Tracking } from '../clients/tracking.ts';
import { realClock } from '../net/clock.ts';
import { tcp } from '../net/tcp.ts';
import type { GrowingEntry } from '../store/growing/entry.ts';
import { agentPromises, type BlobStoreOptions, originPromises } from '../store/options.ts';
import { BlobStore } from '../store/store.ts';
import { silentLog } from '../telemetry/log.ts';
import { Metrics } from '../telemetry/metrics.ts';
import { Workers } from '../workers/workers.ts';
import { PeerNode, type PeerNodeOptions } from './node.ts';

const mebibyte = 1024 * 1024;

type Member = { readonly peer: PeerAddress; state: 'want' | 'have'; answer(answer: AnnounceAnswer): void };
type Swarm = {
  meta: Metainfo | undefined;
  inline: string | undefined;
  /** What the origin that receives it knows of it now. */
  growth: (() => Growth | undefined) | undefined;
  readonly members: Map<string, Member>;
};
/** Who knows only a part of a list hears more after so long, and after so long where somebody waits. */
const askedAgainMs = 30;
const askedSoonMs = 5;

/** A tracker that every node of a test shares. It knows a blob as soon as an origin has it. */
export class MemoryTracker {
  readonly swarms = new Map<Digest, Swarm>();
  /** What neighbours were asked for. */
  readonly sought: BlobIn[] = [];
  state: 'up' | 'down' = 'up';

  swarm(digest: Digest): Swarm {
    const fresh = { meta: undefined, inline: undefined, growth: undefined, members: new Map() };
    const swarm = this.swarms.get(digest) ?? fresh;
    this.swarms.set(digest, swarm);
    return swarm;
  }

  /** `node` receives the blob: others hear what is known of it. */
  receives({ node }: TestNode, entry: GrowingEntry): void {
    const swarm = this.swarm(entry.digest);
    swarm.growth = () => entry.growth;
    swarm.members.set(node.self.node, { peer: node.self, state: 'want', answer: () => undefined });
    node.seedGrowing(entry);
  }

  session(): Tracking {
    return new MemoryTracking(this);
  }
}

class MemoryTracking implements Tracking {
  #answered: (answer: AnnounceAnswer) => void = () => undefined;
  readonly #tracker: MemoryTracker;
  readonly #mine = new Set<Digest>();
  readonly #grows = new Map<Digest, NodeJS.Timeout>();
  #self: PeerAddress | undefined;

  constructor(tracker: MemoryTracker) {
    this.#tracker = tracker;
  }

  join(self: PeerAddress, answered: (answer: AnnounceAnswer) => void): void {
    this.#answered = answered;
    this.#self = self;
  }

  set(digest: Digest, state: 'want' | 'have', meta?: Metainfo): void {
    const peer = this.#self as PeerAddress;
    const swarm = this.#tracker.swarm(digest);
    if (peer.role === 'origin' && meta !== undefined) swarm.meta = meta;
    swarm.members.set(peer.node, { peer, state, answer: (answer) => this.#answered(answer) });
    this.#mine.add(digest);
  }

  grows(digest: Digest, known: number, waits: Waits): void {
    clearTimeout(this.#grows.get(digest));
    const again = setTimeout(
      () => {
        const { growth, meta } = this.#tracker.swarm(digest);
        if (meta === undefined && growth !== undefined) this.grows(digest, known, false);
        if (meta !== undefined || (growth?.()?.known ?? 0) > known) this.#answer(digest, 0);
      },
      waits ? askedSoonMs : askedAgainMs,
    );
    this.#grows.set(digest, again.unref());
  }

  unset(digest: Digest): void {
    clearTimeout(this.#grows.get(digest));
    this.#tracker.swarms.get(digest)?.members.delete(this.#self?.node ?? '');
    this.#mine.delete(digest);
  }

  seek({ digest, repo }: BlobIn, count: number): void {
    this.#tracker.sought.push({ digest, repo });
    setTimeout(() => this.#answer(digest, count), 2);
  }

  async locate({ digest }: BlobIn): Promise<Located | undefined> {
    const meta = this.#tracker.swarms.get(digest)?.meta;
    return meta === undefined ? undefined : { digest, meta };
  }

  async leave(): Promise<void> {
    for (const digest of this.#mine) this.unset(digest);
  }

  #answer(digest: Digest, count: number): void {
    if (this.#tracker.state === 'down' || !this.#mine.has(digest)) return;
    const { meta, inline, growth: growing, members } = this.#tracker.swarm(digest);
    const growth = meta === undefined ? growing?.() : undefined;
    if (meta === undefined && growth === undefined) return this.#answered({ digest, peers: [], error: 'unknown' });
    const others = [...members.values()].map((m) => m.peer).filter((p) => p.node !== this.#self?.node);
    const peers = others.sort(() => Math.random() - 0.5).slice(0, count);
    this.#answered({ digest, peers, meta, growth, ...(inline === undefined ? {} : { inline }) });
  }
}

export type TestNode = AsyncDisposable & {
  readonly node: PeerNode;
  readonly store: BlobStore;
  readonly workers: Workers;
  readonly metrics: Metrics;
  readonly dir: string;
  /** Ends the node but keeps its directory, which `startNode` may take up again. */
  stop(): Promise<void>;
};

type NodeOptions = Partial<
  Pick<
    PeerNodeOptions,
    | 'role'
    | 'cluster'
    | 'net'
    | 'foreign'
    | 'nodeId'
    | 'blocked'
    | 'clock'
    | 'stallMs'
    | 'learnMs'
    | 'policy'
    | 'patience'
    | 'log'
    | 'limits'
  >
> & {
  readonly dir?: string;
  readonly arenaBytes?: number;
  readonly budgetBytes?: number;
  readonly store?: (workers: Workers) => Partial<BlobStoreOptions>;
};

export async function startNode(tracker: MemoryTracker, o: NodeOptions = {}): Promise<TestNode> {
  const role = o.role ?? 'agent';
  const dir = o.dir ?? (await mkdtemp(join(tmpdir(), 'shoal-peer-')));
  const stack = new AsyncDisposableStack();
  const workers = stack.use(await Workers.start({ count: 1, arenaBytes: o.arenaBytes ?? 16 * mebibyte }));
  const promises = role === 'origin' ? originPromises : agentPromises;
  const budgetBytes = o.budgetBytes ?? 1024 * mebibyte;
  const more = o.store?.(workers);
  const store = stack.use(await BlobStore.open({ dir, ...promises, workers, budgetBytes, ...more }));
  const metrics = new Metrics();
  const tracking = tracker.session();
  stack.defer(() => tracking.leave());
  const node = stack.use(
    await PeerNode.listen({
      cluster: 'test',
      zone: '',
      log: silentLog(),
      ...o,
      role,
      host: '127.0.0.1',
      port: 0,
      store,
      arena: workers.arena,
      net: o.net ?? tcp,
      clock: o.clock ?? realClock,
      tracking,
      metrics,
    }),
  );
  let running = true;
  const stop = async (): Promise<void> => {
    if (running) await stack.disposeAsync();
    running = false;
  };
  const dispose = async (): Promise<void> => {
    await stop();
    await rm(dir, { recursive: true, force: true });
  };
  return { node, store, workers, metrics, dir, stop, [Symbol.asyncDispose]: dispose };
}

export type TestBlob = { readonly digest: Digest; readonly bytes: Buffer };

/** Random bytes, pushed to the origin and seeded there. */
export async function seedBlob(origin: TestNode, length: number): Promise<TestBlob> {
  const bytes = randomBytes(length);
  const digest = digestOf('sha256', createHash('sha256').update(bytes).digest('hex'));
  const upload = await origin.store.beginUpload(randomBytes(12).toString('hex'), 'sha256');
  await upload.append(bytes);
  origin.node.seed(await upload.commit(digest));
  return { digest, bytes };
}

/** The blob as the node's store gives it, piece by piece. */
export async function readBlob({ store, workers }: TestNode, digest: Digest): Promise<Buffer> {
  const entry = store.get(digest);
  if (entry === undefined) throw new Error(`${digest} is not in the store`);
  const parts: Buffer[] = [];
  for (let piece = 0; piece < entry.pieces; piece++) {
    const length = Math.min(entry.meta.pieceLength, entry.meta.length - piece * entry.meta.pieceLength);
    const slot = await workers.arena.acquire('reader', length);
    if ((await entry.read(piece, slot)) !== 'ok') throw new Error(`piece ${piece} cannot be read`);
    for (const part of slot.parts()) parts.push(Buffer.from(part));
    slot.release();
  }
  return Buffer.concat(parts);
}

/** Everything that was lent is back. */
export function slotsLeft({ workers: { arena } }: TestNode): number {
  const used = (share: 'receive' | 'send'): number => arena.shareBytes(share) - arena.freeBytes(share);
  return used('receive') + used('send');
}

/** Sum over a metric's labels. */
export async function totalOf({ metrics }: TestNode, name: string): Promise<number> {
  const lines = (await metrics.text()).split('\n').filter((line) => line.startsWith(`shoal_${name}`));
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
}

export async function until(ok: () => boolean): Promise<void> {
  while (!ok()) await new Promise((resolve) => setTimeout(resolve, 1));
}
