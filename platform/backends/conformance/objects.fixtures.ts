/** Objects as they are written, read, replaced and removed: of the conformance suite. */

import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { smallBytesMax } from '../backend.ts';
import { bytesOf, type Conforming, never, sourceOf } from '../objects.fixtures.ts';

export function objectsConformance({ make }: Conforming): void {
  test('what is written is read back, whole and by range, and its size is told', async () => {
    await using backend = await make();
    const source = sourceOf(randomBytes(1_000_003));
    const [bytes] = [await bytesOf(source.read(0, source.size, never))];
    const written = await backend.write('a/b', source, never);
    expect(written).toMatchObject({ size: bytes.length });
    const found = await backend.stat('a/b', never);
    expect(found).toMatchObject({ size: bytes.length, version: written.version });
    // Who filled it may not have said; what is said is right.
    expect([undefined, source.digest]).toContain(found?.digest);
    expect(bytes.equals(await bytesOf(backend.read('a/b', { start: 0, end: bytes.length }, never)))).toBe(true);
    const part = await bytesOf(backend.read('a/b', { start: 17, end: 900_001 }, never));
    expect(bytes.subarray(17, 900_001).equals(part)).toBe(true);
  });

  test('an object that is not there: stat says so, read throws missing, to remove it is fine', async () => {
    await using backend = await make();
    expect(await backend.stat('nowhere', never)).toBeUndefined();
    expect(await backend.stat('no/where/at/all', never)).toBeUndefined();
    await expect(bytesOf(backend.read('nowhere', { start: 0, end: 1 }, never))).rejects.toMatchObject({
      why: 'missing',
    });
    await backend.remove('nowhere', never);
    await backend.remove('no/where/at/all', never);
  });

  test('bytes of another digest are not taken, nor too few or too many, and what was there stays', async () => {
    await using backend = await make();
    const right = sourceOf(randomBytes(1000));
    await backend.write('key', right, never);
    const wrong = { ...sourceOf(randomBytes(1000)), digest: right.digest };
    await expect(backend.write('key', wrong, never)).rejects.toMatchObject({ why: 'damaged' });
    for (const size of [999, 1001]) {
      const read = (_start: number, _end: number) => right.read(0, size === 999 ? 1000 : 1000, never);
      await expect(backend.write('key', { ...right, size, read }, never)).rejects.toMatchObject({ why: 'damaged' });
    }
    expect(await backend.stat('key', never)).toMatchObject({ size: 1000 });
    await expect(backend.write('new', wrong, never)).rejects.toMatchObject({ why: 'damaged' });
    expect(await backend.stat('new', never)).toBeUndefined();
  });

  test('an empty object, and ranges of nothing', async () => {
    await using backend = await make();
    const empty = sourceOf(Buffer.alloc(0));
    await backend.write('empty/written', empty, never);
    await backend.put('empty/put', Buffer.alloc(0), never);
    for (const key of ['empty/written', 'empty/put']) {
      expect(await backend.stat(key, never)).toMatchObject({ size: 0 });
      expect((await bytesOf(backend.read(key, { start: 0, end: 0 }, never))).length).toBe(0);
    }
    await backend.put('ten', Buffer.from('0123456789'), never);
    for (const at of [0, 5, 10])
      expect((await bytesOf(backend.read('ten', { start: at, end: at }, never))).length).toBe(0);
    expect(String(await bytesOf(backend.read('ten', { start: 9, end: 10 }, never)))).toBe('9');
  });

  test('a range that goes beyond the object is an error, and no fewer bytes without a word', async () => {
    await using backend = await make();
    await backend.put('ten', Buffer.from('0123456789'), never);
    for (const range of [
      { start: 0, end: 11 },
      { start: 10, end: 11 },
      { start: 100, end: 200 },
    ])
      await expect(bytesOf(backend.read('ten', range, never))).rejects.toMatchObject({ why: 'damaged' });
  });
}

export function replacedConformance({ make, can }: Conforming): void {
  test('what is written again replaces what was there, under another version', async () => {
    await using backend = await make();
    const [first, second] = [sourceOf(randomBytes(5000)), sourceOf(randomBytes(4000))];
    const before = await backend.write('key', first, never);
    const after = await backend.write('key', second, never);
    expect(after.version).not.toBe(before.version);
    expect(await backend.stat('key', never)).toMatchObject({ size: 4000, version: after.version });
    await expect(
      bytesOf(backend.read('key', { start: 0, end: 100, version: before.version }, never)),
    ).rejects.toMatchObject({ why: 'changed' });
    const read = await bytesOf(backend.read('key', { start: 0, end: 4000, version: after.version }, never));
    expect(read.equals(await bytesOf(second.read(0, 4000, never)))).toBe(true);
  });

  test('a large object is read by ranges at once', async () => {
    await using backend = await make();
    const bytes = randomBytes(24 * 1024 * 1024 + 7);
    const { version } = await backend.write('large', sourceOf(bytes), never);
    const part = Math.ceil(bytes.length / 8);
    const parts = await Promise.all(
      Array.from({ length: 8 }, (_, i) => {
        const end = Math.min(bytes.length, (i + 1) * part);
        return bytesOf(backend.read('large', { start: i * part, end, version }, never));
      }),
    );
    expect(Buffer.concat(parts).equals(bytes)).toBe(true);
  });

  test('what is put is small', async () => {
    await using backend = await make();
    await backend.put('most', Buffer.alloc(smallBytesMax), never);
    await expect(backend.put('more', Buffer.alloc(smallBytesMax + 1), never)).rejects.toMatchObject({ why: 'refused' });
    expect(await backend.stat('more', never)).toBeUndefined();
  });

  test('what is removed is gone', async () => {
    await using backend = await make();
    await backend.put('a/b', Buffer.from('x'), never);
    await backend.remove('a/b', never);
    expect(await backend.stat('a/b', never)).toBeUndefined();
    await backend.put('a/b', Buffer.from('y'), never);
    expect(String(await bytesOf(backend.read('a/b', { start: 0, end: 1 }, never)))).toBe('y');
  });

  test('a probe passes, and leaves nothing', async () => {
    await using backend = await make();
    await backend.probe(never);
    await backend.probe(never);
    if (can.list) expect(await backend.list('', { max: 10 }, never)).toEqual({ objects: [], next: undefined });
  });
}
