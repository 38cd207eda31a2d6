/**
 * Pushes, mounts, deletions and collection at once, over any tag store: nothing that a manifest refers to is ever gone, and in
 * the end nothing is left that none refers to. Where the store knows what may go from backends (doomed.ts), that goes as well,
 * by several at once, of whom some die or hang: what is referred to is in the backend, or an origin still owes it.
 *
 * The store and what decides at an origin (LetGo), and how a push proves its bytes (linkProved), are the product's own; an
 * origin's disk is a set, and time is a number.
 */

import { setImmediate as turn } from 'node:timers/promises';
import { expect } from 'vitest';
import { ApiError } from '../../core/contracts/errors.ts';
import type { Digest } from '../../core/digest.ts';
import { type Prng, prng } from '../../core/prng.ts';
import { linkProved } from '../clients/copies.ts';
import { batchMax, claimMs, LetGo } from '../store/room/let-go.ts';
import { type Doomed, type DoomedStore, lateMs } from './doomed.ts';
import type { OutboxOptions } from './outbox.ts';
import type { TagStore } from './store.ts';

const graceMs = 3_600_000;
const repos = ['a', 'b', 'c'] as const;
const [blobsMax, manifestsMax, atOnce] = [110, 70, 16] as const;
const digest = (no: number): Digest => `sha256:${no.toString(16).padStart(64, '0')}` as Digest;
const blobOf = (no: number): Digest => digest(1 + no);
const manifestOf = (no: number): Digest => digest(1_000 + no);

export type Race = { readonly seed: number; readonly operations: number };
type RacedStore = TagStore & { readonly doomed?: DoomedStore };
type Open = (outbox: OutboxOptions) => Promise<RacedStore>;
/** How long a claim holds; whoever waits for it lets so much of it pass at a time. */
const [leaseMs, waitMs] = [20_000, 5_000] as const;

/** Fails with the seed in its message. What was done, of each kind. */
export async function gcRace(open: Open, { seed, operations }: Race): Promise<Record<string, number>> {
  const world = new World(prng(seed), seed);
  world.store = await open({ targetsOf: () => [], nowMs: () => world.nowMs });
  await using _store = world.store;
  await world.store.doomed?.deletesFrom(['bucket']);
  for (let done = 0; done < operations; done += atOnce) await world.burst();
  await world.end();
  return world.done;
}

class World {
  store!: RacedStore;
  nowMs = 1_000_000;
  readonly done: Record<string, number> = {};
  readonly #random: Prng;
  readonly #seed: number;
  readonly #origins = [new Origin(), new Origin()];
  readonly #bucket = new Set<Digest>();
  /** Those who hang in the middle of a deletion. */
  #hanging: (() => Promise<void>)[] = [];
  /** Acknowledged, and not deleted: what each refers to. */
  readonly #manifests = new Map<string, readonly Digest[]>();
  /** Of the burst: pushed and deleted at once, either may have been last. */
  readonly #touched = new Map<string, Set<'put' | 'delete'>>();

  constructor(random: Prng, seed: number) {
    this.#random = random;
    this.#seed = seed;
  }

  async burst(): Promise<void> {
    this.#touched.clear();
    const acts = [this.#push, this.#push, this.#push, this.#mountAndPush, this.#delete, this.#delete, this.#unlink];
    const collecting = [this.#expire, this.#collect, this.#collect];
    if (this.store.doomed !== undefined) collecting.push(this.#deleteFromBucket, this.#deleteFromBucket, this.#goOn);
    const all = Array.from({ length: atOnce }, async (_, i) => {
      const act = this.#one(i % 4 === 0 ? collecting : acts);
      await this.#jitter();
      await act.call(this);
    });
    const burst = { over: false };
    const writing = this.store.doomed === undefined ? [] : this.#origins.map((origin) => this.#writes(origin, burst));
    await Promise.all(all);
    burst.over = true;
    await Promise.all(writing);
    for (const [key, how] of this.#touched) if (how.size > 1) await this.#settle(key);
    await this.#check();
    this.#pass(Math.floor(this.#random.unit() * graceMs * 0.7));
  }

  /** Nobody wants anything any more. */
  async end(): Promise<void> {
    for (const key of this.#manifests.keys()) {
      const [repo, of] = partsOf(key);
      await this.store.deleteManifest(repo, of, this.nowMs);
    }
    // A bucket notes at the first look since when.
    for (let round = 0; round < 3; round++) {
      this.#pass(graceMs);
      await this.#expire();
      for (let i = 0; i < this.#origins.length; i++) await this.#collect(i);
      await this.#endOfBucket();
    }
    const left = this.#origins.map(({ held }) => [...held]);
    expect(left, `seed ${this.#seed}: what nobody refers to is still here`).toEqual([[], []]);
    if (this.store.doomed === undefined) return;
    expect([...this.#bucket], `seed ${this.#seed}: what nobody refers to is still in the bucket`).toEqual([]);
  }

  async #endOfBucket(): Promise<void> {
    while (this.#hanging.length > 0) await this.#goOn();
    while (this.#origins.some(({ owed }) => owed.size > 0))
      for (const origin of this.#origins) await this.#writeBack(origin);
    for (let turn = 0; turn < 3; turn++) await this.#deleteFromBucket(9);
  }

  /** As a client does it: what is there is not sent again; what is refused is pushed once more. */
  async #push(): Promise<void> {
    const repo = this.#one(repos);
    const of = manifestOf(this.#below(manifestsMax));
    // What a digest is of never changes: a manifest refers to the same blobs each time.
    const no = Number.parseInt(of.slice(-8), 16);
    const blobs = [...new Set([0, 1, 2].map((i) => blobOf((no * 3 + i * 11) % blobsMax)))];
    for (let attempt = 0; attempt < 4; attempt++) {
      // Some come with their manifest long after they have looked.
      const late = attempt === 0 && this.#below(4) === 0;
      for (const blob of late ? [] : blobs) {
        await this.#pushBlob(repo, blob);
        await this.#jitter();
      }
      if (await this.#putManifest(repo, of, blobs)) return;
    }
  }

  async #mountAndPush(): Promise<void> {
    const [from, to, blob] = [this.#one(repos), this.#one(repos), blobOf(this.#below(blobsMax))];
    if ((await this.store.mount(to, blob, from)) !== undefined) this.#count('mounted');
    await this.#push();
  }

  async #pushBlob(repo: string, blob: Digest): Promise<void> {
    if ((await this.#isThere(repo, blob)) && this.#origins.some(({ held }) => held.has(blob)))
      return this.#count('spared');
    for (;;) {
      for (const origin of this.#origins) origin.commit(blob);
      await this.#jitter();
      if (await this.#linked(blob, (proof) => this.store.linkBlob(repo, blob, { size: 9, proof }))) break;
    }
    this.#count('pushed');
  }

  /** As an index answers a HEAD. */
  async #isThere(repo: string, blob: Digest): Promise<boolean> {
    if ((await this.store.blob(repo, blob)) === undefined) return false;
    if ((await this.store.idleSince(repo, blob)) === undefined) return true;
    return await this.store.use(repo, blob, this.nowMs);
  }

  async #putManifest(repo: string, of: Digest, blobs: readonly Digest[]): Promise<boolean> {
    const put = { mediaType: 'm/x', size: 9, tags: [], blobs, manifests: [] };
    let missing = 0;
    for (const origin of this.#origins) origin.commit(of);
    const linked = await this.#linked(of, async (proof) => {
      const outcome = await this.store.putManifest(repo, of, { ...put, proof }, this.nowMs);
      missing = outcome.missing.length;
      return outcome.unproved;
    });
    if (!linked || missing > 0) {
      this.#count('refused');
      return false;
    }
    this.#touch(repo, of, 'put');
    this.#manifests.set(`${repo} ${of}`, [of, ...blobs]);
    this.#count('manifests');
    return true;
  }

  async #linked(of: Digest, link: (proof: number | undefined) => Promise<number | undefined>): Promise<boolean> {
    const linking = async (proof: number | undefined): Promise<void> => {
      const generation = await link(proof);
      if (generation !== undefined && generation === proof) this.nowMs += waitMs;
      if (generation !== undefined) throw new ApiError('BLOB_CONDEMNED', 'prove it', { generation });
    };
    const prove = async (): Promise<boolean> => {
      await this.#jitter();
      return this.#origins.map((origin) => origin.prove(of)).includes(true);
    };
    try {
      return await linkProved(linking, prove);
    } catch (error) {
      if (!(error instanceof ApiError) || error.code !== 'UNAVAILABLE') throw error;
      return false;
    }
  }

  async #delete(): Promise<void> {
    const known = [...this.#manifests.keys()];
    if (known.length === 0) return;
    const key = this.#one(known);
    const [repo, of] = partsOf(key);
    this.#touch(repo, of, 'delete');
    this.#manifests.delete(key);
    await this.store.deleteManifest(repo, of, this.nowMs);
    this.#count('deleted');
  }

  /** Of a blob that no manifest of the repository has. */
  async #unlink(): Promise<void> {
    const [repo, blob] = [this.#one(repos), blobOf(blobsMax + this.#below(5))];
    await this.#pushBlob(repo, blob);
    await this.store.unlinkBlob(repo, blob, this.nowMs);
  }

  async #expire(): Promise<void> {
    while ((await this.store.expire({ beforeMs: this.nowMs - graceMs, n: 3 })).more) this.#count('expired');
  }

  async #collect(no = this.#below(this.#origins.length)): Promise<void> {
    const origin = this.#origins[no] as Origin;
    const digests = [...origin.held].slice(0, batchMax);
    const outcome = await origin.letGo.by(digests, async (asked) => {
      await this.#jitter();
      const { condemned } = await this.store.condemn(asked, { nowMs: this.nowMs, unlinkedMs: graceMs, idle: {} });
      await this.#jitter();
      return { unneeded: condemned.filter((of) => !origin.owed.has(of)), waiting: 0 };
    });
    expect(outcome.failure).toBeUndefined();
    this.#count('removed', outcome.blobs);
  }

  /** As an origin's lane: what is there is not written again. */
  async #writes(origin: Origin, burst: { readonly over: boolean }): Promise<void> {
    while (!burst.over) {
      await this.#writeBack(origin);
      await turn();
    }
  }

  async #writeBack(origin: Origin): Promise<void> {
    for (const of of origin.owed.keys()) {
      if (this.#below(4) === 0) continue;
      const row = origin.owed.get(of);
      const there = this.#bucket.has(of);
      await this.#jitter();
      if (!there && origin.held.has(of)) this.#bucket.add(of);
      await this.#jitter();
      if (origin.owed.get(of) === row) origin.owed.delete(of);
    }
  }

  /** As an index: of those who claim some hang, and go on later, and some die. */
  async #deleteFromBucket(fate = this.#below(6)): Promise<void> {
    const { doomed } = this.store;
    if (doomed === undefined) return;
    const at = { nowMs: this.nowMs, beforeMs: this.nowMs - graceMs, untilMs: this.nowMs + leaseMs, n: 50 };
    const { claims, again } = await doomed.claimDoomed(at);
    await this.#mend(again);
    // A backend takes longer than an origin.
    for (let turns = this.#below(8); turns > 0; turns--) await this.#jitter();
    if (fate > 0) return await this.#deleteAll(claims, { dies: fate === 1 });
    // A request that comes later than that is refused by whom it reaches.
    if (claims.length > 0)
      this.#hanging.push(() => this.#deleteAll(claims, { late: this.nowMs > at.untilMs + lateMs }));
  }

  async #deleteAll(
    claims: readonly Doomed[],
    how: { readonly dies?: boolean; readonly late?: boolean },
  ): Promise<void> {
    for (const { digest } of how.late === true ? [] : claims)
      if (this.#bucket.delete(digest)) this.#count('deleted there');
    await this.#jitter();
    if (how.dies === true) return this.#count('died', claims.length);
    await this.#mend((await this.store.doomed?.settleDoomed(claims, true, this.nowMs)) ?? []);
  }

  async #goOn(): Promise<void> {
    const one = this.#hanging.shift();
    if (one === undefined) return;
    this.#count('hung');
    await one();
  }

  async #mend(linked: readonly Digest[]): Promise<void> {
    for (const of of linked) for (const origin of this.#origins) if (origin.prove(of)) this.#count('mended');
    await this.store.doomed?.savedDoomed(linked, this.nowMs);
  }

  /** Pushed and deleted at once: what the store says is so. */
  async #settle(key: string): Promise<void> {
    const [repo, of] = partsOf(key);
    if ((await this.store.manifest(repo, of)) === undefined) this.#manifests.delete(key);
  }

  async #check(): Promise<void> {
    for (const [key, all] of this.#manifests) {
      const [repo, of] = partsOf(key);
      const why = `seed ${this.#seed}: ${key}`;
      expect(await this.store.manifest(repo, of), `${why}: no record`).toBeDefined();
      for (const one of all) {
        const held = this.#origins.some((origin) => origin.held.has(one));
        expect(held, `${why}: ${one} is on no origin`).toBe(true);
        const rests = this.#bucket.has(one) || this.#origins.some(({ owed }) => owed.has(one));
        if (this.store.doomed) expect(rests, `${why}: ${one} is not in the bucket, and nobody owes it`).toBe(true);
        if (one !== of) expect(await this.store.blob(repo, one), `${why}: ${one} has no link`).toBeDefined();
      }
    }
  }

  #pass(ms: number): void {
    this.nowMs += ms;
    for (const origin of this.#origins) origin.later();
  }

  #touch(repo: string, of: Digest, how: 'put' | 'delete'): void {
    const key = `${repo} ${of}`;
    this.#touched.set(key, (this.#touched.get(key) ?? new Set()).add(how));
  }

  #count(what: string, by = 1): void {
    this.done[what] = (this.done[what] ?? 0) + by;
  }

  async #jitter(): Promise<void> {
    for (let turns = this.#below(4); turns > 0; turns--) await turn();
  }

  #one<T>(all: readonly T[]): T {
    return all[this.#below(all.length)] as T;
  }

  #below(max: number): number {
    return Math.floor(this.#random.unit() * max);
  }
}

class Origin {
  readonly held = new Set<Digest>();
  /** Not written back yet, as far as known: a row each. */
  readonly owed = new Map<Digest, object>();
  readonly letGo: LetGo;
  /** It stands while answers are on their way. */
  #nowMs = 0;

  constructor() {
    this.letGo = new LetGo({
      ask: async () => ({ unneeded: [], waiting: 0 }),
      nowMs: () => this.#nowMs,
      candidates: () => this.held,
      mayGo: (of) => this.held.has(of),
      release: (of) => (this.held.delete(of) ? { bytes: 9, gone: Promise.resolve() } : undefined),
    });
  }

  commit(of: Digest): void {
    this.held.add(of);
    this.owed.set(of, {});
    this.letGo.came(of);
  }

  prove(of: Digest): boolean {
    if (!this.held.has(of)) return false;
    this.letGo.claim(of);
    this.owed.set(of, {});
    return true;
  }

  /** What was claimed is asked about again. */
  later(): void {
    this.#nowMs += 2 * claimMs;
  }
}

function partsOf(key: string): [string, Digest] {
  return key.split(' ') as [string, Digest];
}
