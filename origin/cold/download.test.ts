/** One download from a backend that fails on the way in every manner: what is kept is the blob, or nothing. */

import { expect, test } from 'vitest';
import type { BlobIn } from '../../core/digest.ts';
import type { Fault } from '../../platform/backends/faulty.fixtures.ts';
import { blobOf, sameBlob, writePiece } from '../../platform/store/store.fixtures.ts';
import { ColdCluster, type TestOrigin } from './cold.fixtures.ts';
import { vainMax } from './download.ts';

const blob = blobOf(2_500_003, 7);
const question: BlobIn = { digest: blob.digest, repo: 'a' };
const { length } = blob.bytes;

async function one(...faults: Fault[]) {
  const cluster = await ColdCluster.make();
  await cluster.put(blob);
  cluster.main.fail(...faults);
  return { cluster, origin: cluster.origins[0] as TestOrigin };
}

const starts = (cluster: ColdCluster): number[] =>
  cluster.main.calls.flatMap(({ operation, start }) => (operation === 'read' && start !== undefined ? [start] : []));

test.each(['unavailable', 'stalled', 'throttled', 'truncated', 'credentials'] as const)(
  'cut at every tenth of the body (%s): gone on with by range, and right',
  async (what) => {
    // Each is given `at` bytes of its own: the cuts lie at about every tenth.
    const faults = Array.from({ length: 9 }, () => ({ on: 'read', what, at: Math.ceil(length / 10) }) as const);
    const { cluster, origin } = await one(...faults);
    await using _ = cluster;
    expect((await origin.whole(question)).meta).toEqual(blob.meta);
    expect(sameBlob(await origin.bytesOf(blob.digest), blob)).toBe(true);
    const at = starts(cluster);
    expect(at).toHaveLength(10);
    // No byte twice.
    expect(at).toEqual(at.map((_one, no) => no * Math.ceil(length / 10)));
    expect(await origin.metrics.text()).toContain(`shoal_cold_read_bytes_total{backend="main"} ${length}`);
  },
);

test.each(['unavailable', 'denied', 'missing', 'refused'] as const)(
  'that fails all the time (%s): given up, told by name, nothing kept',
  async (what) => {
    const { cluster, origin } = await one({ on: 'read', what, times: 1_000 });
    await using _ = cluster;
    await expect(origin.whole(question)).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringMatching(`backend main: ${cluster.keyOf(blob.digest)} could not be fetched`),
      detail: { backend: 'main', damaged: false },
    });
    expect(origin.store.get(blob.digest)).toBeUndefined();
    expect(starts(cluster)).toHaveLength(what === 'unavailable' ? vainMax + 1 : 1);
    expect(origin.lines).toEqual([
      { level: 'warn', text: 'blob not fetched from its backend', fields: expect.objectContaining({ cause: what }) },
    ]);
  },
);

test.each<[string, Fault]>([
  ['other bytes from the start', { on: 'read', what: 'foreign' }],
  ['other bytes in the last tenth', { on: 'read', what: 'foreign', at: 2_400_000 }],
  ['another object in its place, on the way', { on: 'read', what: 'changes', at: 1_000_000 }],
])('%s: nothing is kept, and it is told what to do', async (_name, fault) => {
  const { cluster, origin } = await one(fault);
  await using _ = cluster;
  await expect(origin.whole(question)).rejects.toMatchObject({ detail: { backend: 'main', damaged: true } });
  expect(origin.store.get(blob.digest)).toBeUndefined();
  expect(origin.lines.map(({ level }) => level)).toEqual(['error']);
});

test('a size that is a lie: nothing is kept', async () => {
  const { cluster, origin } = await one({ on: 'stat', what: 'size', at: 10_000, times: 5 });
  await using _ = cluster;
  await expect(origin.whole(question)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  expect(origin.store.get(blob.digest)).toBeUndefined();
});

test('more than was asked for: nothing of that is taken', async () => {
  const { cluster, origin } = await one({ on: 'read', what: 'longer' });
  await using _ = cluster;
  expect((await origin.whole(question)).meta).toEqual(blob.meta);
});

test('an object that somebody wrote again meanwhile, with the same bytes, is gone on with', async () => {
  const { cluster, origin } = await one({ on: 'read', what: 'changed', at: 1_000_000 });
  await using _ = cluster;
  expect((await origin.whole(question)).meta).toEqual(blob.meta);
  expect(starts(cluster)).toEqual([0, 1_000_000]);
});

test('read while it comes: a reader has the first pieces before the rest is sent, and is cut off where that is wrong', async () => {
  const { cluster, origin } = await one({ on: 'read', what: 'hang', at: 1_500_000 });
  await using _ = cluster;
  await origin.answer(question, { hops: 0 });
  const download = origin.cold.download(blob.digest)!;
  await download.begun;
  await download.waitFor(0);
  expect(download.entry?.has(0)).toBe(true);
  await expect.poll(() => download.growth.known).toBe(5);
  const last = download.waitFor(8);
  const givenUp = new AbortController();
  const other = download.waitFor(7, givenUp.signal);
  givenUp.abort(new Error('the client has gone'));
  await expect(other).rejects.toThrow('gone');
  cluster.main.heal();
  await last;
  await download.whole;
  expect(sameBlob(await origin.bytesOf(blob.digest), blob)).toBe(true);

  const wrong = await one({ on: 'read', what: 'foreign', at: 1_500_000 });
  await using _wrong = wrong.cluster;
  await wrong.origin.answer(question, { hops: 0 });
  await expect(wrong.origin.cold.download(blob.digest)!.waitFor(9)).rejects.toMatchObject({
    ...{ code: 'UNAVAILABLE', detail: { backend: 'main', damaged: true } },
  });
});

test('whoever reads one whose backend fails on the way is told of the backend, and not of an error of ours', async () => {
  const { cluster, origin } = await one({ on: 'read', what: 'refused', at: 1_500_000 });
  await using _ = cluster;
  await origin.answer(question, { hops: 0 });
  await expect(origin.cold.download(blob.digest)!.waitFor(9)).rejects.toMatchObject({
    ...{ code: 'UNAVAILABLE', message: expect.stringContaining('backend main'), detail: { backend: 'main' } },
  });
});

test('a backend that is away for some seconds on the way loses nothing of what came', async () => {
  const gone = { on: 'read', what: 'unavailable' } as const;
  const { cluster, origin } = await one({ ...gone, at: 1_500_000 }, { ...gone, at: 0, times: vainMax + 2 });
  await using _ = cluster;
  expect((await origin.whole(question)).meta).toEqual(blob.meta);
  expect(new Set(starts(cluster))).toEqual(new Set([0, 1_500_000]));
}, 30_000);

test('a backend that wants to be left alone for an hour keeps no place, and no reader, for so long', async () => {
  const { cluster, origin } = await one({ on: 'read', what: 'throttled', at: 1_500_000, afterMs: 3_600_000 });
  await using _ = cluster;
  await expect(origin.whole(question)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  expect(origin.cold.running).toBe(0);
});

test('an origin that shuts down cuts it off, and keeps nothing', async () => {
  const { cluster, origin } = await one({ on: 'read', what: 'hang', at: 1_000_000 });
  await using _ = cluster;
  await origin.answer(question, { hops: 0 });
  const waits = expect(origin.cold.download(blob.digest)!.waitFor(9)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  await origin.cold[Symbol.asyncDispose]();
  await waits;
  expect(origin.store.get(blob.digest)).toBeUndefined();
});

test('a peer that has all of it tells the list meanwhile: the rest comes from peers, and the download ends once it is here', async () => {
  const half = Math.ceil(length / 2);
  const cut = { on: 'read', what: 'stalled' } as const;
  const { cluster, origin } = await one(
    { ...cut, at: half },
    ...Array.from({ length: vainMax - 1 }, () => ({ ...cut, at: 0 })),
  );
  await using _ = cluster;
  const complete = Promise.withResolvers<void>();
  const waited: number[] = [];
  origin.pulled = () => ({
    complete: complete.promise,
    waitFor: async (piece) => {
      waited.push(piece);
      await complete.promise;
    },
  });
  const whole = origin.whole(question);
  while ((origin.cold.download(blob.digest)?.received ?? 0) < half) await new Promise(setImmediate);
  const download = origin.cold.download(blob.digest);
  const last = download?.waitFor(blob.hashes.length / 32 - 1);
  const entry = await origin.store.create(blob.digest, blob.meta, blob.hashes);
  expect([entry.growth, entry.complete]).toEqual([undefined, false]);
  while (waited.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  expect(origin.cold.download(blob.digest)).toBe(download);
  const arena = origin.arena;
  for (let piece = 0; piece < entry.pieces; piece += 1)
    if (!entry.has(piece)) expect(await writePiece({ arena, entry, blob }, piece)).toBe('held');
  complete.resolve();
  await last;
  expect((await whole).meta).toEqual(blob.meta);
  expect(sameBlob(await origin.bytesOf(blob.digest), blob)).toBe(true);
  expect(await download?.whole).toBe(entry);
});
