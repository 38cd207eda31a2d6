/** What a backend does that others write to as well, and what not: of the conformance suite. */

import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import type { Backend } from '../backend.ts';
import { bytesOf, never, sourceOf } from '../objects.fixtures.ts';

const theirs = ['theirs', '.shoal/probe', '.shoal/readiness', 'docker/registry/v2/x', 'a/b/.shoal-left'];

export function sharedConformance(make: () => Promise<Backend>, shared: () => Promise<Backend>): void {
  test('probes, writes, and writes that fail leave whatever others have there, and add what begins with _shoal/', async () => {
    await using there = await make();
    for (const key of theirs) await there.put(key, Buffer.from(key), never);
    const before = (await there.list('', { max: 1000 }, never)).objects;
    await using backend = await shared();
    for (let n = 0; n < 2; n++) await backend.probe(never);
    const large = randomBytes(20_000_000);
    await backend.write('a/b/new', sourceOf(large), never);
    const wrong = { ...sourceOf(large), read: sourceOf(Buffer.alloc(large.length)).read };
    await expect(backend.write('a/b/wrong', wrong, never)).rejects.toMatchObject({ why: 'damaged' });
    const ending = new AbortController();
    const cut = async function* (...read: Parameters<typeof wrong.read>) {
      for await (const chunk of sourceOf(large).read(...read)) {
        if (read[0] > 9_000_000) ending.abort(new Error('enough'));
        yield chunk;
        read[0] += chunk.length;
      }
    };
    await expect(backend.write('a/b/cut', { ...sourceOf(large), read: cut }, ending.signal)).rejects.toThrow('enough');
    const after = (await there.list('', { max: 1000 }, never)).objects;
    expect(after.filter(({ key }) => !key.startsWith('_shoal/') && key !== 'a/b/new')).toEqual(before);
    for (const { key } of before)
      expect(String(await bytesOf(there.read(key, { start: 0, end: key.length }, never)))).toBe(key);
  });
}
