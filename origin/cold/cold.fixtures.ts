/** Origins of one cluster in one process, each with a store in memory, over one backend that fails on purpose. */

import { expect } from 'vitest';
import { ApiError } from '../../core/contracts/errors.ts';
import type { BlobInfo, GrowingInfo } from '../../core/contracts/origin.ts';
import type { BlobIn, Digest } from '../../core/digest.ts';
import { testPeer } from '../../core/handout/fixtures.ts';
import { unitBytes } from '../../core/piece.ts';
import { prng } from '../../core/prng.ts';
import { Rendezvous } from '../../core/rendezvous/rendezvous.ts';
import { Backends, backedBy } from '../../platform/backends/backends.ts';
import { FaultyBackend } from '../../platform/backends/faulty.fixtures.ts';
import { MemoryBackend } from '../../platform/backends/memory.ts';
import { sourceOf } from '../../platform/backends/objects.fixtures.ts';
import { backedAsRegistry, keyedAsRegistry } from '../../platform/backends/registry/keys.fixtures.ts';
import type { PassedOn } from '../../platform/clients/origin.ts';
import { FaultyDisk, faultyRoot } from '../../platform/store/disk/faulty-disk.ts';
import { originPromises } from '../../platform/store/options.ts';
import { InlinePieceIo } from '../../platform/store/pieces/inline-piece-io.ts';
import { type Blob, readAll } from '../../platform/store/store.fixtures.ts';
import { BlobStore } from '../../platform/store/store.ts';
import { Metrics } from '../../platform/telemetry/metrics.ts';
import { Arena } from '../../platform/workers/arena.ts';
import { type ColdOptions, ColdReads } from './cold.ts';
import { ColdWatch } from './watch.ts';

const never = new AbortController().signal;

export type Line = { readonly level: string; readonly text: string; readonly fields: Record<string, unknown> };

export class TestOrigin {
  readonly url: string;
  readonly store: BlobStore;
  readonly cold: ColdReads;
  readonly metrics = new Metrics();
  readonly lines: Line[] = [];
  readonly arena: Arena;
  /** Whoever asks it waits until it is found silent. */
  hangs = false;
  readonly pulse = { silent: false };
  /** What its node does where peers bring the rest. */
  pulled: ColdOptions['pull'] = () => expect.fail('nothing is to come from peers');

  constructor(o: { url: string; no: number; store: BlobStore; arena: Arena; cluster: ColdCluster }) {
    this.url = o.url;
    this.store = o.store;
    this.arena = o.arena;
    const line = (level: string) => (fields: object, text: string) => {
      this.lines.push({ level, text, fields: { ...fields } });
    };
    const log = { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') };
    const { cluster } = o;
    this.cold = new ColdReads({
      backends: cluster.backends,
      owners: {
        owners: (digest) => cluster.owners.pick(digest).map((id) => ({ id })),
        byId: (url) => (url === this.url ? undefined : cluster.origin(url)),
      },
      self: o.url,
      peer: testPeer(o.no, 'origin'),
      store: o.store,
      infoOf: async ({ digest, meta }) => ({ digest, meta, peer: testPeer(o.no, 'origin') }),
      onGrowing: () => undefined,
      pull: (digest) => this.pulled(digest),
      onFetched: ({ digest }) => this.cold.forget(digest),
      watch: new ColdWatch(log, this.metrics),
      clock: { nowMs: () => cluster.nowMs },
    });
  }

  /** As its API answers. */
  async answer(blob: BlobIn, { hops, cold }: PassedOn): Promise<BlobInfo | GrowingInfo> {
    const entry = this.store.get(blob.digest);
    if (entry?.complete === true) return { digest: entry.digest, meta: entry.meta, peer: testPeer(0, 'origin') };
    const told = await this.cold.info({ blob, hops, cold }, true);
    if (told === undefined) throw new ApiError('BLOB_UNKNOWN', 'not here');
    return told;
  }

  async passedOn(blob: BlobIn, how: PassedOn): Promise<BlobInfo | GrowingInfo> {
    if (!this.hangs) return await this.answer(blob, how);
    await new Promise((resolve) => setTimeout(resolve, 20));
    this.pulse.silent = true;
    throw new ApiError('UNAVAILABLE', `${this.url}: hangs`);
  }

  /** Asks as a tracker does, until the blob is here whole or it is refused. */
  async whole(blob: BlobIn): Promise<BlobInfo> {
    for (;;) {
      const told = await this.answer(blob, { hops: 0 });
      if ('meta' in told) return told;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  async bytesOf(digest: Digest): Promise<Uint8Array | undefined> {
    const entry = this.store.get(digest);
    return entry === undefined ? undefined : await readAll(this.arena, entry);
  }
}

export class ColdCluster implements AsyncDisposable {
  nowMs = 0;
  readonly main = new FaultyBackend(new MemoryBackend('main'));
  /** Of repositories `other/**`. */
  readonly other = new FaultyBackend(new MemoryBackend('other'));
  /** Of repositories `reg/**`, which it tells apart. */
  readonly registry = keyedAsRegistry('registry');
  readonly backends: Backends;
  readonly owners: Rendezvous;
  readonly origins: TestOrigin[] = [];

  private constructor(urls: readonly string[]) {
    const said = { durability: 'origins', required: false } as const;
    this.backends = new Backends([
      { patterns: ['other/**'], backed: backedBy(this.other, said) },
      { patterns: ['reg/**'], backed: backedAsRegistry(this.registry, said) },
      { patterns: ['**'], backed: backedBy(this.main, said) },
    ]);
    this.owners = Rendezvous.of(urls);
  }

  static async make(count = 1): Promise<ColdCluster> {
    const urls = Array.from({ length: count }, (_, no) => `http://o${no}`);
    const cluster = new ColdCluster(urls);
    for (const [no, url] of urls.entries()) {
      const arena = new Arena(64 * unitBytes);
      const disk = new FaultyDisk({ prng: prng(no) });
      const store = await BlobStore.open({
        ...{ dir: `${faultyRoot}/${no}/origin`, ...originPromises, budgetBytes: 1e9, disk },
        workers: new InlinePieceIo(arena, disk),
      });
      cluster.origins.push(new TestOrigin({ url, no, store, arena, cluster }));
    }
    return cluster;
  }

  origin(url: string): TestOrigin | undefined {
    return this.origins.find((one) => one.url === url);
  }

  /** The digest's first owner, the second, and so on. */
  ranked(digest: Digest): TestOrigin[] {
    return this.owners.pick(digest).flatMap((url) => this.origin(url) ?? []);
  }

  async put(blob: Blob, backend: FaultyBackend = this.main): Promise<void> {
    await backend.write(this.keyOf(blob.digest), sourceOf(blob.bytes), never);
  }

  keyOf(digest: Digest): string {
    return (this.backends.all[0] as { blobKey(digest: Digest): string }).blobKey(digest);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.main.heal();
    this.other.heal();
    for (const { cold, store } of this.origins) {
      await cold[Symbol.asyncDispose]();
      await store[Symbol.asyncDispose]();
    }
  }
}
