/** A bucket in which somebody else has written: what is junk there is named, believed in nothing, and in nobody's way. */

import { expect, test } from 'vitest';
import type { Digest } from '../../../core/digest.ts';
import { conditionalObjects } from '../../backends/conditional.ts';
import { MemoryBackend } from '../../backends/memory.ts';
import { realClock } from '../../net/clock.ts';
import { bodyBytes } from './cells/body.ts';
import { blobAt, doingAt, gateAt, linksOf, recordAt, tagCellAt } from './layout.ts';
import { BucketTagStore } from './store.ts';

const never = new AbortController().signal;
const digest = (no: number): Digest => `sha256:${no.toString(16).padStart(64, '0')}` as Digest;
const [one, two, junk] = [digest(1), digest(2), digest(3)] as const;
const image = (more: object = {}) => ({ mediaType: 'm/x', size: 5, tags: [], blobs: [], manifests: [], ...more });
const condemnAt = { nowMs: 3_600_000, unlinkedMs: 0 };
const named = /is no object of an index/;
const database = 'a'.repeat(32);

async function setUp() {
  const objects = conditionalObjects(new MemoryBackend('bucket'));
  const store = new BucketTagStore({ objects, prefix: 'x/', time: realClock, close: async () => undefined });
  await store.start();
  await store.putManifest('a', one, image({ tags: ['good'] }), 0);
  const put = async (key: string, bytes: Uint8Array): Promise<void> => {
    const version = (await objects.load(`x/${key}`, never))?.version ?? null;
    await objects.put(`x/${key}`, bytes, never, { version });
  };
  const cell = (key: string, value: unknown): Promise<void> =>
    put(key, bodyBytes({ live: true, value, by: 'somebody', past: [] }));
  return { store, put, cell };
}

const on = { digest: one, mediaType: 'm/x', size: 5, made: 'x' };
const values = [
  ...[5, 'x', [], {}, { version: 5, on }, { version: `junk-${database}`, on }, { version: `1e999-${database}`, on }],
  ...[
    { version: `9007199254740991-${database}`, on },
    { version: `5-${database}`, on: { ...on, digest: 'x' } },
  ],
];

test.each(values)(
  'a cell that says %j is no tag, record, blob or gate, and no other tag is written as it says',
  async (value) => {
    const { store, cell } = await setUp();
    for (const key of [tagCellAt('a', 'bad'), recordAt('a', junk), blobAt(two, 0, 'a'), gateAt(junk)])
      await cell(key, value);
    await expect(store.tag('a', 'bad')).rejects.toThrow(named);
    await expect(store.putTag('a', 'bad', { digest: one })).rejects.toThrow(named);
    await expect(store.manifest('a', junk)).rejects.toThrow(named);
    await expect(store.deleteManifest('a', junk, 0)).rejects.toThrow(named);
    await expect(store.blob('a', two)).rejects.toThrow(named);
    await expect(store.linkBlob('a', junk, { size: 5 })).rejects.toThrow(named);
    const versions = [
      await store.putTag('a', 'good', { digest: one }),
      await store.putTag('a', 'good', { digest: one }),
    ];
    expect(versions.map((of) => /^\d+/.exec(String(of && 'version' in of && of.version))?.[0])).toEqual(['2', '3']);
  },
);

test('a tag whose number no clock says goes on from it, and no other does', async () => {
  const { store, cell } = await setUp();
  await cell(tagCellAt('a', 'far'), { version: `${2 ** 52 - 9}-${database}`, on });
  const numbers: number[] = [];
  for (const tag of ['far', 'good', 'far', 'good'])
    numbers.push(Number.parseInt(String(Object.values((await store.putTag('a', tag, { digest: one })) ?? {})[0]), 10));
  expect(numbers).toEqual([2 ** 52 - 8, 2, 2 ** 52 - 7, 3]);
});

test('notes of removals that are none keep no other removal from being ended', async () => {
  const { store, put, cell } = await setUp();
  await put('doing/0', Buffer.from('x'));
  await cell('doing/1', { repo: 5 });
  await cell(doingAt('2'), { repo: 'a', digest: two, was: { ...image(), made: 'x' }, nowMs: 0 });
  expect(await store.deleteManifest('a', two, 0)).toBe(true);
  expect(await store.deleteManifest('a', two, 0)).toBe(false);
  await expect(store.mend()).rejects.toThrow(named);
});

test('a gate, and a record, that are none keep their bytes, and no others', async () => {
  const { store, put, cell } = await setUp();
  await cell(gateAt(junk), 'x');
  await put(`${linksOf(digest(4), 0)}l/a!/${two.replace(':', '-')}/by`, Buffer.from('1'));
  await cell(recordAt('a', two), 5);
  expect((await store.condemn([junk, digest(4), digest(5)], condemnAt)).condemned).toEqual([digest(5)]);
  expect((await store.unlinked([junk, digest(4), digest(5)])).unlinked).toEqual([digest(5)]);
});

test('keys that are of no name are in no list', async () => {
  const { store, put } = await setUp();
  const ours = `links/${one.replace(':', '-')}/0`;
  for (const key of [
    'names/UPPER CASE!',
    'names/zz',
    'names/!',
    'repos/a!/t/junk',
    'repos/a!/t/Q!z',
    `${ours}/m/X!/by`,
  ])
    await put(key, Buffer.from('1'));
  for (const name of ['names/b!', 'repos/b!/m/x']) await put(name, Buffer.from('1'));
  expect(await store.catalog({ n: 9, last: undefined })).toEqual({ repositories: ['a', 'b'], more: false });
  expect(await store.tags('a', { n: 9, last: undefined })).toEqual({ tags: ['good'], more: false });
  expect(await store.holders(one, { n: 9, last: undefined })).toEqual({ repositories: ['a'], more: false });
});

test('a list that begins again where it was ends', async () => {
  const objects = conditionalObjects(new MemoryBackend('bucket'));
  const list: typeof objects.list = async (prefix, page, signal) => ({
    ...(await objects.list(prefix, { ...page, after: undefined }, signal)),
    ...(prefix === 'x/names/' && { next: 'x/names/a!' }),
  });
  const store = new BucketTagStore({
    objects: { ...objects, list },
    prefix: 'x/',
    time: realClock,
    close: async () => undefined,
  });
  await store.start();
  await expect(store.catalog({ n: 9, last: undefined })).rejects.toThrow(/comes again/);
});
