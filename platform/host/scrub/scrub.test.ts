/** What rots on a real disk is found by reading it back, within the time that was promised, and after a restart as well. */

import { rmSync, truncateSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { type Digest, digestHex } from '../../../core/digest.ts';
import { unitBytes } from '../../../core/piece.ts';
import { originPromises } from '../../store/options.ts';
import { type Blob, blobFiles, blobOf, damage, TestStores, upload } from '../../store/store.fixtures.ts';
import type { BlobStore } from '../../store/store.ts';
import { silentLog } from '../../telemetry/log.ts';
import { Metrics } from '../../telemetry/metrics.ts';
import { nextBlobs } from './order.ts';
import { Scrub } from './scrub.ts';

const blobs = [1, 2, 3, 4].map((seed) => blobOf(5 * unitBytes + seed, seed));
const inOrder = [...blobs].sort((one, two) => (one.digest < two.digest ? -1 : 1));
const dayMs = 86_400_000;

const stores = new TestStores();
let dir: string;
let store: BlobStore;
let scrub: Scrub | undefined;
let metrics: Metrics;
let nowMs: number;
let looked: Digest[];
let told: string[];

beforeAll(() => stores.start());
afterAll(() => stores.stop());
beforeEach(async () => {
  dir = stores.directory();
  [nowMs, looked, told] = [1_000 * dayMs, [], []];
  await opened();
});
afterEach(async () => {
  await scrub?.[Symbol.asyncDispose]();
  scrub = undefined;
  await stores.after();
});

async function opened(): Promise<void> {
  store = await stores.open(dir, originPromises);
  store.watch({ missing: (digest) => void told.push(`missing ${digest}`) });
}
const pushed = async (): Promise<void> => {
  for (const blob of blobs) await upload(store, `upload-${blob.meta.length}-0000000`, blob);
};
/** As if no time passed but what a test lets pass; a round lasts ten days. */
function begin(o: { readonly rate?: number; readonly every?: number } = {}): void {
  metrics = new Metrics();
  const whole: BlobStore['whole'] = (digest, proof) => {
    looked.push(digest);
    return store.whole(digest, proof);
  };
  scrub = new Scrub({
    dir,
    store: {
      blobs: () => store.blobs(),
      get: (digest) => store.get(digest),
      problemOf: (...of) => store.problemOf(...of),
      whole,
      get usedBytes() {
        return store.usedBytes;
      },
    },
    arena: stores.workers.arena,
    every: o.every ?? 10 * dayMs,
    rate: o.rate ?? 1e9,
    wrong: async ({ digest }) => void told.push(`wrong ${digest}`),
    decayed: ({ digest }) => void told.push(`decayed ${digest}`),
    log: silentLog(),
    metrics,
    nowMs: () => nowMs,
  });
}
const fileOf = ({ digest }: Blob): string =>
  blobFiles(dir).find((path) => path.includes(digestHex(digest as Digest))) as string;
const counted = async (result: string): Promise<number> => {
  const line = (await metrics.text())
    .split('\n')
    .find((one) => one.includes(`scrubbed_blobs_total{result="${result}"}`));
  return Number(line?.split(' ').at(-1));
};
/** The last of its blobs has been looked at: all of them are due. */
async function round(): Promise<void> {
  nowMs += 10 * dayMs - 1;
  await expect.poll(() => looked.length, { timeout: 20_000 }).toBe(blobs.length);
  await expect.poll(async () => (await sum()) === blobs.length, { timeout: 20_000 }).toBe(true);
}
const sum = async (): Promise<number> =>
  (await counted('right')) + (await counted('decayed')) + (await counted('wrong')) + (await counted('unread'));

test('a piece that has rotted, a file that is short and one that is gone are found, told, and not held any more', async () => {
  await pushed();
  const [rotten, short, gone] = blobs as [Blob, Blob, Blob];
  damage(fileOf(rotten), 3 * unitBytes);
  truncateSync(fileOf(short), 2 * unitBytes);
  rmSync(fileOf(gone));
  begin();
  await round();
  expect([await counted('right'), await counted('decayed')]).toEqual([1, 3]);
  for (const { digest } of [rotten, short, gone])
    expect(told).toEqual(expect.arrayContaining([`missing ${digest}`, `decayed ${digest}`]));
  expect([store.get(rotten.digest)?.has(3), store.get(rotten.digest)?.heldCount]).toEqual([false, 5]);
  expect(store.get(gone.digest)).toBeUndefined();
});

test('a list that has rotted beside right bytes is made again from them, and stays so', async () => {
  await pushed();
  const [blob] = blobs as [Blob];
  damage(fileOf(blob), blob.meta.length + 40);
  begin();
  await round();
  expect([await counted('right'), told]).toEqual([4, []]);
  await scrub?.[Symbol.asyncDispose]();
  await stores.close(store);
  await opened();
  expect(await stores.intact(store, blob)).toBe(true);
});

test('bytes whose pieces match their list, and which are not the digest, are wrong', async () => {
  await stores.close(store);
  store = await stores.open(stores.directory());
  const right = blobOf(3 * unitBytes, 9);
  const wrong: Blob = { ...right, digest: blobOf(7, 3).digest };
  await stores.pull(store, wrong);
  begin();
  await expect.poll(() => told, { timeout: 20_000 }).toEqual([`wrong ${wrong.digest}`]);
});

test('a round goes by the order of the digests, evenly over its time, and a restart goes on where it was', async () => {
  await pushed();
  begin();
  await expect.poll(() => looked).toEqual([inOrder[0]?.digest]);
  // What is being looked at as it ends is looked at again.
  await expect.poll(() => scrub?.share).toBeGreaterThan(0.2);
  nowMs += 3 * dayMs;
  // It waits for the time that it saw last, which is days of this test's clock.
  await scrub?.[Symbol.asyncDispose]();
  begin();
  await expect.poll(() => looked).toEqual(inOrder.slice(0, 2).map(({ digest }) => digest));
  await expect.poll(() => scrub?.share).toBeGreaterThan(0.4);
  await scrub?.[Symbol.asyncDispose]();
  await stores.close(store);
  await opened();
  nowMs += 30 * dayMs;
  begin();
  expect(scrub?.share).toBe(0);
  await expect.poll(() => looked.length, { timeout: 20_000 }).toBeGreaterThanOrEqual(5);
  expect(looked.slice(0, 4)).toEqual(inOrder.map(({ digest }) => digest));
  // Then another round began.
  expect(looked[4]).toBe(inOrder[0]?.digest);
});

test('what was looked at is not used because of that: it goes as soon as it would have gone', async () => {
  await stores.close(store);
  dir = stores.directory();
  store = await stores.open(dir, { budgetBytes: 17 * unitBytes });
  // The first one that is looked at came last.
  const [next, ...three] = [...inOrder].reverse() as [Blob, ...Blob[]];
  for (const blob of three) await stores.pull(store, blob);
  begin();
  nowMs += 10 * dayMs - 1;
  await expect.poll(() => looked.length, { timeout: 20_000 }).toBe(3);
  await scrub?.[Symbol.asyncDispose]();
  await stores.pull(store, next);
  const gone = three.filter(({ digest }) => store.get(digest) === undefined);
  expect(gone.map(({ digest }) => digest)).toEqual([three[0]?.digest]);
});

test('blobs in the order of their digests, in batches that meet', async () => {
  await pushed();
  const first = await nextBlobs(store, undefined, 3);
  const rest = await nextBlobs(store, first.at(-1), 3);
  expect([...first, ...rest]).toEqual(inOrder.map(({ digest }) => digest));
  expect(await nextBlobs(store, rest.at(-1), 3)).toEqual([]);
});
