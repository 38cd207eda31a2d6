/** What the fuzzer has found, each as small as it gets. A new failing seed becomes a test here. */

import { expect, test } from 'vitest';
import { ApiError } from '../../core/contracts/errors.ts';
import { unitBytes } from '../../core/piece.ts';
import { prng } from '../../core/prng.ts';
import { Cluster, testBlob } from '../../core/swarm/testing/cluster.ts';
import { address, Solo } from '../../core/swarm/testing/solo.ts';
import type { BlobStats, Input } from '../../core/swarm/types.ts';
import { peerMetrics } from '../../platform/peer/metrics.ts';
import { Blobs } from '../../platform/peer/pulls/blobs.ts';
import { FaultyDisk } from '../../platform/store/disk/faulty-disk.ts';
import { partSuffix } from '../../platform/store/layout.ts';
import { originPromises } from '../../platform/store/options.ts';
import { InlinePieceIo } from '../../platform/store/pieces/inline-piece-io.ts';
import { writeAll } from '../../platform/store/store.fixtures.ts';
import { type BlobEntry, BlobStore } from '../../platform/store/store.ts';
import { Metrics } from '../../platform/telemetry/metrics.ts';
import { Arena } from '../../platform/workers/arena.ts';
import { type Content, contentOf, pieceOf } from './content.ts';
import { dataDir } from './disks/disk.ts';
import { log } from './peers/peer.ts';

test('an origin does not delete an acknowledged blob because its disk fails once (seed 12)', async () => {
  const disk = new FaultyDisk({ prng: prng(1) });
  const arena = new Arena(16 * unitBytes);
  const open = () =>
    BlobStore.open({
      dir: dataDir,
      role: 'origin',
      workers: new InlinePieceIo(arena, disk),
      budgetBytes: 1e9,
      synced: true,
      keeps: true,
      disk,
      flushEveryMs: 0,
    });
  const content = contentOf(new Uint8Array(5_000).fill(7));
  const before = await open();
  const upload = await before.beginUpload('0123456789abcdef', 'sha256');
  await upload.append(content.bytes);
  await upload.commit(content.digest);
  await before[Symbol.asyncDispose]();
  const after = await open();
  disk.plan = (_, action) => (action === 'read' ? { kind: 'fail', code: 'EIO' } : undefined);
  const entry = after.get(content.digest);
  await expect(entry?.listed()).rejects.toThrow(ApiError);
  disk.plan = undefined;
  expect(after.get(content.digest)?.complete).toBe(true);
  expect(await entry?.listed()).toEqual(content.hashes);
  await after[Symbol.asyncDispose]();
});

test('a blob without metainfo is sought at the tracker, however many links there are (seed 12)', () => {
  const solo = new Solo();
  const one = testBlob(0, 4);
  const peers = Array.from({ length: 16 }, (_, i) => address(i + 1));
  solo.pull(one, peers);
  solo.pass(1_000);
  const { digest } = testBlob(1, 4);
  const out = solo.input({
    kind: 'blob',
    blob: 1,
    digest,
    meta: undefined,
    hashes: undefined,
    have: undefined,
    pull: true,
  });
  expect([...out, ...solo.pass(500)].some((o) => o.kind === 'seek' && o.blob === 1)).toBe(true);
});

test('a piece that comes unasked with its hash list is no fault, whoever leads by then (seed 1)', () => {
  const solo = new Solo();
  const { no, digest, meta, hashes } = testBlob(0, 1);
  const [origin, agent] = [address(1, 'origin'), address(2)];
  solo.input({ kind: 'blob', blob: no, digest, meta: undefined, hashes: undefined, have: undefined, pull: true });
  solo.input({ kind: 'candidates', blob: no, peers: [origin, agent], meta });
  const first = solo.answer(origin);
  const second = solo.answer(agent);
  const opened = { kind: 'opened', swarm: 0, meta, all: true, growing: false, have: new Uint8Array(0) } as const;
  expect([first, second].map((link) => solo.sent(link, 'open')?.needHashes)).toEqual([true, false]);
  solo.say(second, opened);
  solo.say(first, opened);
  solo.say(first, { kind: 'hashes', swarm: 0, from: 0, total: 1, hashes });
  solo.say(first, { kind: 'grant', grant: 1, swarm: 0, piece: 0 });
  expect(solo.faultOf(first)).toBeUndefined();
  expect(solo.swarm.expects(first, 0, 0)).toBe(meta.length);
});

test('twelve agents who lost their origin and know only each other find another one (seeds 82 and 1161)', () => {
  const cluster = new Cluster({ seed: 82, uplinkBytesPerS: 4e6, policy: { neighboursPerBlobMax: 8 } });
  const blob = testBlob(0, 60);
  const origin = cluster.addNode('origin');
  cluster.seed(origin, blob);
  const agents = Array.from({ length: 12 }, () => cluster.addNode('agent'));
  for (const agent of agents) cluster.pull(agent, blob);
  cluster.run(1_000);
  cluster.crash(origin);
  cluster.run(5_000);
  cluster.seed(cluster.addNode('origin'), blob);
  const done = (): boolean => agents.every((agent) => agent.completeMs.has(0));
  expect(cluster.run(1_000, done)).toBe(false);
  expect(cluster.run(60_000, done)).toBe(true);
});

test('a node whose peers are as many as it may have dials an origin all the same (seed 1180)', () => {
  const solo = new Solo({ policy: { neighboursPerBlobMax: 2, neighboursMax: 2 } });
  const blob = testBlob(0, 4);
  solo.pull(blob, [address(1), address(2)]);
  const links = [address(1), address(2)].map((peer) => solo.answer(peer));
  for (const link of links) solo.opened(link, blob, []);
  solo.input({ kind: 'candidates', blob: 0, peers: [address(3, 'origin')], meta: undefined });
  solo.pass(10_000);
  expect(solo.out.filter((o) => o.kind === 'dial').map((o) => o.peer.port)).toContain(address(3).port);
});

test('a blob that an origin pulls and that is uploaded to it meanwhile is fed from then on (seeds 1180 and 1197)', async () => {
  await using origin = await Origin.open();
  const { store, blobs, inputs } = origin;
  const content = contentOf(new Uint8Array(300_000).fill(7));
  const pull = blobs.pull(content.digest);
  blobs.learned({ kind: 'learned', blob: 0, meta: content.meta, hashes: content.hashes });
  await pull.learned();
  const upload = await store.beginUpload('0123456789abcdef', 'sha256');
  await upload.append(content.bytes);
  blobs.arrived(await upload.commit(content.digest));
  await pull.complete;
  expect(inputs.at(-1)?.kind).toBe('drop');
  await blobs.wanted(content.digest);
  expect(inputs.at(-1)).toMatchObject({ kind: 'blob', digest: content.digest, have: 'all', pull: false });
});

test('a push that ends between a pull learning of its blob and entering it ends the pull: its swarm knows all pieces', async () => {
  for (const told of ['before', 'after'] as const) {
    await using origin = await Origin.open();
    const { store, blobs, inputs } = origin;
    const content = contentOf(new Uint8Array(300_000).fill(7));
    const upload = await store.beginUpload('0123456789abcdef', 'sha256');
    await upload.append(content.bytes);
    // As where one origin has committed a moment earlier, and hands the blob over to the other one.
    const pull = blobs.pull(content.digest);
    const entry = await upload.commit(content.digest);
    blobs.learned({ kind: 'learned', blob: 0, meta: content.meta, hashes: content.hashes });
    if (told === 'before') blobs.arrived(entry);
    expect(await pull.learned()).toBe(entry);
    await pull.complete;
    if (told === 'after') blobs.arrived(entry);
    expect(inputs.at(-1)?.kind).toBe('drop');
    await blobs.wanted(content.digest);
    expect(inputs.at(-1)).toMatchObject({ kind: 'blob', digest: content.digest, have: 'all', pull: false });
  }
});

test('the only origin of a blob feeds it again once its disk reads again (seed 2446)', async () => {
  await using origin = await Origin.open();
  const { store, blobs, inputs, disk, arena } = origin;
  const content = contentOf(new Uint8Array(5_197).fill(7));
  const upload = await store.beginUpload('0123456789abcdef', 'sha256');
  await upload.append(content.bytes);
  const entry = await upload.commit(content.digest);
  disk.plan = (_, action) => (action === 'read' ? { kind: 'fail', code: 'EIO' } : undefined);
  const slot = await arena.acquire('send', content.bytes.length);
  expect(await entry.read(0, slot)).toBe('corrupt');
  slot.release();
  blobs.lost(content.digest, 0);
  expect(inputs.find((input) => input.kind === 'blob')).toMatchObject({ pull: true });
  await origin.sweep(20);
  expect(entry.complete).toBe(false);
  disk.plan = undefined;
  await origin.sweep(20);
  expect(entry.complete).toBe(true);
  await blobs.wanted(content.digest);
  expect(inputs.at(-1)).toMatchObject({ kind: 'blob', digest: content.digest, have: 'all', pull: false });
});

test('a blob that an origin begins to receive while peers tell it of all of it comes from these, and no process ends', async () => {
  await using origin = await Origin.open();
  const { store, blobs } = origin;
  const content = contentOf(new Uint8Array(300_000).fill(7));
  const pull = blobs.pull(content.digest);
  const receiving = store.growing.begin(content.digest, content.bytes.length);
  blobs.learned({ kind: 'learned', blob: 0, meta: content.meta, hashes: content.hashes });
  const writing = await receiving;
  blobs.receive(writing.entry);
  while (writing.needed) await new Promise(setImmediate);
  expect(await writing.finish()).toBe(await pull.learned());
  for (let piece = 0; piece < content.pieces; piece += 1) await origin.comes(content, piece);
  expect(store.get(content.digest)).toBe(writing.entry);
  expect(writing.entry.complete).toBe(true);
});

test('a push that is faster than the first byte from a backend leaves nothing to receive (seed 89)', async () => {
  await using origin = await Origin.open();
  const { store, blobs, inputs } = origin;
  const content = contentOf(new Uint8Array(60_000).fill(7));
  const writing = await store.growing.begin(content.digest, content.bytes.length);
  const upload = await store.beginUpload('0123456789abcdef', 'sha256');
  await upload.append(content.bytes);
  blobs.arrived(await upload.commit(content.digest));
  blobs.receive(writing.entry);
  await writing.finish();
  await new Promise((resolve) => setImmediate(resolve));
  expect(inputs).toEqual([]);
});

test('a blob of which every piece is here, and whose last step the disk refused, is whole once the disk does better', async () => {
  await using origin = await Origin.open();
  const { store, blobs, disk } = origin;
  const content = contentOf(new Uint8Array(300_000).fill(7));
  const entry = await store.create(content.digest, content.meta, content.hashes);
  disk.plan = (_, action) => (action === 'rename' ? { kind: 'fail', code: 'EIO' } : undefined);
  await expect(writeAll(origin.arena, entry, content)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  expect([entry.heldCount, entry.complete]).toEqual([2, false]);
  // Nobody else has it: no piece will come.
  const pull = blobs.pull(content.digest);
  // As the swarm says of one that lacks no piece.
  blobs.complete({ kind: 'complete', blob: 0 });
  await origin.sweep(20);
  expect(entry.complete).toBe(false);
  disk.plan = undefined;
  await origin.sweep(20);
  expect(entry.complete).toBe(true);
  await pull.complete;
});

test('pieces that decayed are told before the last one that comes, and that one is held: nothing has to rest', async () => {
  await using origin = await Origin.open();
  const { disk, inputs } = origin;
  const content = contentOf(new Uint8Array(3 * unitBytes).map((_, i) => i % 251));
  const entry = await origin.pulls(content);
  for (const piece of [0, 1]) await origin.comes(content, piece);
  const path = disk.paths().find((one) => one.endsWith(partSuffix)) as string;
  disk.rot(path, unitBytes + 5);
  await origin.comes(content, 2);
  expect(inputs.slice(-2)).toMatchObject([
    { kind: 'lost', piece: 1 },
    { kind: 'verified', piece: 2, verdict: 'held' },
  ]);
  await origin.comes(content, 1);
  expect([inputs.at(-1), entry.complete]).toMatchObject([{ kind: 'verified', verdict: 'held' }, true]);
});

test('a piece that was found wrong while its verdict was under way comes again', async () => {
  await using origin = await Origin.open();
  const content = contentOf(new Uint8Array(3 * unitBytes).map((_, i) => i % 251));
  const entry = await origin.pulls(content);
  origin.onStats = () => entry.becomeDamaged(0, 'somebody cut its file');
  await origin.comes(content, 0);
  expect(origin.inputs.at(-1)).toMatchObject({ kind: 'verified', piece: 0, verdict: 'unwanted' });
});

/** An origin's blobs over a disk in memory, the swarm left out: its inputs are kept. */
class Origin implements AsyncDisposable {
  readonly inputs: Input[] = [];
  readonly disk: FaultyDisk;
  readonly arena: Arena;
  readonly store: BlobStore;
  readonly blobs: Blobs;
  /** Called when the swarm's numbers are asked for. */
  onStats: () => void = () => undefined;
  nowMs = 0;
  #heldCount = 0;

  private constructor(store: BlobStore, disk: FaultyDisk, arena: Arena) {
    this.store = store;
    this.disk = disk;
    this.arena = arena;
    this.blobs = new Blobs({
      nowMs: () => this.nowMs,
      input: (input) => this.inputs.push(input),
      statsOf: () => {
        this.onStats();
        return { pieces: 3, held: this.#heldCount, sinks: 0 } as BlobStats;
      },
      store,
      arena,
      tracking: { set: () => undefined, unset: () => undefined, seek: () => undefined, grows: () => undefined },
      log,
      metrics: peerMetrics(new Metrics()),
      serves: (digest) => store.get(digest),
      neighbours: 16,
      stallMs: 60_000,
      learnMs: 10_000,
    });
  }

  static async open(): Promise<Origin> {
    const disk = new FaultyDisk({ prng: prng(1) });
    const arena = new Arena(16 * unitBytes);
    const workers = new InlinePieceIo(arena, disk);
    const o = { dir: dataDir, ...originPromises, workers, budgetBytes: 1e9, disk } as const;
    return new Origin(await BlobStore.open(o), disk, arena);
  }

  /** It pulls the blob, and has heard what that consists of. */
  async pulls({ digest, meta, hashes }: Content): Promise<BlobEntry> {
    const pull = this.blobs.pull(digest);
    this.blobs.learned({ kind: 'learned', blob: 0, meta, hashes });
    return await pull.learned();
  }

  async sweep(seconds: number): Promise<void> {
    for (let i = 0; i < seconds; i++) {
      this.nowMs += 1_000;
      this.blobs.sweep(this.nowMs);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** A piece arrives; resolves with the verdict. */
  async comes(content: Content, piece: number): Promise<void> {
    const bytes = pieceOf(content, piece);
    const slot = await this.arena.acquire('receive', bytes.length);
    let at = 0;
    for (const part of slot.parts()) {
      part.set(bytes.subarray(at, at + part.length));
      at += part.length;
    }
    const before = this.inputs.filter(({ kind }) => kind === 'verified').length;
    const sender = { role: 'origin', from: 'unknown' } as const;
    this.blobs.verify({ kind: 'verify', link: 0, blob: 0, piece, slot: slot.no, length: bytes.length }, sender);
    await expect.poll(() => this.inputs.filter(({ kind }) => kind === 'verified').length).toBe(before + 1);
    this.#heldCount++;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.blobs.close();
    await this.store[Symbol.asyncDispose]();
  }
}
