/** What an agent makes of containerd's content store as blobs come and go there. */

import { mkdirSync, readdirSync, renameSync, symlinkSync, truncateSync, unlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { type Digest, digestHex } from '../../core/digest.ts';
import { unitBytes } from '../../core/piece.ts';
import { type Blob, blobFiles, blobOf, TestStores } from '../../platform/store/store.fixtures.ts';
import { silentLog } from '../../platform/telemetry/log.ts';
import { Metrics } from '../../platform/telemetry/metrics.ts';
import { ContainerdContent } from './containerd.ts';
import { whyNot } from './problems.ts';
import { Sharing } from './sharing.ts';

const stores = new TestStores();
let sharing: Sharing | undefined;
beforeAll(() => stores.start());
afterEach(async () => {
  await sharing?.[Symbol.asyncDispose]();
  sharing = undefined;
  await stores.after();
});
afterAll(() => stores.stop());

const [a, b] = [1, 2].map((seed) => blobOf(3 * unitBytes + seed, seed)) as [Blob, Blob];
const largeBytes = 32 * 1024 * 1024;
const eventually = { timeout: 60_000, interval: 20 };

async function setUp({ there = true, budgetBytes = 1e9, rate = 1e12 } = {}) {
  const dir = stores.directory();
  const source = new ContainerdContent(join(dirname(dir), 'containerd'));
  if (there) mkdirSync(source.dir, { recursive: true });
  const store = await stores.open(dir, { shares: true, budgetBytes });
  const seeded: Digest[] = [];
  const node = { arrived: () => undefined, seed: ({ digest }: { digest: Digest }) => void seeded.push(digest) };
  const metrics = new Metrics();
  const begin = (): Sharing => {
    const { shared } = store;
    if (shared === undefined) throw new Error('the store shares nothing');
    const o = { shared, source, node, rate, busy: () => false, log: silentLog(), metrics, lookMs: 10, largeBytes };
    sharing = new Sharing(o);
    return sharing;
  };
  /** As containerd: written elsewhere, then renamed. */
  const put = (blob: Blob, bytes = blob.bytes): void => {
    writeFileSync(`${source.dir}/../ingest`, bytes, { mode: 0o444 });
    renameSync(`${source.dir}/../ingest`, source.path(blob.digest));
  };
  const remove = ({ digest }: Blob): void => unlinkSync(source.path(digest));
  return { dir, store, source, seeded, metrics, begin, put, remove };
}

test('everything there is taken and seeded, at the start and as it comes; small blobs are left to it', async () => {
  const { store, seeded, begin, put } = await setUp();
  put(a);
  put(blobOf(500, 9));
  begin();
  await vi.waitFor(() => expect(seeded).toEqual([a.digest]), eventually);
  put(b);
  await vi.waitFor(() => expect(seeded).toEqual([a.digest, b.digest]), eventually);
  expect([store.shared?.count, await stores.intact(store, a), await stores.intact(store, b)]).toEqual([2, true, true]);
});

test('a layer that was pulled through the agent lies on the disk once', async () => {
  const { dir, store, begin, put } = await setUp();
  begin();
  await stores.pull(store, a);
  expect(blobFiles(dir)).toHaveLength(1);
  put(a);
  await vi.waitFor(() => expect(blobFiles(dir)).toEqual([]), eventually);
  expect(await stores.intact(store, a)).toBe(true);
});

test('what is wrong there is refused and counted; the others are taken', async () => {
  const { store, metrics, seeded, begin, put } = await setUp();
  put(a, b.bytes);
  put(b);
  begin();
  await vi.waitFor(() => expect(seeded).toEqual([b.digest]), eventually);
  await vi.waitFor(
    async () => expect(await metrics.text()).toContain('shared_refused_total{why="wrong"} 1'),
    eventually,
  );
  expect(store.get(a.digest)).toBeUndefined();
});

test('a huge file, all of it holes, holds up no other: it is read beside them', async () => {
  const { store, source, metrics, begin, put } = await setUp({ rate: 100e6 });
  // 20 s at that rate.
  const huge = blobOf(500, 77);
  put(huge);
  truncateSync(source.path(huge.digest), 2e9);
  begin();
  await vi.waitFor(async () => expect(await metrics.text()).toContain('shoal_shared_waiting 1'), eventually);
  for (const blob of [a, b]) put(blob);
  await vi.waitFor(() => expect(store.shared?.count).toBe(2), eventually);
  expect(await metrics.text()).toMatch(/shoal_shared_waiting 1\n/);
  expect(await metrics.text()).not.toContain('shared_refused_total{why="wrong"} 1');
});

/** As large as a blob that is taken. */
function makeDirectory(at: string): void {
  mkdirSync(at);
  for (let no = 0; no < 400; no++) writeFileSync(join(at, `${no}-${'x'.repeat(200)}`), '');
}

test.each([
  ['a directory', makeDirectory],
  ['a link', (at: string) => symlinkSync('../link-leads-here', at)],
])('%s in the place of a blob is refused, and keeps no other from being taken', async (_, make) => {
  const { store, source, metrics, begin, put } = await setUp();
  writeFileSync(`${source.dir}/../link-leads-here`, a.bytes);
  make(source.path(a.digest));
  const one = begin();
  await vi.waitFor(
    async () => expect(await metrics.text()).toContain('shared_refused_total{why="unread"} 1'),
    eventually,
  );
  put(b);
  await vi.waitFor(() => expect([store.shared?.count, one.problems()]).toEqual([1, []]), eventually);
  expect(await one.asked(a.digest)).toBeUndefined();
  expect(readdirSync(dirname(store.shared?.get(b.digest)?.file.path ?? '')).length).toBe(2);
});

test('containerd lets go: the cache keeps it; pulled again, it is shared again', async () => {
  const { dir, store, begin, put, remove } = await setUp();
  put(a);
  begin();
  await vi.waitFor(() => expect(store.shared?.count).toBe(1), eventually);
  remove(a);
  await vi.waitFor(() => expect(blobFiles(dir)).toHaveLength(1), eventually);
  expect(await stores.intact(store, a)).toBe(true);
  put(a);
  await vi.waitFor(() => expect([store.shared?.count, blobFiles(dir).length]).toEqual([1, 0]), eventually);
});

test('removed and pulled again between two looks: the new file is the one that is shared', async () => {
  const { store, source, begin, put } = await setUp();
  put(a);
  begin();
  await vi.waitFor(() => expect(store.shared?.count).toBe(1), eventually);
  const before = store.shared?.idOf(a.digest);
  put(a);
  await vi.waitFor(() => expect(store.shared?.idOf(a.digest)).not.toBe(before), eventually);
  expect(digestHex(a.digest)).toBe(source.path(a.digest).split('/').at(-1));
  expect(await stores.intact(store, a)).toBe(true);
});

test('its store is not there yet: said, and over once it is', async () => {
  const { store, source, begin, put } = await setUp({ there: false });
  const one = begin();
  await vi.waitFor(() => expect(one.problems()).toEqual([expect.stringContaining('storage.root')]), eventually);
  mkdirSync(source.dir, { recursive: true });
  put(a);
  await vi.waitFor(() => expect([store.shared?.count, one.problems()]).toEqual([1, []]), eventually);
});

test('a client that asks for what is there gets it once it is read; for what is not there the swarm is asked', async () => {
  const { begin, put } = await setUp();
  const one = begin();
  put(a);
  await vi.waitFor(async () => expect((await one.asked(a.digest))?.digest).toBe(a.digest), eventually);
  expect(await one.asked(b.digest)).toBeUndefined();
});

test('what to do where files cannot be shared is said for each reason', () => {
  const said = (link: string): string => whyNot({ link, clone: 'EOPNOTSUPP', name: '', message: '' }, '/c');
  expect(said('EXDEV')).toContain('one mount');
  expect(said('EPERM')).toContain('CAP_FOWNER');
  expect(said('EROFS')).toContain('read-only');
  expect(said('EMLINK')).toContain('EMLINK');
});
