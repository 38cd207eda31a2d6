/** Cells whose writes are not answered: what became of them is found out, or said not to be known. And their keys, in order. */

import { describe, expect, test } from 'vitest';
import { text as textOf } from '../../../../core/contracts/parse.ts';
import { BackendError } from '../../../backends/backend.ts';
import type { ConditionalObjects } from '../../../backends/conditional.ts';
import { SharedBucket } from '../faulty-bucket.fixtures.ts';
import { afterRepo, afterTag, repoKey, repoOf, tagOf, tagPart } from '../layout.ts';
import { bodyBytes, cellBodyOf, isLive } from './body.ts';
import { Cells } from './cells.ts';

const never = new AbortController().signal;
const silent = () => new BackendError('unavailable', 'nobody answers');

/** `around` is done in place of the next put; it may make it. */
function made(around: (put: () => Promise<unknown>, cells: Cells) => Promise<unknown>) {
  const { objects } = new SharedBucket();
  const calm = new Cells(objects, '', never);
  let once = true;
  const put: ConditionalObjects['put'] = async (...args) => {
    if (!once) return await objects.put(...args);
    once = false;
    await around(() => objects.put(...args), calm);
    throw silent();
  };
  return { calm, cells: new Cells({ ...objects, put }, '', never) };
}

const string = textOf(100);
const text = (value: string) => ({ live: true, value });

describe('a write that is not answered', () => {
  test('was made: it is told so', async () => {
    const { calm, cells } = made((put) => put());
    const written = await cells.write(await cells.read('k', string), text('mine'));
    expect(await calm.read('k', string)).toMatchObject({ value: 'mine', version: written?.version });
  });

  test('was made, and others wrote since: it is told so, and its version is no longer the present one', async () => {
    const { calm, cells } = made(async (put, others) => {
      await put();
      for (let n = 0; n < 3; n++) await others.write(await others.read('k', string), text(`others ${n}`));
    });
    const written = await cells.write(await cells.read('k', string), text('mine'));
    expect(written).toMatchObject({ value: 'mine' });
    expect(await calm.write({ ...written, key: 'k' } as typeof written & object, text('again'))).toBeUndefined();
    expect((await calm.read('k', string)).value).toBe('others 2');
  });

  test('was not made: it is made again', async () => {
    const { calm, cells } = made(async () => undefined);
    expect(await cells.write(await cells.read('k', string), text('mine'))).toBeDefined();
    expect((await calm.read('k', string)).value).toBe('mine');
  });

  test('was not made, and others wrote: it has not happened', async () => {
    const { calm, cells } = made(async (_, others) => others.write(await others.read('k', string), text('theirs')));
    expect(await cells.write(await cells.read('k', string), text('mine'))).toBeUndefined();
    expect((await calm.read('k', string)).value).toBe('theirs');
  });

  test('and others wrote more often than is remembered: nobody knows', async () => {
    const { cells } = made(async (_, others) => {
      for (let n = 0; n < 12; n++) await others.write(await others.read('k', string), text(`others ${n}`));
    });
    await expect(cells.write(await cells.read('k', string), text('mine'))).rejects.toThrow(/is not known/);
  });
});

test('what is no cell is refused, and named', async () => {
  const { objects } = new SharedBucket();
  await objects.put('x/k', Buffer.from('something else'), never, { version: null });
  await expect(new Cells(objects, 'x/', never).read('k', string)).rejects.toThrow(/x\/k is no object of an index/);
});

test.each([1, 1000, 70_000, 500_000])(
  'a body of %i characters is read back; its size says whether it is there',
  (n) => {
    for (const live of [true, false])
      for (const more of ['', 'x', 'xy']) {
        const body = { live, value: `${'äb'.repeat(n / 2)}${more}`, by: 'b', past: ['a'] };
        const bytes = bodyBytes(body);
        expect(isLive(bytes.length)).toBe(live);
        expect(cellBodyOf(bytes)).toEqual(body);
      }
  },
);

test('keys of repositories and tags are in the order of their names, and give them back', () => {
  const long = `a/${'b'.repeat(197)}`;
  const repos = [
    'a',
    'a-b',
    'a.b',
    'a/b',
    'a0',
    'a_b',
    'aa',
    'b',
    long,
    `${long}.c`,
    `${long}/c`,
    `${long}c/${long}`,
  ].sort();
  expect(repos.map(repoKey).toSorted()).toEqual(repos.map(repoKey));
  expect(repos.map(repoKey).map(repoOf)).toEqual(repos);
  for (const key of repos.map(repoKey))
    for (const part of key.split('/')) expect(part).toMatch(/^.{1,210}[^.]$|^[^.]$/);
  for (const [i, repo] of repos.entries()) {
    expect(afterRepo(repo) > repoKey(repo)).toBe(true);
    if (repos[i + 1] !== undefined) expect(afterRepo(repo) < repoKey(repos[i + 1] as string)).toBe(true);
  }
  const folded = (tag: string): string => tag.toLowerCase();
  const tags = ['v1', 'V1', 'v10', 'V10', 'aBc', 'abC', 'ABC', 'abc', 'a.b', 'a-b', '_x', '0', 'Z', 'x'.repeat(128)];
  tags.sort((x, y) => (folded(x) < folded(y) ? -1 : folded(x) > folded(y) ? 1 : x < y ? -1 : 1));
  expect(tags.map(tagPart).toSorted()).toEqual(tags.map(tagPart));
  expect(tags.map(tagPart).map(tagOf)).toEqual(tags);
  for (const odd of ['a~', 'a b', 'a:b', 'a!', '']) {
    const behind = tags.map(tagPart).filter((key) => key > afterTag(odd));
    expect(behind).toEqual(tags.filter((tag) => folded(tag) > odd).map(tagPart));
  }
});
