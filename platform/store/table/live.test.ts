import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { originPromises } from '../options.ts';
import { blobOf, TestStores, upload } from '../store.fixtures.ts';

const stores = new TestStores();
beforeAll(() => stores.start());
afterEach(() => stores.after());
afterAll(() => stores.stop());

const blobs = Array.from({ length: 8 }, (_, i) => blobOf(1_000 + i, i + 1));

/** Also tells the store what was collected. */
async function collect(): Promise<void> {
  setFlagsFromString('--expose_gc');
  const gc = runInNewContext('gc') as () => void;
  for (let i = 0; i < 3; i++) {
    await new Promise((resolve) => setImmediate(resolve));
    gc();
  }
  await new Promise((resolve) => setImmediate(resolve));
}

test('an entry is the only one of its blob for as long as somebody has it, and made anew after', async () => {
  const store = await stores.open(stores.directory(), { ...originPromises, idleMax: 1 });
  for (const [i, blob] of blobs.entries()) await upload(store, `up-${i}`, blob);
  const [one, two] = blobs as [(typeof blobs)[0], (typeof blobs)[0]];
  const entry = store.get(one.digest);
  const seen = new WeakRef(store.get(two.digest) as object);
  for (let round = 0; round < 2; round++) {
    for (const blob of blobs) expect(await stores.intact(store, blob)).toBe(true);
    await collect();
    expect(store.get(one.digest)).toBe(entry);
  }
  expect(seen.deref()).toBeUndefined();
  await store.remove(one.digest);
  expect(entry?.gone).toBe(true);
  expect(store.get(one.digest)).toBeUndefined();
  await store.remove(two.digest);
  expect([...store.room.inOrder()].length).toBe(blobs.length - 2);
});

test('what is damaged or in part is not forgotten, though nobody has its entry', async () => {
  const dir = stores.directory();
  const store = await stores.open(dir, { idleMax: 1 });
  const [whole, part, ...others] = blobs as [(typeof blobs)[0], (typeof blobs)[0]];
  await store.create(part.digest, part.meta, part.hashes);
  await stores.pull(store, whole);
  store.get(whole.digest)?.becomeDamaged(0, 'for the test');
  for (const blob of others) await stores.pull(store, blob);
  await collect();
  const states = [whole, part].map(({ digest }) => Array.from(store.blobs()).find((blob) => blob.digest === digest));
  expect(states).toMatchObject([
    { complete: false, damaged: true },
    { complete: false, damaged: false },
  ]);
  expect(store.room.completeCount).toBe(others.length);
});
