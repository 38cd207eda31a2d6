/** The number of a blob's owners, as the index has it and as this origin says. */

import { afterEach, expect, test } from 'vitest';
import { type Digest, digestOf } from '../core/digest.ts';
import { Replicas } from './replicas.ts';

const digests = Array.from({ length: 1_203 }, (_, i) =>
  digestOf('sha256', i.toString(16).padStart(13, '0').padEnd(64, 'a')),
);
const [one, two, three] = digests as [Digest, Digest, Digest];
const log = { debug: () => undefined };

let replicas: Replicas | undefined;
afterEach(() => replicas?.[Symbol.asyncDispose]());

function begin(counts: Map<Digest, number>, asked: number[] = [], down = { down: false }): Digest[] {
  const more: Digest[] = [];
  const index = {
    replicas: async (of: readonly Digest[]) => {
      asked.push(of.length);
      if (down.down) throw new Error('down');
      return of.map((digest) => counts.get(digest) ?? 0);
    },
  };
  const meta = { length: 1, pieceLength: 262_144, root: '' };
  const store = { blobs: () => digests.map((digest) => ({ digest, meta, complete: true, damaged: false })) };
  replicas = new Replicas({ own: 2, index, store, more: (digest) => void more.push(digest), log });
  return more;
}

test('everything is asked of at the start, in batches; whoever gets more owners is told of', async () => {
  const asked: number[] = [];
  const more = begin(
    new Map([
      [one, 3],
      [two, 1],
      [three, 2],
    ]),
    asked,
  );
  expect(replicas?.of(one)).toBe(2);
  await expect.poll(() => asked.reduce((sum, n) => sum + n, 0), { timeout: 10_000 }).toBe(digests.length);
  await expect.poll(() => [one, two, three].map((digest) => replicas?.of(digest))).toEqual([3, 1, 2]);
  expect(Math.max(...asked)).toBeLessThanOrEqual(500);
  expect(more).toEqual([one]);
});

test('what came is asked of soon, and again where the index did not answer', async () => {
  const counts = new Map<Digest, number>();
  const down = { down: false };
  const asked: number[] = [];
  const more = begin(counts, asked, down);
  await expect.poll(() => asked.length, { timeout: 10_000 }).toBe(3);
  counts.set(two, 4);
  down.down = true;
  replicas?.came(two);
  await expect.poll(() => asked.length, { timeout: 20_000 }).toBe(4);
  expect(replicas?.of(two)).toBe(2);
  down.down = false;
  await expect.poll(() => replicas?.of(two), { timeout: 20_000 }).toBe(4);
  expect(more).toEqual([two]);
}, 60_000);

test('without an index it is what this origin says', () => {
  replicas = new Replicas({ own: 2, index: undefined, store: { blobs: () => [] }, more: () => undefined, log });
  replicas.came(one);
  expect(replicas.of(one)).toBe(2);
});
