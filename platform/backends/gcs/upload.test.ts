import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import type { ObjectSource } from '../backend.ts';
import { never, sourceOf } from '../objects.fixtures.ts';
import { type FakeFault, FakeGcs } from './fake.fixtures.ts';

/** Larger objects are uploads that can be gone on with. */
const parts = { size: 50_000, parallel: 2 };
const quantum = 256 * 1024;
const bytes = randomBytes(3 * quantum + 1000);
const source = sourceOf(bytes);

/** `source`, and how many bytes were read of it. */
function counted(): ObjectSource & { read: ObjectSource['read']; bytes: () => number } {
  let count = 0;
  return {
    ...source,
    bytes: () => count,
    async *read(start, end, signal) {
      for await (const chunk of source.read(start, end, signal)) {
        count += chunk.length;
        yield chunk;
      }
    },
  };
}

const stands = (fake: FakeGcs): void => {
  expect(fake.objects.get('large')?.bytes.equals(bytes)).toBe(true);
  expect(fake.uploads.size).toBe(0);
};

/** Faults of requests that bring bytes to the upload, in their order. */
function inOrder(fake: FakeGcs, faults: readonly (FakeFault | undefined)[]): string[] {
  const ranges: string[] = [];
  fake.fault = ({ headers, method }) => {
    const range = method === 'PUT' ? headers['content-range'] : undefined;
    if (range === undefined) return undefined;
    ranges.push(range.replace(/^bytes /, '').replace(/\/.*$/, ''));
    return faults[ranges.length - 1];
  };
  return ranges;
}

test('all but the last piece goes in one request, and the last one with the MD5 of all', async () => {
  await using fake = await FakeGcs.start();
  await using backend = fake.backend({ parts });
  const ranges = inOrder(fake, []);
  const written = await backend.write('large', source, never);
  stands(fake);
  expect(ranges).toEqual([`0-${3 * quantum - 1}`, `${3 * quantum}-${bytes.length - 1}`]);
  expect(written).toMatchObject({ size: bytes.length, digest: source.digest });
  expect(await backend.stat('large', never)).toEqual(written);
});

test('a cut is gone on with where the server stands: what it has is not sent again', async () => {
  await using fake = await FakeGcs.start();
  await using backend = fake.backend({ parts });
  const ranges = inOrder(fake, [{ take: 300_000 }, undefined, { take: 100_000 }]);
  await backend.write('large', source, never);
  stands(fake);
  expect(ranges).toEqual([
    `0-${3 * quantum - 1}`,
    '*',
    `300000-${3 * quantum - 1}`,
    '*',
    `400000-${3 * quantum - 1}`,
    `${3 * quantum}-${bytes.length - 1}`,
  ]);
  expect(fake.count('POST large')).toBe(1);
});

test('nothing is there before the end, and a write that was ended is gone on with by the next one', async () => {
  await using fake = await FakeGcs.start();
  await using backend = fake.backend({ parts });
  const abort = new AbortController();
  const ending: ObjectSource = {
    ...source,
    async *read(start, end, signal) {
      for await (const chunk of source.read(start, end, signal)) {
        if (start >= 600_000) abort.abort(new Error('enough'));
        yield chunk;
        start += chunk.length;
      }
    },
  };
  await expect(backend.write('large', ending, abort.signal)).rejects.toThrow('enough');
  expect(fake.objects.size).toBe(0);
  expect((await backend.list('', { max: 9 }, never)).objects).toEqual([]);
  const [upload] = fake.uploads.values();
  expect(upload?.length).toBeGreaterThan(0);
  const had = upload?.length;
  const ranges = inOrder(fake, []);
  await backend.write('large', source, never);
  stands(fake);
  expect(ranges.slice(0, 2)).toEqual(['*', `${had}-${3 * quantum - 1}`]);
  expect(fake.count('POST large')).toBe(1);
});

test.each([true, false])(
  'an end that was not heard of is asked for (told: %s): nothing is made twice',
  async (remembers) => {
    await using fake = await FakeGcs.start();
    await using backend = fake.backend({ parts });
    fake.remembers = remembers;
    inOrder(fake, [undefined, 'deaf']);
    expect(await backend.write('large', source, never)).toMatchObject({ size: bytes.length, digest: source.digest });
    stands(fake);
    expect(fake.count('POST large')).toBe(1);
  },
);

test('an upload that the server has forgotten is begun anew, once', async () => {
  await using fake = await FakeGcs.start();
  await using backend = fake.backend({ parts });
  fake.fault = ({ method }) => (method === 'PUT' ? { status: 403 } : undefined);
  await expect(backend.write('large', source, never)).rejects.toMatchObject({ why: 'denied' });
  fake.uploads.clear();
  fake.fault = () => undefined;
  await backend.write('large', source, never);
  stands(fake);
  expect(fake.count('POST large')).toBe(2);
  fake.fault = ({ method }) => (method === 'PUT' ? { status: 410 } : undefined);
  await expect(backend.write('other', source, never)).rejects.toMatchObject({ why: 'unavailable' });
  expect(fake.count('POST other')).toBe(1);
});

test('wrong bytes never become an object, and their upload is given up', async () => {
  await using fake = await FakeGcs.start();
  await using backend = fake.backend({ parts });
  const wrong = { ...source, digest: sourceOf(Buffer.from('other')).digest };
  await expect(backend.write('large', wrong, never)).rejects.toThrow(/mend the copy/);
  const short = { ...source, size: source.size + 1 };
  await expect(backend.write('large', short, never)).rejects.toMatchObject({ why: 'damaged' });
  const long = { ...source, size: source.size - 1, read: (start: number) => source.read(start, bytes.length, never) };
  await expect(backend.write('large', long, never)).rejects.toMatchObject({ why: 'damaged' });
  expect(fake.objects.size).toBe(0);
  expect(fake.uploads.size).toBe(0);
});

test('bytes that were damaged on the way are refused by the server, and what one makes all the same is removed', async () => {
  await using fake = await FakeGcs.start();
  await using backend = fake.backend({ parts });
  const flip = (): void => {
    const [first] = fake.uploads.values();
    const [chunk] = first?.chunks ?? [];
    if (chunk !== undefined) chunk[0] = 255 - (chunk[0] ?? 0);
  };
  fake.fault = ({ headers, method }) => {
    if (method === 'PUT' && headers['x-goog-hash'] !== undefined) flip();
    return undefined;
  };
  await expect(backend.write('large', source, never)).rejects.toMatchObject({ why: 'damaged' });
  expect(fake.objects.size).toBe(0);
  fake.fault = ({ headers, method }) => {
    if (method === 'PUT' && headers['x-goog-hash'] !== undefined) {
      flip();
      headers['x-goog-hash'] = undefined;
    }
    return undefined;
  };
  await expect(backend.write('large', source, never)).rejects.toMatchObject({ why: 'damaged' });
  expect(fake.count('DELETE large')).toBe(1);
  expect(fake.objects.size).toBe(0);
});

test('a server that gets no further, or says nonsense, is left after a few attempts', async () => {
  await using fake = await FakeGcs.start();
  await using backend = fake.backend({ parts });
  fake.fault = ({ method }) => (method === 'PUT' ? { status: 308, body: '' } : undefined);
  await expect(backend.write('large', source, never)).rejects.toMatchObject({ why: 'unavailable' });
  fake.fault = ({ method }) =>
    method === 'PUT' ? { status: 308, body: '', headers: { range: 'bytes=7-9' } } : undefined;
  await expect(backend.write('large', source, never)).rejects.toMatchObject({ why: 'unsupported' });
  const asked = counted();
  fake.fault = ({ method }) => (method === 'PUT' ? { status: 503 } : undefined);
  await expect(backend.write('large', asked, never)).rejects.toMatchObject({ why: 'unavailable' });
  expect(fake.objects.size).toBe(0);
});

test('the secret of an upload is in no message', async () => {
  await using fake = await FakeGcs.start();
  await using backend = fake.backend({ parts });
  fake.fault = ({ method }) => (method === 'PUT' ? { status: 403 } : undefined);
  const failed = await backend.write('large', source, never).catch((error: Error) => error.message);
  expect(failed).toMatch(/PUT http.*\?…/);
  expect(failed).not.toMatch(/upload_id|upload-1/);
});
