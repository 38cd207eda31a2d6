/** Keys, whatever is in them, and their lists: of the conformance suite. */

import { expect, test } from 'vitest';
import type { Backend } from '../backend.ts';
import { bytesOf, type Conforming, never } from '../objects.fixtures.ts';

const odd = [
  'a b/c d',
  'a+b',
  'a%2Fb',
  'a%',
  'a?b#c&d=e',
  'quote\'s "and" `ticks`',
  'ünïcode/日本/😀',
  'UPPER/lower',
  'upper/LOWER',
  '~tilde/-dash/_under',
  'dots.in.it/.hidden',
  `long/${'x'.repeat(200)}`,
  '<angle>&amp;',
  'semi;colon:col,comma',
];

async function all(backend: Backend, prefix: string, max: number): Promise<{ keys: string[]; pages: number }> {
  const keys: string[] = [];
  let pages = 0;
  for (let after: string | undefined; ; pages++) {
    const page: Awaited<ReturnType<Backend['list']>> = await backend.list(prefix, { after, max }, never);
    expect(page.objects.length).toBeLessThanOrEqual(max);
    keys.push(...page.objects.map(({ key }) => key));
    if (page.next === undefined) return { keys, pages: pages + 1 };
    after = page.next;
  }
}

const byBytes = (one: string, two: string): number => Buffer.compare(Buffer.from(one), Buffer.from(two));

export function listConformance({ make, objects, can }: Conforming): void {
  test('odd keys are keys as others are', async () => {
    await using backend = await make();
    for (const key of odd) await backend.put(key, Buffer.from(key), never);
    for (const key of odd) {
      const length = Buffer.byteLength(key);
      expect(await backend.stat(key, never), key).toMatchObject({ size: length });
      expect(String(await bytesOf(backend.read(key, { start: 0, end: length }, never)))).toBe(key);
    }
    if (can.list) expect((await all(backend, '', 5)).keys).toEqual(odd.toSorted(byBytes));
    for (const key of odd) await backend.remove(key, never);
    if (can.list) expect((await all(backend, '', 5)).keys).toEqual([]);
  });

  if (!can.list) return;

  test('a list is in the order of the bytes of keys, whatever is a directory', async () => {
    await using backend = await make();
    // `-` comes before `/`, `0` after it; U+FF5E after the surrogates of an emoji in UTF-16, before it in UTF-8.
    const keys = ['a-b', 'a/b', 'a/c/d', 'a/c-d', 'a/c0', 'a0', 'a~/x', 'B', 'é', 'ｘ～', '😀', 'zz/'.concat('y')];
    for (const key of keys) await backend.put(key, Buffer.from('x'), never);
    expect((await all(backend, '', 3)).keys).toEqual(keys.toSorted(byBytes));
    expect((await all(backend, 'a/', 2)).keys).toEqual(['a/b', 'a/c-d', 'a/c/d', 'a/c0']);
    expect((await all(backend, 'a/c', 2)).keys).toEqual(['a/c-d', 'a/c/d', 'a/c0']);
    expect((await all(backend, 'nothing', 2)).keys).toEqual([]);
    expect((await backend.list('a', { after: 'a/c', max: 2 }, never)).objects.map(({ key }) => key)).toEqual([
      'a/c-d',
      'a/c/d',
    ]);
    // What is after needs to be no key.
    expect((await backend.list('', { after: 'a/c/zzz', max: 1 }, never)).objects.map(({ key }) => key)).toEqual([
      'a/c0',
    ]);
    expect((await backend.list('', { after: '\u{10ffff}', max: 1 }, never)).objects).toEqual([]);
  });

  test('a long list comes in pages, each key once, with its size', { timeout: 120_000 }, async () => {
    await using backend = await make();
    const keys = Array.from({ length: objects }, (_, i) => `list/${(i * 7919) % 16}/${i}/data`);
    for (let i = 0; i < keys.length; i += 50)
      await Promise.all(keys.slice(i, i + 50).map((key, n) => backend.put(key, Buffer.alloc(n), never)));
    const found = await all(backend, 'list/', 1000);
    expect(found.keys).toEqual(keys.toSorted(byBytes));
    expect(found.pages).toBe(Math.max(1, Math.ceil(objects / 1000)));
    const page = await backend.list('list/', { max: 7 }, never);
    for (const { key, size } of page.objects) expect(size).toBe(keys.indexOf(key) % 50);
    const last = await backend.list('list/', { after: found.keys.at(-2), max: 7 }, never);
    expect(last).toMatchObject({ objects: [{ key: found.keys.at(-1) }], next: undefined });
  });
}
