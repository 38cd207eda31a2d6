/** What is acknowledged is written back, whatever the backend does and whenever the index dies. */

import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { prng } from '../../core/prng.ts';
import { FaultyBackend } from '../../platform/backends/faulty.fixtures.ts';
import { registryLayout } from '../../platform/backends/layout.ts';
import { MemoryBackend } from '../../platform/backends/memory.ts';
import { openSqliteTags } from '../../platform/tags/sqlite/sqlite.ts';
import {
  depth,
  digestOfBytes,
  image,
  imageIndex,
  inBucket,
  push,
  site,
  temporary,
  writeBlobs,
} from './testing.fixtures.ts';

let stack = new AsyncDisposableStack();
afterEach(async () => {
  await stack.disposeAsync();
  stack = new AsyncDisposableStack();
});

const never = new AbortController().signal;
const bucket = (): FaultyBackend => stack.use(new FaultyBackend(new MemoryBackend('main')));
const soon = { timeout: 20_000 };
const [one, two] = [image('one'), image('two')];

async function keys(backend: FaultyBackend, under = ''): Promise<string[]> {
  const [start = ''] = registryLayout.links.under();
  const { objects } = await backend.list(start, { max: 1000 }, never);
  return objects.map(({ key }) => key.slice(start.length)).filter((key) => key.includes(under));
}

test('a push is in the bucket as a registry has it: layers, revision, tag; a deleted tag is told apart', async () => {
  const backend = bucket();
  const a = await site(stack, backend);
  await writeBlobs(backend, one);
  await push(a.answering, 'a/b', one, ['1', 'latest']);
  await expect.poll(() => depth(a), soon).toBe(0);
  const hex = (bytes: Uint8Array): string => digestOfBytes(bytes).replace(':', '/');
  expect(await keys(backend)).toEqual(
    [
      ...one.blobs.map((blob) => `a/b/_layers/${hex(blob)}/link`),
      `a/b/_manifests/revisions/${hex(one.bytes)}/link`,
      ...['1', 'latest'].map((tag) => `a/b/_manifests/tags/${tag}/current/link`),
      ...['1', 'latest'].map((tag) => `a/b/_shoal/current/${tag}`),
      `a/b/_shoal/manifests/${hex(one.bytes)}`,
    ].sort(),
  );
  const { version } = await a.store.tagState('a/b', '1');
  expect(await inBucket(backend, 'a/b', '1')).toEqual({ link: one.digest, record: { version, digest: one.digest } });
  await a.answering.deleteTag('a/b', '1');
  await expect.poll(() => depth(a), soon).toBe(0);
  const gone = (await a.store.tagState('a/b', '1')).version;
  expect((await inBucket(backend, 'a/b', '1')).record).toEqual({ version: gone, deleted: true });
});

test('nothing is named before it is there: a link waits for its blob, a manifest for all of it, a tag for its manifest', async () => {
  const backend = bucket();
  const a = await site(stack, backend);
  const both = imageIndex([one, two]);
  for (const of of [one, two]) await push(a.answering, 'a', of);
  await push(a.answering, 'a', both, ['all']);
  await expect.poll(async () => (await a.store.outbox()).map(({ cause }) => cause), soon).toEqual(['waiting']);
  expect(await keys(backend)).toEqual([]);
  await writeBlobs(backend, one);
  await writeBlobs(backend, both);
  await expect.poll(() => keys(backend, '_manifests/revisions'), soon).toHaveLength(1);
  expect(await keys(backend, 'tags')).toEqual([]);
  await writeBlobs(backend, two);
  await expect.poll(() => depth(a), soon).toBe(0);
  expect(await keys(backend, '_manifests/revisions')).toHaveLength(3);
  expect((await inBucket(backend, 'a', 'all')).link).toBe(both.digest);
});

test('of many writes of one tag the newest is written, once, when a backend is back', async () => {
  const backend = bucket();
  const a = await site(stack, backend);
  for (const of of [one, two]) await writeBlobs(backend, of);
  backend.fail({ on: 'any', what: 'unavailable', times: Number.POSITIVE_INFINITY });
  for (const of of [one, two]) await push(a.answering, 'a', of);
  for (let i = 0; i < 20; i++) await a.answering.putTag('a', 'x', { digest: i % 2 === 0 ? one.digest : two.digest });
  expect((await a.answering.tag('a', 'x'))?.digest).toBe(two.digest);
  await expect.poll(async () => (await a.store.outbox()).some(({ cause }) => cause === 'unavailable'), soon).toBe(true);
  expect(await a.metrics.text()).toMatch(/shoal_write_back_failures_total\{backend="main",cause="unavailable"\} [1-9]/);
  backend.heal();
  await expect.poll(() => depth(a), soon).toBe(0);
  expect((await inBucket(backend, 'a', 'x')).link).toBe(two.digest);
  expect(
    backend.calls.filter(({ operation, key }) => operation === 'put' && key.endsWith('_shoal/current/x')),
  ).toHaveLength(1);
  await expect.poll(() => a.metrics.text(), soon).toMatch(/shoal_write_back_waiting\{backend="main"\} 0/);
});

test.each(['unavailable', 'denied', 'credentials', 'throttled', 'hang', 'full', 'refused'] as const)(
  'a backend that is %s holds up no push, and no read of what is here',
  async (what) => {
    const backend = bucket();
    const a = await site(stack, backend);
    backend.fail({ on: 'any', what, times: Number.POSITIVE_INFINITY });
    const begun = performance.now();
    await push(a.answering, 'a', one, ['1']);
    expect((await a.answering.tag('a', '1'))?.digest).toBe(one.digest);
    await a.answering.deleteTag('a', '1');
    expect(await a.answering.tag('a', '1')).toBeUndefined();
    // Nothing waited for it: it never ends.
    expect(performance.now() - begun).toBeLessThan(8_000);
    expect(await depth(a)).toBe(4);
  },
);

test('what an index held before it had a backend is written back as well, once', async () => {
  const backend = bucket();
  const dir = await temporary(stack);
  const file = join(dir, 'tags.db');
  const onBroken = (error: Error): never => {
    throw error;
  };
  const before = openSqliteTags({ file, onBroken });
  await push(before, 'a', one, ['old']);
  await before[Symbol.asyncDispose]();
  await writeBlobs(backend, one);
  const a = await site(stack, backend, { dir });
  await expect.poll(() => depth(a), soon).toBe(0);
  const { version } = await a.store.tagState('a', 'old');
  expect(await inBucket(backend, 'a', 'old')).toEqual({ link: one.digest, record: { version, digest: one.digest } });
  const b = await site(stack, backend);
  expect(await b.answering.tag('a', 'old')).toMatchObject({ digest: one.digest, version });
  const puts = backend.count('put');
  await (await a.restart()).stop();
  expect(backend.count('put')).toBe(puts);
});

test('killed with a write-back at each of its steps, none of what was acknowledged is lost', async () => {
  const backend = bucket();
  for (const of of [one, two]) await writeBlobs(backend, of);
  let a = await site(stack, backend);
  await push(a.answering, 'a', two);
  for (let step = 1; step <= 12; step++) {
    const tag = `t${step}`;
    // The process ends while the call of that number hangs: it is done, or not, and nobody was told.
    backend.fail(...Array.from({ length: step }, () => ({ on: 'any', what: 'applied' }) as const), {
      on: 'any',
      what: 'hang',
      times: Number.POSITIVE_INFINITY,
    });
    await push(a.answering, 'a', one, [tag]);
    await a.answering.putTag('a', 'moves', { digest: step % 2 === 0 ? one.digest : two.digest });
    a = await a.restart();
    backend.heal();
    await expect.poll(() => depth(a), soon).toBe(0);
    expect((await inBucket(backend, 'a', tag)).link).toBe(one.digest);
    expect((await inBucket(backend, 'a', 'moves')).link).toBe(step % 2 === 0 ? one.digest : two.digest);
  }
});

test('durability backend: acknowledged once the bucket has it; else 503, and it is there later', async () => {
  const backend = bucket();
  const a = await site(stack, backend, { durability: 'backend' });
  await writeBlobs(backend, one);
  await push(a.answering, 'a', one, ['1']);
  expect((await inBucket(backend, 'a', '1')).link).toBe(one.digest);
  expect(await depth(a)).toBe(0);
  backend.fail({ on: 'put', what: 'hang', times: 1 });
  const late = a.answering.putTag('a', '2', { digest: one.digest });
  let settled = false;
  void late.finally(() => {
    settled = true;
  });
  await expect.poll(() => backend.count('put', 'current/2'), soon).toBe(1);
  expect(settled).toBe(false);
  backend.heal();
  await late;
  expect((await inBucket(backend, 'a', '2')).link).toBe(one.digest);
});

test('whatever fails by chance, all is written in the end, and the links say what the records say', async () => {
  const seed = 7;
  const backend = bucket();
  const a = await site(stack, backend);
  for (const of of [one, two]) await writeBlobs(backend, of);
  const random = prng(seed);
  for (const of of [one, two]) await push(a.answering, 'a', of);
  backend.sometimes(prng(seed), 0.3);
  for (let i = 0; i < 60; i++) {
    const tag = `t${random.below(5)}`;
    if (random.below(4) === 0) await a.answering.deleteTag('a', tag);
    else await a.answering.putTag('a', tag, { digest: random.below(2) === 0 ? one.digest : two.digest });
  }
  await new Promise((resolve) => setTimeout(resolve, 500));
  backend.heal();
  await expect.poll(() => depth(a), soon).toBe(0);
  for (let no = 0; no < 5; no++) {
    const { digest, version } = await a.store.tagState('a', `t${no}`);
    const { link, record } = await inBucket(backend, 'a', `t${no}`);
    if (version !== null) expect(record?.version).toBe(version);
    if (digest !== undefined) expect([link, record?.digest]).toEqual([digest, digest]);
  }
});
