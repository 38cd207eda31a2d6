/** Tags under keys that a kind has of its own: of the conformance suite. */

import { expect, test } from 'vitest';
import type { Backend } from '../backend.ts';
import { bytesOf, type Conforming, never, sourceOf } from '../objects.fixtures.ts';
import { repositoryNames, tagNames } from './names.fixtures.ts';

export type TagKeeping = {
  /** The key of a tag, as the kind's layout has it. */
  readonly keyOf: (repo: string, tag: string) => string;
  /** Makes the nth thing that a tag of `repo` may be on; its digest. Without one, any digest will do. */
  readonly target?: (backend: Backend, repo: string, n: number) => Promise<string>;
  /** What repositories are called there: some have fewer names than we. */
  readonly repositories?: readonly string[];
};
type Tags = Pick<Conforming, 'make' | 'can'> & TagKeeping;

const anyDigest = async (_: Backend, repo: string, n: number): Promise<string> =>
  sourceOf(Buffer.from(`${repo} ${n}`)).digest;

export function tagsConformanceOf({
  make,
  keyOf,
  can,
  target = anyDigest,
  repositories: names = repositoryNames,
}: Tags): void {
  const text = async (backend: Backend, key: string): Promise<string> => {
    const found = await backend.stat(key, never);
    return String(
      await bytesOf(backend.read(key, { start: 0, end: found?.size ?? 0, version: found?.version }, never)),
    );
  };
  const put = (backend: Backend, key: string, value: string) => backend.put(key, Buffer.from(value), never);

  test('a tag that is not there: stat says so, read throws missing', async () => {
    await using backend = await make();
    const key = keyOf('library/app', 'none');
    expect(await backend.stat(key, never)).toBeUndefined();
    await expect(bytesOf(backend.read(key, { start: 0, end: 71 }, never))).rejects.toMatchObject({ why: 'missing' });
  });

  if (!can.writes) return;

  test('a tag is kept whatever characters its name has', { timeout: 60_000 }, async () => {
    await using backend = await make();
    const digests = await Promise.all([1, 2, 3].map((n) => target(backend, 'library/app', n)));
    for (const [i, tag] of tagNames.entries())
      await put(backend, keyOf('library/app', tag), digests[i % digests.length] ?? '');
    for (const [i, tag] of tagNames.entries())
      expect(await text(backend, keyOf('library/app', tag)), tag).toBe(digests[i % digests.length]);
  });

  test('so it is whatever its repository is called, and one is not that of another', { timeout: 60_000 }, async () => {
    await using backend = await make();
    const digests = new Map<string, string>();
    for (const repo of names) digests.set(repo, await target(backend, repo, 1));
    for (const [repo, digest] of digests) await put(backend, keyOf(repo, 'v1'), digest);
    for (const [repo, digest] of digests) expect(await text(backend, keyOf(repo, 'v1')), repo).toBe(digest);
    expect(await backend.stat(keyOf(names[0] ?? '', 'v2'), never)).toBeUndefined();
  });

  test('a tag that is written again is on what it was put on last, under another version', async () => {
    await using backend = await make();
    const key = keyOf('library/app', 'moving');
    const [one, two] = [await target(backend, 'library/app', 1), await target(backend, 'library/app', 2)];
    const first = await put(backend, key, one);
    const second = await put(backend, key, two);
    expect(await text(backend, key)).toBe(two);
    expect(await backend.stat(key, never)).toMatchObject({ size: two.length, version: second.version });
    expect(second.version).not.toBe(first.version);
    const old = bytesOf(backend.read(key, { start: 0, end: one.length, version: first.version }, never));
    await expect(old).rejects.toMatchObject({ why: 'changed' });
    await put(backend, key, two);
    expect(await text(backend, key)).toBe(two);
  });

  test('many tags are written at once, and each is there', { timeout: 60_000 }, async () => {
    await using backend = await make();
    const digests = await Promise.all([1, 2, 3].map((n) => target(backend, 'library/app', n)));
    const all = Array.from({ length: 60 }, (_, n) => [keyOf('library/app', `t${n}`), digests[n % 3] ?? ''] as const);
    await Promise.all(all.map(([key, digest]) => put(backend, key, digest)));
    expect(await Promise.all(all.map(([key]) => text(backend, key)))).toEqual(all.map(([, digest]) => digest));
  });

  test('each call ends with its signal, and does nothing', async () => {
    await using backend = await make();
    const key = keyOf('library/app', 'v1');
    const [one, two] = [await target(backend, 'library/app', 1), await target(backend, 'library/app', 2)];
    await put(backend, key, one);
    const ended = AbortSignal.abort(new Error('enough'));
    await expect(backend.stat(key, ended)).rejects.toThrow('enough');
    await expect(bytesOf(backend.read(key, { start: 0, end: 9 }, ended))).rejects.toThrow('enough');
    await expect(backend.put(key, Buffer.from(two), ended)).rejects.toThrow('enough');
    expect(await text(backend, key)).toBe(one);
  });
}
