import { randomBytes, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { backendConformance } from '../conformance.fixtures.ts';
import { bytesOf, sourceOf } from '../objects.fixtures.ts';
import { FakeS3 } from './fake.fixtures.ts';

const never = new AbortController().signal;
const partBytes = 50_000;
const mebibyte = 2 ** 20;

describe('as any backend', () => {
  let fake: FakeS3;
  beforeAll(async () => {
    fake = await FakeS3.start();
  });
  afterAll(() => fake[Symbol.asyncDispose]());
  let prefix = '';
  const make = async () => {
    prefix = `in/${randomUUID()}`;
    return fake.backend({ prefix });
  };
  const shared = async () => {
    fake.asked.length = 0;
    return fake.backend({ prefix, shared: true });
  };
  backendConformance(make, { shared, loads: true });
});

test('a prefix is before every key there, and not here', async () => {
  await using fake = await FakeS3.start();
  await using backend = fake.backend({ prefix: 'team/a/' });
  await backend.put('x/y', Buffer.from('1'), never);
  expect([...fake.objects.keys()]).toEqual(['team/a/x/y']);
  expect(await backend.list('x', { max: 10 }, never)).toEqual({ objects: [{ key: 'x/y', size: 1 }], next: undefined });
});

test('a large range is read by several requests of one version, in order', async () => {
  await using fake = await FakeS3.start();
  await using backend = fake.backend({ parts: { size: partBytes, parallel: 3 } });
  const bytes = randomBytes(230_000);
  await backend.write('large', sourceOf(bytes), never);
  const seen: string[] = [];
  fake.fault = ({ method, headers }) =>
    void (method === 'GET' && seen.push(`${headers['range']} ${headers['if-match']}`));
  expect((await bytesOf(backend.read('large', { start: 3, end: bytes.length }, never))).equals(bytes.subarray(3))).toBe(
    true,
  );
  expect(seen).toHaveLength(5);
  const version = fake.objects.get('large')?.etag;
  expect(seen[0]).toBe(`bytes=3-${partBytes + 2} undefined`);
  expect(seen.slice(1).every((one) => one.endsWith(` ${version}`))).toBe(true);
});

test('a reader who leaves early, or is told to end, ends its requests and their connections', async () => {
  await using fake = await FakeS3.start();
  await using backend = fake.backend({ parts: { size: partBytes, parallel: 3 } }, 60_000);
  await backend.write('large', sourceOf(randomBytes(230_000)), never);
  let hanging = 0;
  fake.fault = ({ headers }) => {
    if (headers['range']?.startsWith('bytes=0-') === true) return undefined;
    hanging++;
    return 'hang';
  };
  for await (const _ of backend.read('large', { start: 0, end: 230_000 }, never)) {
    await expect.poll(() => hanging).toBe(2);
    expect(fake.sockets.size).toBeGreaterThanOrEqual(3);
    break;
  }
  await expect.poll(() => fake.sockets.size).toBeLessThanOrEqual(1);
  const ending = new AbortController();
  const looking = backend.stat('large', ending.signal);
  const reading = bytesOf(backend.read('large', { start: 1, end: 9 }, ending.signal));
  await expect.poll(() => hanging).toBe(4);
  ending.abort(new Error('no more'));
  await expect(looking).rejects.toThrow('no more');
  await expect(reading).rejects.toThrow('no more');
  await expect.poll(() => fake.sockets.size).toBe(0);
});

test('a part whose connection breaks is gone on with, and no other is read again', async () => {
  await using fake = await FakeS3.start();
  await using backend = fake.backend({ parts: { size: partBytes, parallel: 3 } });
  const bytes = randomBytes(230_000);
  await backend.write('large', sourceOf(bytes), never);
  const ranges: string[] = [];
  fake.fault = ({ method, headers }) => {
    if (method !== 'GET') return undefined;
    ranges.push(headers['range'] ?? '');
    return ranges.at(-1) === 'bytes=50000-99999' ? { cut: 20_000 } : undefined;
  };
  expect((await bytesOf(backend.read('large', { start: 0, end: bytes.length }, never))).equals(bytes)).toBe(true);
  expect(ranges.length).toBe(6);
  expect(ranges.filter((range) => /^bytes=[5-9]\d{4}-99999$/.test(range))).toHaveLength(2);
  fake.fault = ({ method }) => (method === 'GET' ? { cut: 1_000 } : undefined);
  const cut = bytesOf(backend.read('large', { start: 0, end: bytes.length }, never));
  await expect(cut).rejects.toMatchObject({ why: 'unavailable' });
});

test('a part that the server has no time for is asked for again by itself, and no other is read twice', async () => {
  await using fake = await FakeS3.start();
  await using backend = fake.backend({ parts: { size: partBytes, parallel: 3 } });
  const bytes = randomBytes(230_000);
  await backend.write('large', sourceOf(bytes), never);
  const ranges: string[] = [];
  fake.fault = ({ method, headers }) => {
    if (method !== 'GET') return undefined;
    ranges.push(headers['range'] ?? '');
    const first = ranges.filter((range) => range === 'bytes=50000-99999').length === 1;
    return first && ranges.at(-1) === 'bytes=50000-99999' ? { status: 503, code: 'SlowDown' } : undefined;
  };
  expect((await bytesOf(backend.read('large', { start: 0, end: bytes.length }, never))).equals(bytes)).toBe(true);
  expect(ranges.toSorted()).toEqual([...new Set(ranges), 'bytes=50000-99999'].toSorted());
  // One that goes on throttling is left to whoever makes all requests wait.
  fake.fault = ({ method }) => (method === 'GET' ? { status: 503, code: 'SlowDown' } : undefined);
  const refused = bytesOf(backend.read('large', { start: 0, end: bytes.length }, never));
  await expect(refused).rejects.toMatchObject({ why: 'throttled' });
});

test('the last parts of a read are smaller, so that all of it is there soon after its last byte has come', async () => {
  await using fake = await FakeS3.start();
  await using backend = fake.backend({ parts: { size: 8 * mebibyte, parallel: 4 } });
  const bytes = Buffer.alloc(40 * mebibyte, 7);
  await backend.write('large', sourceOf(bytes), never);
  const sizes: number[] = [];
  fake.fault = ({ method, headers }) => {
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(headers['range'] ?? '') ?? [];
    if (method === 'GET') sizes.push((Number(to) - Number(from) + 1) / mebibyte);
    return undefined;
  };
  expect((await bytesOf(backend.read('large', { start: 0, end: bytes.length }, never))).equals(bytes)).toBe(true);
  expect(sizes.slice(0, 2)).toEqual([8, 8]);
  expect(sizes.slice(-3).every((size) => size <= 2)).toBe(true);
  expect(sizes.length).toBeLessThan(16);
});

test('an object that is written anew while it is read is not mixed', async () => {
  await using fake = await FakeS3.start();
  await using backend = fake.backend({ parts: { size: partBytes, parallel: 1 } });
  await backend.write('large', sourceOf(randomBytes(120_000)), never);
  const reading = async () => {
    for await (const _ of backend.read('large', { start: 0, end: 120_000 }, never)) {
      const large = fake.objects.get('large');
      if (large !== undefined) fake.objects.set('large', { ...large, etag: '"another"' });
    }
  };
  await expect(reading()).rejects.toMatchObject({ why: 'changed' });
});

test('an old server gets MD5, and what ignores conditions or lists in an order of its own is named', async () => {
  await using fake = await FakeS3.start();
  fake.old = true;
  await using backend = fake.backend({ parts: { size: partBytes, parallel: 4 } });
  const bytes = randomBytes(110_000);
  const seen: (string | undefined)[] = [];
  fake.fault = ({ method, query, headers }) => {
    if (query.has('partNumber'))
      seen.push(`${headers['content-md5'] !== undefined} ${headers['x-amz-checksum-crc32']}`);
    if (headers['if-none-match'] !== undefined) delete headers['if-none-match'];
    return method === 'GET' && query.has('list-type')
      ? {
          status: 200,
          body: '<ListBucketResult><Contents><Key>b</Key></Contents><Contents><Key>a</Key></Contents></ListBucketResult>',
        }
      : undefined;
  };
  await backend.write('large', sourceOf(bytes), never);
  expect(fake.objects.get('large')?.bytes.equals(bytes)).toBe(true);
  expect(seen).toEqual(['true undefined', 'true undefined', 'true undefined']);
  expect(backend.can).toMatchObject({ conditions: false, list: false });
  await expect(backend.put('x', bytes.subarray(0, 9), never, { version: null })).rejects.toMatchObject({
    why: 'unsupported',
  });
  await expect(backend.list('', { max: 9 }, never)).rejects.toThrow(/out of order, a after b/);
});
