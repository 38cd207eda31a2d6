/** A blob whose pieces are right by their list and whose digest is another: found, removed, cut off; others stay. */

import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { byDigest } from '../core/digest.ts';
import { unitBytes } from '../core/piece.ts';
import { CallContext } from '../platform/clients/context.ts';
import { type Blob, blobFiles, blobOf, damage, TestStores } from '../platform/store/store.fixtures.ts';
import type { BlobEntry, BlobStore } from '../platform/store/store.ts';
import { silentLog } from '../platform/telemetry/log.ts';
import { Metrics } from '../platform/telemetry/metrics.ts';
import { Audit } from './audit.ts';
import { PullLog, Pulls } from './pull.ts';

const right = blobOf(5 * unitBytes + 3, 1);
/** What an origin that lies would hand out: a list that fits the bytes, under the digest of others. */
const wrong: Blob = { ...blobOf(5 * unitBytes + 3, 2), digest: blobOf(7, 3).digest };

const stores = new TestStores();
let dir: string;
let store: BlobStore;
let metrics: Metrics;
let pulls: Pulls;
let audit: Audit;
let dropped: string[];
let mended: string[];

beforeAll(() => stores.start());
afterAll(() => stores.stop());
beforeEach(async () => {
  dir = stores.directory();
  store = await stores.open(dir);
  metrics = new Metrics();
  dropped = [];
  mended = [];
  const node = {
    drop: (digest: string) => void dropped.push(digest),
    running: () => [],
    lost: () => undefined,
    pull: () => {
      throw new Error('nothing is pulled here');
    },
  };
  pulls = new Pulls({
    store,
    arena: stores.workers.arena,
    node,
    tracking: { locate: () => Promise.resolve(undefined) },
    log: silentLog(),
    history: new PullLog({ log: silentLog(), metrics, clock: { nowMs: () => 0 }, cacheBytes: () => 0 }),
    clock: { nowMs: () => 0 },
  });
  const condemn = (entry: BlobEntry): Promise<void> => pulls.condemn(entry);
  const mend = async (entry: BlobEntry): Promise<void> => {
    mended.push(entry.digest);
    await stores.pull(store, right);
  };
  audit = new Audit({ store, condemn, mend, log: silentLog(), metrics });
});
afterEach(async () => {
  await audit[Symbol.asyncDispose]();
  await stores.after();
});

async function results(): Promise<string[]> {
  return (await metrics.text()).split('\n').filter((line) => line.startsWith('shoal_audited_blobs_total{'));
}

test('what is wrong goes, from disk, cache and swarm; what is right stays', async () => {
  await stores.pull(store, wrong);
  await stores.pull(store, right);
  expect(store.get(wrong.digest)?.complete).toBe(true);
  audit.add(wrong.digest);
  audit.add(right.digest);
  await audit.idle();
  expect(store.get(wrong.digest)).toBeUndefined();
  expect(dropped).toEqual([wrong.digest]);
  expect(blobFiles(dir).length).toBe(1);
  expect(await stores.intact(store, right)).toBe(true);
  expect((await results()).sort()).toEqual([
    'shoal_audited_blobs_total{result="right"} 1',
    'shoal_audited_blobs_total{result="wrong"} 1',
  ]);
});

test('what has decayed is mended, not removed, and looked at again', async () => {
  await stores.pull(store, right);
  const entry = store.get(right.digest);
  damage(blobFiles(dir)[0] as string, 3 * unitBytes);
  audit.add(right.digest);
  await audit.idle();
  expect(store.get(right.digest)).toBe(entry);
  await expect.poll(() => results()).toContain('shoal_audited_blobs_total{result="right"} 1');
  expect(await results()).toContain('shoal_audited_blobs_total{result="decayed"} 1');
  expect(mended).toEqual([right.digest]);
  expect(dropped).toEqual([]);
  expect(await stores.intact(store, right)).toBe(true);
});

test('a reader in the middle of a wrong blob is cut off, and gets no further piece', async () => {
  await stores.pull(store, wrong);
  const asking = CallContext.begin({ requestId: 'test', signal: new AbortController().signal });
  const content = await pulls.open(byDigest(wrong.digest), asking);
  const chunks = content.open(0, content.size)[Symbol.asyncIterator]();
  const first = await chunks.next();
  expect(first.done).toBe(false);
  if (first.done !== true) first.value.release();
  audit.add(wrong.digest);
  await audit.idle();
  await expect(chunks.next()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  const { arena } = stores.workers;
  expect(arena.freeBytes('reader')).toBe(arena.shareBytes('reader'));
});

test('a shutdown does not wait for a check that has begun, nor judges by it', async () => {
  await stores.pull(store, wrong);
  audit.add(wrong.digest);
  await audit[Symbol.asyncDispose]();
  expect(store.get(wrong.digest)).toBeDefined();
  audit.add(wrong.digest);
  await audit.idle();
  expect(await results()).toEqual([]);
});
