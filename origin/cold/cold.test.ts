/** Cold reads of one origin and of three, over a backend that fails in each way that it can. */

import { expect, test } from 'vitest';
import { ApiError } from '../../core/contracts/errors.ts';
import { hopsMax } from '../../core/contracts/origin.ts';
import type { BlobIn } from '../../core/digest.ts';
import type { Fault } from '../../platform/backends/faulty.fixtures.ts';
import { sourceOf } from '../../platform/backends/objects.fixtures.ts';
import { registryKeys } from '../../platform/backends/registry/layout.ts';
import { type Blob, blobOf, sameBlob } from '../../platform/store/store.fixtures.ts';
import { ColdCluster, type TestOrigin } from './cold.fixtures.ts';
import { damagedMs, failedMs, missingMs } from './remembered.ts';

const never = new AbortController().signal;
const inRepo = ({ digest }: Blob, repo = 'team/app'): BlobIn => ({ digest, repo });
const large = blobOf(3_000_017, 1);
const small = blobOf(900, 2);
const first = (cluster: ColdCluster): TestOrigin => cluster.origins[0] as TestOrigin;

test('three origins, a herd at each of them: the first owner downloads, once; the bytes are right, the others have nothing', async () => {
  await using cluster = await ColdCluster.make(3);
  for (const blob of [large, small]) await cluster.put(blob);
  for (const blob of [large, small]) {
    const asks = cluster.origins.flatMap((origin) => Array.from({ length: 30 }, () => origin.whole(inRepo(blob))));
    for (const info of await Promise.all(asks)) expect(info.meta).toEqual(blob.meta);
    expect(cluster.main.count('read', cluster.keyOf(blob.digest))).toBe(1);
    expect(cluster.main.count('stat', cluster.keyOf(blob.digest))).toBe(1);
    const [owner, ...others] = cluster.ranked(blob.digest) as [TestOrigin, TestOrigin];
    expect(sameBlob(await owner.bytesOf(blob.digest), blob)).toBe(true);
    for (const other of others) expect(other.store.get(blob.digest)).toBeUndefined();
    expect(owner.lines.filter(({ level }) => level === 'info')).toEqual([
      {
        level: 'info',
        text: 'blob fetched from its backend',
        fields: expect.objectContaining({
          digest: blob.digest,
          backend: 'main',
          repo: 'team/app',
          received: blob.bytes.length,
        }),
      },
    ]);
  }
});

test('a small blob comes with the first answer; of a large one its length is told at once', async () => {
  await using cluster = await ColdCluster.make();
  for (const blob of [large, small]) await cluster.put(blob);
  cluster.main.fail({ on: 'read', what: 'hang', key: cluster.keyOf(large.digest) });
  const { meta } = small;
  expect(await first(cluster).answer(inRepo(small), { hops: 0 })).toMatchObject({ meta });
  const told = await first(cluster).answer(inRepo(large), { hops: 0 });
  expect(told).toMatchObject({ growth: { length: large.bytes.length, known: 0 } });
  // One that does not take blobs that grow is told to come back, and nothing is told to be unknown.
  const asked = first(cluster).cold.info({ blob: inRepo(large), hops: 0, cold: undefined }, false);
  await expect(asked).rejects.toMatchObject({ code: 'UNAVAILABLE', message: expect.stringContaining('being fetched') });
});

test('who asks for the size has nothing downloaded', async () => {
  await using cluster = await ColdCluster.make(2);
  await cluster.put(large);
  for (const origin of cluster.origins)
    expect(await origin.answer(inRepo(large), { hops: 0, cold: 'stat' })).toMatchObject({
      growth: { length: large.bytes.length, known: 0 },
    });
  expect(cluster.main.count('read')).toBe(0);
  expect(cluster.main.count('stat')).toBe(1);
});

test('of a backend that tells repositories apart, what one lacks says nothing of another, and one fetch is for all', async () => {
  await using cluster = await ColdCluster.make();
  const origin = first(cluster);
  const key = (repo: string): string => registryKeys.blobKey(large.digest, repo);
  await cluster.registry.write(key('reg/one'), sourceOf(large.bytes), never);
  const lacking = origin.answer(inRepo(large, 'reg/two'), { hops: 0, cold: 'stat' });
  await expect(lacking).rejects.toMatchObject({ code: 'BLOB_UNKNOWN', message: expect.stringContaining('reg/two') });
  await origin.whole(inRepo(large, 'reg/one'));
  expect(cluster.registry.count('stat', key('reg/one'))).toBe(1);
  expect(cluster.registry.count('stat', key('reg/two'))).toBe(1);
  expect(cluster.registry.count('read')).toBe(1);
});

test('unknown is said where the backend has not got it, for a moment, and of that backend only', async () => {
  await using cluster = await ColdCluster.make();
  const origin = first(cluster);
  await cluster.put(small, cluster.other);
  const unknown = {
    code: 'BLOB_UNKNOWN',
    message: expect.stringContaining(`main has no ${cluster.keyOf(small.digest)}`),
  };
  for (let times = 0; times < 5; times++)
    await expect(origin.answer(inRepo(small), { hops: 0 })).rejects.toMatchObject(unknown);
  expect(cluster.main.count('stat')).toBe(1);
  expect(await origin.answer(inRepo(small, 'other/x'), { hops: 0, cold: 'stat' })).toMatchObject({ growth: {} });
  // Another cluster has written it to the same backend.
  await cluster.put(small);
  cluster.nowMs += missingMs;
  expect(await origin.answer(inRepo(small), { hops: 0 })).toMatchObject({ meta: small.meta });
});

test.each<[Fault['what'], string]>([
  ['unavailable', 'unavailable'],
  ['throttled', 'throttled'],
  ['credentials', 'credentials'],
  ['denied', 'denied'],
])(
  'a backend that does not say (%s) makes it unavailable, by name, and is not asked by everybody',
  async (what, cause) => {
    await using cluster = await ColdCluster.make();
    const origin = first(cluster);
    await cluster.put(small);
    cluster.main.fail({ on: 'stat', what });
    for (let times = 0; times < 3; times++)
      await expect(origin.answer(inRepo(small), { hops: 0 })).rejects.toMatchObject({
        code: 'UNAVAILABLE',
        message: expect.stringMatching(`backend main .*${cluster.keyOf(small.digest)}.*${cause}`),
      });
    expect(cluster.main.count('stat')).toBe(1);
    expect(await origin.metrics.text()).toContain(`shoal_cold_read_failures_total{backend="main",cause="${cause}"} 1`);
    cluster.nowMs += failedMs;
    expect(await origin.answer(inRepo(small), { hops: 0 })).toMatchObject({ meta: small.meta });
  },
);

test('one that hangs keeps nobody waiting: 503 within a second, and the answer is there when it comes', async () => {
  await using cluster = await ColdCluster.make();
  const origin = first(cluster);
  await cluster.put(small);
  cluster.main.fail({ on: 'stat', what: 'hang' });
  await expect(origin.answer(inRepo(small), { hops: 0 })).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  cluster.main.heal();
  expect(await origin.whole(inRepo(small))).toMatchObject({ meta: small.meta });
});

test('one that is removed while it comes is not unknown: 503, and it comes again', async () => {
  await using cluster = await ColdCluster.make();
  const origin = first(cluster);
  await cluster.put(large);
  cluster.main.fail({ on: 'read', what: 'hang', at: 1_000_000 });
  await origin.answer(inRepo(large), { hops: 0 });
  const told = origin.cold.download(large.digest)?.whole.catch(() => undefined);
  const asked = origin.cold.info({ blob: inRepo(large), hops: 0, cold: undefined }, false);
  const refused = expect(asked).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  await origin.store.remove(large.digest);
  cluster.main.heal();
  await told;
  await refused;
  await expect(origin.answer(inRepo(large), { hops: 0 })).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  cluster.nowMs += failedMs;
  expect(await origin.whole(inRepo(large))).toMatchObject({ meta: large.meta });
});

test('bytes that are not the digest are not kept, named in an error line, and not downloaded again until a push or a minute', async () => {
  await using cluster = await ColdCluster.make();
  const origin = first(cluster);
  await cluster.put(small);
  cluster.main.fail({ on: 'read', what: 'foreign', times: 2 });
  const damaged = {
    code: 'UNAVAILABLE',
    message: expect.stringMatching(`main: ${cluster.keyOf(small.digest)} is not the blob.*push`),
    detail: { backend: 'main', damaged: true },
  };
  for (let times = 0; times < 20; times++) await expect(origin.whole(inRepo(small))).rejects.toMatchObject(damaged);
  expect(cluster.main.count('read')).toBe(1);
  expect(origin.store.get(small.digest)).toBeUndefined();
  const errors = origin.lines.filter(({ level }) => level === 'error');
  expect(errors).toEqual([
    {
      level: 'error',
      text: expect.stringContaining('nothing of it is kept'),
      fields: expect.objectContaining({
        backend: 'main',
        key: cluster.keyOf(small.digest),
        remedy: expect.stringContaining('push'),
      }),
    },
  ]);
  expect(await origin.metrics.text()).toContain('shoal_cold_read_failures_total{backend="main",cause="mismatch"} 1');
  cluster.nowMs += damagedMs;
  await expect(origin.whole(inRepo(small))).rejects.toMatchObject(damaged);
  origin.cold.forget(small.digest);
  expect(await origin.whole(inRepo(small))).toMatchObject({ meta: small.meta });
  expect(cluster.main.count('read')).toBe(3);
});

test('an owner that hangs: the next one downloads, whoever is asked; once it is back nobody downloads again', async () => {
  await using cluster = await ColdCluster.make(3);
  await cluster.put(large);
  const [owner, second, third] = cluster.ranked(large.digest) as [TestOrigin, TestOrigin, TestOrigin];
  owner.hangs = true;
  const infos = await Promise.all([second, third].map((origin) => origin.whole(inRepo(large))));
  for (const info of infos) expect(info.meta).toEqual(large.meta);
  expect(sameBlob(await second.bytesOf(large.digest), large)).toBe(true);
  expect(third.store.get(large.digest)).toBeUndefined();
  expect(cluster.main.count('read')).toBe(1);
});

test('a question is passed on twice at most: whoever has it then downloads, whoever owns the blob', async () => {
  await using cluster = await ColdCluster.make(3);
  await cluster.put(large);
  const [owner, , third] = cluster.ranked(large.digest) as [TestOrigin, TestOrigin, TestOrigin];
  for (let hops = 0; hops < hopsMax; hops++) await third.answer(inRepo(large), { hops });
  expect(third.cold.download(large.digest)).toBeUndefined();
  expect(owner.cold.download(large.digest)).toBeDefined();
  await third.answer(inRepo(large), { hops: hopsMax });
  expect(third.cold.download(large.digest)).toBeDefined();
});

test('an origin without that backend, or of before, has not asked it: its no does not count', async () => {
  await using cluster = await ColdCluster.make(2);
  await cluster.put(small);
  const [owner, second] = cluster.ranked(small.digest) as [TestOrigin, TestOrigin];
  owner.answer = async () => {
    throw new ApiError('BLOB_UNKNOWN', 'blob is not on this origin');
  };
  expect((await second.whole(inRepo(small))).meta).toEqual(small.meta);
});

test('a repository without a backend: nothing is asked', async () => {
  await using cluster = await ColdCluster.make();
  const { backends } = cluster;
  backends.of = () => undefined;
  expect(await first(cluster).cold.info({ blob: inRepo(small), hops: 0, cold: undefined }, true)).toBeUndefined();
  expect(cluster.main.calls).toEqual([]);
});

test('an object that is larger than a blob can be is told as such, whatever is asked', async () => {
  await using cluster = await ColdCluster.make();
  const origin = first(cluster);
  cluster.main.stat = async () => ({ size: 2 ** 52, version: '1' });
  const damaged = { code: 'UNAVAILABLE', message: expect.stringMatching(/main: .*more than a blob may have/) };
  await expect(origin.answer(inRepo(large), { hops: 0, cold: 'stat' })).rejects.toMatchObject(damaged);
  await expect(origin.answer(inRepo(small), { hops: 0 })).rejects.toMatchObject(damaged);
});
