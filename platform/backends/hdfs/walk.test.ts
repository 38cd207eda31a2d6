import { afterEach, beforeEach, expect, test } from 'vitest';
import { realClock } from '../../net/clock.ts';
import { never } from '../objects.fixtures.ts';
import { FakeHdfs } from './fake.fixtures.ts';
import type { HdfsBackend } from './hdfs.ts';
import { HdfsNames } from './names.ts';

let fake: FakeHdfs;
let backend: HdfsBackend;
beforeEach(async () => {
  fake = await FakeHdfs.start();
  backend = fake.backend();
});
afterEach(async () => {
  await backend[Symbol.asyncDispose]();
  await fake[Symbol.asyncDispose]();
});

const names = new HdfsNames('main', '_uploads');
function fill(keys: readonly string[]): void {
  for (const [i, key] of keys.entries()) {
    const path = `/root/${names.of(key).join('/')}`;
    fake.makeDirectory(path.slice(0, path.lastIndexOf('/')));
    fake.inodes.set(path, { id: 1_000_000 + i, mtime: 1, bytes: Buffer.alloc(1) });
  }
}
const byBytes = (one: string, two: string): number => Buffer.compare(Buffer.from(one), Buffer.from(two));

async function all(prefix: string, max: number): Promise<string[]> {
  const keys: string[] = [];
  for (let after: string | undefined; ; ) {
    const page = await backend.list(prefix, { after, max }, never);
    keys.push(...page.objects.map(({ key }) => key));
    if (page.next === undefined) return keys;
    after = page.next;
  }
}

/** HdfsNames that begin one another, directories beside files, and what sorts before a slash and behind it. */
function keysOf(): string[] {
  const parts = ['a', 'a-', 'a-b', 'a.b', 'a:', 'ab', '.', '..'];
  const files = parts.flatMap((one) => parts.map((other) => `${one}d/${other}f`));
  const deep = parts.flatMap((one) => [`${one}/x/y/${one}`, `${one}/x-/${one}`, `${one}/x.z`]);
  return [...new Set([...files, ...deep, 'a+', 'a,', 'b', '_uploads/é', 'é/x'])].toSorted(byBytes);
}

test('any page of any prefix, however small the pages of a directory are, has the keys in order', async () => {
  const keys = keysOf();
  fill(keys);
  fake.makeDirectory('/root/_uploads/shoal-x');
  fake.makeDirectory('/root/empty/of/all');
  fake.inodes.set('/root/a name of others', { id: 5, mtime: 1, bytes: Buffer.alloc(1) });
  for (const pageMax of [1, 3]) {
    fake.pageMax = pageMax;
    for (const max of [13, 1000]) expect(await all('', max), `${pageMax} ${max}`).toEqual(keys);
    for (const prefix of ['a', 'a-', 'a/', 'a-b/x', 'ad/a', '.', './', '_uploads/', 'é', 'no', 'a/x/y/a'])
      expect(await all(prefix, 9), prefix).toEqual(keys.filter((key) => key.startsWith(prefix)));
  }
  for (const after of [...keys.filter((_, i) => i % 11 === 0), '', 'a-', 'a/x', 'a/x/y/', 'ad/zz', 'zz', 'a/'])
    expect(
      (await backend.list('a', { after, max: 1000 }, never)).objects.map(({ key }) => key),
      after,
    ).toEqual(keys.filter((key) => key.startsWith('a') && byBytes(key, after) > 0));
});

test('a page in the middle of a large directory does not read what is before', async () => {
  const keys = Array.from({ length: 3_000 }, (_, i) => `tags/v${String(i).padStart(4, '0')}/current/link`);
  fill(keys);
  fake.pageMax = 1000;
  const { objects, next } = await backend.list('tags/', { after: keys[1499], max: 20 }, never);
  expect(objects.map(({ key }) => key)).toEqual(keys.slice(1500, 1520));
  expect(next).toBe(keys[1519]);
  const listed = fake.asked.filter((one) => one.includes('LISTSTATUS'));
  expect(listed.filter((one) => /v[01][0-4]/.test(one) && !/v1499/.test(one))).toEqual([]);
  // 21 tags of two directories each, those that were read ahead, and the way there.
  expect(listed.length).toBeLessThan(90);
});

test('a page that takes too long ends early, and says where to go on', async () => {
  const keys = Array.from({ length: 40 }, (_, i) => `blobs/${String(i).padStart(2, '0')}/a/b/c/data`);
  fill(keys);
  fake.makeDirectory('/root/aa/of/nothing');
  let nowMs = 0;
  // Each look at it takes a second.
  const clock = { ...realClock, nowMs: () => (nowMs += 1_000) };
  await using slow = fake.backend({}, { clock });
  const found: string[] = [];
  let pages = 0;
  for (let after: string | undefined; ; pages++) {
    const page = await slow.list('', { after, max: 1000 }, never);
    if (page.next !== undefined) expect(byBytes(page.next, after ?? '')).toBeGreaterThan(0);
    found.push(...page.objects.map(({ key }) => key));
    after = page.next;
    if (after === undefined) break;
  }
  expect(found).toEqual(keys);
  expect(pages).toBeGreaterThan(1);
});

test('an error of a directory that was read ahead is told where it is come to', async () => {
  fill(Array.from({ length: 30 }, (_, i) => `d/${String(i).padStart(2, '0')}/data`));
  fake.fault = ({ op, path }) =>
    op === 'LISTSTATUS_BATCH' && path === '/root/d/07'
      ? { status: 403, body: { RemoteException: { exception: 'AccessControlException', message: 'no' } } }
      : undefined;
  expect((await backend.list('d/', { max: 7 }, never)).objects).toHaveLength(7);
  await expect(backend.list('d/', { max: 8 }, never)).rejects.toMatchObject({ why: 'denied' });
});
