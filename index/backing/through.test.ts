/** Two clusters on one bucket: what is pushed in one is pulled in the other, and neither is ever wrong about its own. */

import { afterEach, expect, test } from 'vitest';
import type { TagVersion } from '../../core/contracts/index-api.ts';
import { FaultyBackend } from '../../platform/backends/faulty.fixtures.ts';
import { registryLayout } from '../../platform/backends/layout.ts';
import { MemoryBackend } from '../../platform/backends/memory.ts';
import { sourceOf } from '../../platform/backends/objects.fixtures.ts';
import { linkBytes, recordBytes } from './records.ts';
import {
  depth,
  digestOfBytes,
  type Image,
  image,
  imageIndex,
  inBucket,
  push,
  type Site,
  site,
  writeBlobs,
} from './testing.fixtures.ts';
import { backendPatienceMs, freshMs } from './through.ts';

let stack = new AsyncDisposableStack();
afterEach(async () => {
  await stack.disposeAsync();
  stack = new AsyncDisposableStack();
});

const never = new AbortController().signal;
const bucket = (): FaultyBackend => stack.use(new FaultyBackend(new MemoryBackend('main')));
const soon = { timeout: 20_000 };
const [one, two] = [image('one'), image('two')];
const { links, blobKey } = registryLayout;

async function pushed(backend: FaultyBackend, to: Site, of: Image, tags: readonly string[] = []): Promise<void> {
  await writeBlobs(backend, of);
  await push(to.answering, 'a', of, tags);
  await expect.poll(() => depth(to), soon).toBe(0);
}

async function timed<T>(act: () => Promise<T>): Promise<{ ms: number; outcome: T | { error: unknown } }> {
  const begun = performance.now();
  const outcome = await act().catch((error: unknown) => ({ error }));
  return { ms: performance.now() - begun, outcome };
}

test('what one cluster pushes the other one has, by tag and by digest, with all that it refers to', async () => {
  const backend = bucket();
  const [a, b] = [await site(stack, backend), await site(stack, backend)];
  await pushed(backend, a, one);
  await pushed(backend, a, two);
  await pushed(backend, a, imageIndex([one, two]), ['all']);
  const tag = await b.answering.tag('a', 'all');
  expect(tag).toEqual(await a.answering.tag('a', 'all'));
  expect(await b.answering.manifest('a', one.digest)).toEqual(await a.answering.manifest('a', one.digest));
  for (const blob of one.blobs)
    expect(await b.answering.blob('a', digestOfBytes(blob))).toEqual({
      digest: digestOfBytes(blob),
      size: blob.length,
    });
  expect(await b.answering.tag('a', 'none')).toBeUndefined();
  expect(await b.answering.manifest('a', digestOfBytes(Buffer.from('x')))).toBeUndefined();
  // What came from the bucket is not written to it.
  expect(await depth(b)).toBe(0);
});

test('a tag that moved elsewhere, or was deleted there, is so here once it is not fresh any more', async () => {
  const backend = bucket();
  const [a, b] = [await site(stack, backend), await site(stack, backend)];
  await pushed(backend, a, one, ['x']);
  expect((await b.answering.tag('a', 'x'))?.digest).toBe(one.digest);
  await pushed(backend, b, two, ['x']);
  // Its own is seen at once, the other's soon.
  expect((await b.answering.tag('a', 'x'))?.digest).toBe(two.digest);
  await expect.poll(async () => (await a.answering.tag('a', 'x'))?.digest, soon).toBe(two.digest);
  await a.answering.deleteTag('a', 'x');
  expect(await a.answering.tag('a', 'x')).toBeUndefined();
  await expect.poll(() => b.answering.tag('a', 'x'), soon).toBeUndefined();
  expect(freshMs).toBeLessThan(10_000);
});

test('many who read one tag ask the bucket once; a no is remembered for a moment, and not beyond', async () => {
  const backend = bucket();
  const [a, b] = [await site(stack, backend), await site(stack, backend)];
  await Promise.all(Array.from({ length: 50 }, () => b.answering.tag('a', 'x')));
  await b.answering.tag('a', 'x');
  expect(backend.count('stat', '_shoal/current/x')).toBe(1);
  await pushed(backend, a, one, ['x']);
  await expect.poll(async () => (await b.answering.tag('a', 'x'))?.digest, soon).toBe(one.digest);
  // One's own write is never hidden by it.
  expect(await b.answering.tag('a', 'y')).toBeUndefined();
  await b.answering.putTag('a', 'y', { digest: one.digest });
  expect((await b.answering.tag('a', 'y'))?.digest).toBe(one.digest);
});

test('a bucket that hangs costs one caller its patience, and is 503 for what only it can know; what is here is answered', async () => {
  const backend = bucket();
  const [a, b] = [await site(stack, backend), await site(stack, backend)];
  await pushed(backend, a, one, ['x']);
  expect((await b.answering.tag('a', 'x'))?.digest).toBe(one.digest);
  await new Promise((resolve) => setTimeout(resolve, freshMs));
  backend.fail({ on: 'any', what: 'hang', times: Number.POSITIVE_INFINITY });
  const unavailable = { error: expect.objectContaining({ code: 'UNAVAILABLE' }) };
  const first = await timed(() => b.answering.tag('a', 'y'));
  expect(first.outcome).toEqual(unavailable);
  expect((first.outcome as { error: Error }).error.message).toContain(
    'tag y of repository a exists is for backend main',
  );
  expect(first.ms).toBeGreaterThan(backendPatienceMs - 50);
  expect(first.ms).toBeLessThan(6_000);
  for (const act of [() => b.answering.tag('a', 'y'), () => b.answering.manifest('a', two.digest)]) {
    const next = await timed(act);
    expect(next.outcome).toEqual(unavailable);
    expect(next.ms).toBeLessThan(backendPatienceMs);
  }
  expect(await b.answering.tag('a', 'x')).toMatchObject({ digest: one.digest });
  backend.heal();
  await expect.poll(() => timed(() => b.answering.tag('a', 'y')), soon).toMatchObject({ outcome: undefined });
});

test('a tag that leads nowhere is 404 and says why; wrong bytes, and what is asked for by digest, may be had the next time', async () => {
  const backend = bucket();
  const [a, b] = [await site(stack, backend), await site(stack, backend)];
  await pushed(backend, a, one, ['x', 'y']);
  await backend.remove(blobKey(one.digest), never);
  await expect(b.answering.tag('a', 'x')).rejects.toMatchObject({
    code: 'MANIFEST_UNKNOWN',
    message: expect.stringContaining(`main: ${blobKey(one.digest)} is not there`),
    detail: { broken: true },
  });
  await expect(b.answering.manifest('a', one.digest)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  await backend.write(blobKey(one.digest), sourceOf(Buffer.from('other')), never);
  await expect(b.answering.tag('a', 'y')).rejects.toMatchObject({
    code: 'UNAVAILABLE',
    message: expect.stringContaining('has other bytes than its digest says'),
  });
  await expect(b.answering.manifest('a', one.digest)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  expect(await b.store.manifest('a', one.digest)).toBeUndefined();
  await writeBlobs(backend, one);
  expect((await b.answering.tag('a', 'x'))?.digest).toBe(one.digest);
});

test('a link that is read wrong once is read again before its tag is said to lead nowhere', async () => {
  const backend = bucket();
  const a = await site(stack, backend);
  await writeBlobs(backend, one);
  const key = registryLayout.links.linkKey({ repo: 'a', kind: 'tag', name: 'x' });
  await backend.put(key, Buffer.from(one.digest), never);
  backend.fail({ on: 'read', what: 'foreign', key });
  expect((await a.answering.tag('a', 'x'))?.digest).toBe(one.digest);
  await backend.put(
    registryLayout.links.linkKey({ repo: 'a', kind: 'tag', name: 'y' }),
    Buffer.from('no digest'),
    never,
  );
  await expect(a.answering.tag('a', 'y')).rejects.toMatchObject({ code: 'MANIFEST_UNKNOWN', detail: { broken: true } });
});

test('of two writes of a tag the later one is in the bucket, and in both clusters, whichever is written back first', async () => {
  for (const first of ['a', 'b'] as const) {
    const backend = bucket();
    const sites = { a: await site(stack, backend), b: await site(stack, backend) };
    for (const of of [one, two]) for (const to of Object.values(sites)) await pushed(backend, to, of);
    const last = first === 'a' ? 'b' : 'a';
    // Nothing is written back while both write.
    backend.fail({ on: 'any', what: 'hang', times: Number.POSITIVE_INFINITY });
    await sites.a.answering.putTag('a', 'x', { digest: one.digest });
    await new Promise((resolve) => setTimeout(resolve, 5));
    await sites.b.answering.putTag('a', 'x', { digest: two.digest });
    expect((await sites.a.answering.tag('a', 'x'))?.digest).toBe(one.digest);
    sites[last] = await sites[last].restart();
    await sites[last].stop();
    backend.heal();
    await expect.poll(() => depth(sites[first]), soon).toBe(0);
    sites[last] = await sites[last].restart();
    await expect.poll(() => depth(sites[last]), soon).toBe(0);
    expect((await inBucket(backend, 'a', 'x')).link).toBe(two.digest);
    for (const of of Object.values(sites))
      await expect.poll(async () => (await of.answering.tag('a', 'x'))?.digest, soon).toBe(two.digest);
  }
});

test('many writers of few tags in two clusters: both end with what the bucket says, and so does its link', async () => {
  const backend = bucket();
  const sites = [
    await site(stack, backend),
    await site(stack, backend, { durability: 'backend', nowMs: () => Date.now() - 60_000 }),
  ];
  for (const of of [one, two]) for (const to of sites) await pushed(backend, to, of);
  await Promise.all(
    Array.from({ length: 80 }, async (_, i) => {
      const to = sites[i % 2] as Site;
      await to.answering.putTag('a', `t${i % 3}`, { digest: i % 4 < 2 ? one.digest : two.digest });
    }),
  );
  for (const of of sites) await expect.poll(() => depth(of), soon).toBe(0);
  for (let no = 0; no < 3; no++) {
    const { link, record } = await inBucket(backend, 'a', `t${no}`);
    expect(link).toBe(record?.digest);
    for (const of of sites)
      await expect.poll(() => of.answering.tag('a', `t${no}`), soon).toMatchObject({ version: record?.version });
  }
});

test('with durability backend an acknowledged write is the last one, though its clock is behind', async () => {
  const backend = bucket();
  const a = await site(stack, backend);
  const b = await site(stack, backend, { durability: 'backend', nowMs: () => Date.now() - 3_600_000 });
  for (const of of [one, two]) for (const to of [a, b]) await pushed(backend, to, of);
  await a.answering.putTag('a', 'x', { digest: one.digest });
  await expect.poll(() => depth(a), soon).toBe(0);
  await b.answering.putTag('a', 'x', { digest: two.digest });
  expect((await inBucket(backend, 'a', 'x')).link).toBe(two.digest);
  expect((await b.answering.tag('a', 'x'))?.digest).toBe(two.digest);
  await expect.poll(async () => (await a.answering.tag('a', 'x'))?.digest, soon).toBe(two.digest);
});

test('a bucket that a registry wrote is read; a tag there counts until anybody writes it here', async () => {
  const backend = bucket();
  const a = await site(stack, backend);
  for (const of of [one, two]) {
    await writeBlobs(backend, of);
    await backend.put(links.linkKey({ repo: 'a', kind: 'manifest', name: of.digest }), linkBytes(of.digest), never);
  }
  const key = links.linkKey({ repo: 'a', kind: 'tag', name: 'x' });
  await backend.put(key, linkBytes(one.digest), never);
  expect(await a.answering.tag('a', 'x')).toMatchObject({ digest: one.digest, size: one.bytes.length });
  await backend.put(key, linkBytes(two.digest), never);
  await expect.poll(async () => (await a.answering.tag('a', 'x'))?.digest, soon).toBe(two.digest);
  await a.answering.putTag('a', 'x', { digest: one.digest });
  await expect.poll(() => depth(a), soon).toBe(0);
  expect((await inBucket(backend, 'a', 'x')).link).toBe(one.digest);
});

test.each([
  ['no JSON', Buffer.from('{')],
  ['nothing', Buffer.from('')],
  [
    'a version beyond any clock',
    recordBytes({ version: `9999999999999999-${'e'.repeat(32)}` as TagVersion, deleted: true }),
  ],
  ['too large', Buffer.alloc(5_000, 0x20)],
])('a record that is %s is believed in nothing, and gives way to the next write', async (_what, bytes) => {
  const backend = bucket();
  const a = await site(stack, backend);
  await pushed(backend, a, one, ['x']);
  const key = links.recordKey({ repo: 'a', kind: 'tag', name: 'x' });
  await backend.put(key, bytes, never);
  const b = await site(stack, backend);
  expect((await b.answering.tag('a', 'x'))?.digest).toBe(one.digest);
  await b.answering.putTag('a', 'x', { digest: one.digest });
  await expect.poll(() => depth(b), soon).toBe(0);
  expect((await inBucket(backend, 'a', 'x')).record).toMatchObject({ digest: one.digest });
});
