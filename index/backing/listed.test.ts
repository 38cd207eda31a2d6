import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { type Digest, digestOf } from '../../core/digest.ts';
import type { Backend } from '../../platform/backends/backend.ts';
import { backedBy } from '../../platform/backends/backends.ts';
import { FaultyBackend } from '../../platform/backends/faulty.fixtures.ts';
import { registryLayout } from '../../platform/backends/layout.ts';
import { MemoryBackend } from '../../platform/backends/memory.ts';
import { ListedSizes } from './listed.ts';
import { BackedReader, type JustSeen } from './read.ts';
import { linkBytes } from './records.ts';
import { image, writeBlobs } from './testing.fixtures.ts';

const never = new AbortController().signal;
const { blobKey, links } = registryLayout;

function readerOf(backend: Backend, seen: JustSeen): BackedReader {
  return new BackedReader({ ...backedBy(backend, { durability: 'origins', required: false }), tags: backend }, seen);
}

function digestNo(no: number): Digest {
  return digestOf('sha256', createHash('sha256').update(`${no}`).digest('hex'));
}

test('as a map would have them, however many, and anew where one is listed anew', () => {
  const sizes = new ListedSizes(registryLayout);
  const many = 5_000;
  const page = (from: number, add: number) =>
    Array.from({ length: 500 }, (_, i) => ({ key: blobKey(digestNo(from + i)), size: from + i + add }));
  for (let from = 0; from < many; from += 500) sizes.listed(page(from, 2 ** 40));
  sizes.listed(page(1_000, 0));
  const read = Array.from({ length: many + 100 }, (_, no) => sizes.ofBlob(digestNo(no)));
  const changed = (no: number): boolean => no >= 1_000 && no < 1_500;
  const expected = read.map((_, no) => (no >= many ? undefined : changed(no) ? no : no + 2 ** 40));
  expect(read).toEqual(expected);
});

test('digests that begin alike, or with nothing but zeros, are not taken for one another', () => {
  const sizes = new ListedSizes(registryLayout);
  const hexes = ['0'.repeat(64), `${'0'.repeat(7)}1${'0'.repeat(56)}`, `${'0'.repeat(15)}2${'0'.repeat(48)}`];
  const digests = hexes.map((hex) => digestOf('sha256', hex));
  sizes.listed(digests.map((digest, i) => ({ key: blobKey(digest), size: i })));
  expect(digests.map((digest) => sizes.ofBlob(digest))).toEqual([0, 1, 2]);
});

test('of other keys the last page alone is known', () => {
  const sizes = new ListedSizes(registryLayout);
  sizes.listed([{ key: 'one', size: 1 }]);
  expect(sizes.ofKey('one')).toBe(1);
  sizes.listed([{ key: 'two', size: 2 }]);
  expect([sizes.ofKey('one'), sizes.ofKey('two')]).toEqual([undefined, 2]);
});

test.each([-1, 1])('a list that is not right any more, by %i byte, is not believed', async (off) => {
  const one = image('one');
  await using backend = new FaultyBackend(new MemoryBackend('main'));
  await writeBlobs(backend, one);
  const linkKey = links.linkKey({ repo: 'a', kind: 'tag', name: 'x' });
  await backend.put(linkKey, linkBytes(one.digest), never);
  const sizes = new ListedSizes(registryLayout);
  const { objects } = await backend.list('', { max: 9 }, never);
  sizes.listed(objects.map(({ key, size }) => ({ key, size: size + off })));
  const reader = readerOf(backend, { sizes });
  expect(await reader.tag('a', 'x', never)).toMatchObject({ kind: 'tag', digest: one.digest });
  const asked = { repo: 'a', digest: one.digest, named: 'tag' } as const;
  expect(await reader.manifest(asked, never)).toMatchObject({ kind: 'manifest', manifest: { size: one.bytes.length } });
  await backend.remove(blobKey(one.digest), never);
  expect(await reader.manifest(asked, never)).toMatchObject({ kind: 'broken' });
});

test('a read that fails is made again, as of what nobody has listed', async () => {
  const one = image('one');
  await using backend = new FaultyBackend(new MemoryBackend('main'));
  await writeBlobs(backend, one);
  const sizes = new ListedSizes(registryLayout);
  sizes.listed((await backend.list('', { max: 9 }, never)).objects);
  const reader = readerOf(backend, { sizes, unrecorded: new Set(['a']) });
  const asked = { repo: 'a', digest: one.digest, named: 'tag' } as const;
  backend.fail({ on: 'read', what: 'unavailable' });
  expect(await reader.manifest(asked, never)).toMatchObject({ kind: 'manifest' });
  expect([backend.count('read'), backend.count('stat')]).toEqual([2, 1]);
  backend.fail({ on: 'any', what: 'unavailable', times: 9 });
  await expect(reader.manifest(asked, never)).rejects.toMatchObject({ why: 'unavailable' });
});
