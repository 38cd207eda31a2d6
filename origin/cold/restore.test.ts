/** What an origin fetches from a backend though nobody asks: as slowly as it is told, until somebody does. */

import { expect, test } from 'vitest';
import type { BlobIn } from '../../core/digest.ts';
import { type Blob, blobOf, sameBlob } from '../../platform/store/store.fixtures.ts';
import { ColdCluster, type TestOrigin } from './cold.fixtures.ts';

const inRepo = ({ digest }: Blob, repo = 'team/app'): BlobIn => ({ digest, repo });
const large = blobOf(3_000_017, 1);

/** Lets through what `allow` says; the rest waits for ever. */
class Turns {
  readonly asked: number[] = [];
  readonly #waiting: (() => void)[] = [];

  slowly = (bytes: number): Promise<void> => {
    this.asked.push(bytes);
    return new Promise((resolve) => this.#waiting.push(resolve));
  };

  next(): void {
    this.#waiting.shift()?.();
  }
}

const soon = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('each part waits for its turn, until somebody wants the blob: then the rest comes at once', async () => {
  await using cluster = await ColdCluster.make();
  await cluster.put(large);
  const origin = cluster.origins[0] as TestOrigin;
  const turns = new Turns();
  const restored = origin.cold.restore(inRepo(large), turns.slowly);
  while (turns.asked.length === 0) await soon();
  for (let n = 0; n < 50; n++) await soon();
  expect(turns.asked.length).toBe(1);
  turns.next();
  while (turns.asked.length === 1) await soon();
  expect(origin.store.get(large.digest)?.complete).not.toBe(true);
  const read = origin.whole(inRepo(large));
  turns.next();
  expect((await read).meta).toEqual(large.meta);
  expect(await restored).toBe(true);
  expect(turns.asked.length).toBe(2);
  expect(sameBlob(await origin.bytesOf(large.digest), large)).toBe(true);
});

test('what an owner before this one sees to is not fetched here; what the backend lacks is an error, and no repository is asked that has none', async () => {
  await using cluster = await ColdCluster.make(2);
  await cluster.put(large);
  const [, second] = cluster.ranked(large.digest) as [TestOrigin, TestOrigin];
  const never = (): Promise<void> => expect.fail('nothing is to be fetched');
  expect(await second.cold.restore(inRepo(large), never)).toBe(false);
  expect(second.store.get(large.digest)).toBeUndefined();
  const [origin] = cluster.ranked(blobOf(10, 2).digest) as [TestOrigin];
  await expect(origin.cold.restore(inRepo(blobOf(10, 2)), never)).rejects.toMatchObject({ code: 'BLOB_UNKNOWN' });
});
