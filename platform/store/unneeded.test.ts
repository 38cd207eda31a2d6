/** A store that keeps that is told what nobody needs any more. */

import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import type { Digest } from '../../core/digest.ts';
import { unitBytes } from '../../core/piece.ts';
import { RealDisk } from './disk/real-disk.ts';
import { bytesOnDisk } from './layout.ts';
import { originPromises } from './options.ts';
import { claimMs, type UnneededAnswer } from './room/let-go.ts';
import { type Blob, blobFiles, blobOf, readAll, sameBlob, TestStores, upload } from './store.fixtures.ts';
import type { BlobStore } from './store.ts';

const stores = new TestStores();
beforeAll(() => stores.start());
afterEach(() => stores.after());
afterAll(() => stores.stop());

const [a, b, c] = [1, 2, 3].map((seed) => blobOf(2 * unitBytes, seed)) as [Blob, Blob, Blob];
const keeping = { ...originPromises, budgetBytes: 2 * bytesOnDisk(a.meta) + 10 } as const;
const unneeded = (...blobs: Blob[]) => ({ unneeded: blobs.map(({ digest }) => digest), waiting: 0 });

async function full(askUnneeded: (digests: readonly Digest[]) => Promise<UnneededAnswer>) {
  const dir = stores.directory();
  const store = await stores.open(dir, { ...keeping, askUnneeded });
  await upload(store, 'upload-a', a);
  await upload(store, 'upload-b', b);
  return { dir, store };
}

const digestsOf = (store: BlobStore): Digest[] => [...store.room.inOrder()];

test('room for a push: what nobody needs goes, its file too, and the peer is told', async () => {
  const asked: (readonly Digest[])[] = [];
  const { dir, store } = await full(async (digests) => {
    asked.push(digests);
    return unneeded(a);
  });
  await stores.close(store);
  // What was pushed a moment ago is not asked about; a restart has no such memory.
  const again = await stores.open(dir, {
    ...keeping,
    askUnneeded: async (digests) => {
      asked.push(digests);
      return unneeded(a);
    },
  });
  const evicted: Digest[] = [];
  again.watch({ evicted: (digest) => evicted.push(digest) });
  await upload(again, 'upload-c', c);
  expect(asked.at(-1)).toEqual([a.digest, b.digest]);
  expect(evicted).toEqual([a.digest]);
  expect(digestsOf(again)).toEqual([b.digest, c.digest]);
  expect(blobFiles(dir)).toHaveLength(2);
  for (const blob of [b, c]) expect(await stores.intact(again, blob)).toBe(true);
  // And what went can come again.
  const third = await stores.open(stores.directory(), keeping);
  await upload(third, 'upload-d', a);
  expect(await stores.intact(third, a)).toBe(true);
});

test('what is being read stays, and so does what is pushed while the question is open', async () => {
  const [asked, question] = [Promise.withResolvers<void>(), Promise.withResolvers<UnneededAnswer>()];
  const askUnneeded = () => {
    asked.resolve();
    return question.promise;
  };
  const { dir, store } = await full(askUnneeded);
  await stores.close(store);
  const again = await stores.open(dir, { ...keeping, askUnneeded });
  const entry = again.get(a.digest)!;
  const waiting = again.beginUpload('upload-c', 'sha256').then(async (begun) => {
    await begun.append(c.bytes).finally(() => begun.cancel());
  });
  await asked.promise;
  const unpin = entry.pin();
  again.claim(b.digest);
  question.resolve(unneeded(a, b));
  await expect(waiting).rejects.toMatchObject({ code: 'STORAGE_FULL' });
  expect(digestsOf(again).sort()).toEqual([a.digest, b.digest].sort());
  unpin();
  expect(sameBlob(await readAll(stores.workers.arena, entry), a)).toBe(true);
});

test('a damaged blob goes, though whoever mends it has pinned it; a whole one that is pinned stays', async () => {
  const { dir, store } = await full(async () => unneeded());
  await stores.close(store);
  const again = await stores.open(dir, { ...keeping, askUnneeded: async () => unneeded(a, b) });
  const unpinOf = new Map([a, b].map((blob) => [blob.digest, again.get(blob.digest)!.pin()]));
  again.get(a.digest)!.becomeDamaged(0, 'a test says so');
  const told: Digest[] = [];
  again.watch({
    unneeded: (digest) => {
      told.push(digest);
      unpinOf.get(digest)?.();
    },
  });
  await upload(again, 'upload-c', c);
  expect(told).toEqual([a.digest]);
  expect(digestsOf(again)).toEqual([b.digest, c.digest]);
  expect(blobFiles(dir)).toHaveLength(2);
});

test('a push of what is here already counts as a claim', async () => {
  const [asked, question] = [Promise.withResolvers<void>(), Promise.withResolvers<UnneededAnswer>()];
  const { dir, store } = await full(() => question.promise);
  await stores.close(store);
  const again = await stores.open(dir, {
    ...keeping,
    budgetBytes: 3 * bytesOnDisk(a.meta) + 10,
    askUnneeded: () => {
      asked.resolve();
      return question.promise;
    },
  });
  const pushed = await again.beginUpload('upload-again', 'sha256');
  await pushed.append(a.bytes);
  const large = blobOf(3 * unitBytes, 9);
  const waiting = upload(again, 'upload-large', large).catch((error: unknown) => error);
  await asked.promise;
  expect((await pushed.commit(a.digest)).complete).toBe(true);
  question.resolve(unneeded(a));
  expect(await waiting).toMatchObject({ code: 'STORAGE_FULL' });
  expect(await stores.intact(again, a)).toBe(true);
});

test('nobody to ask: nothing goes, and the refusal says so', async () => {
  const store = await stores.open(stores.directory(), keeping);
  await upload(store, 'upload-a', a);
  await upload(store, 'upload-b', b);
  await expect(upload(store, 'upload-c', c)).rejects.toMatchObject({
    code: 'STORAGE_FULL',
    message: expect.stringMatching(/or remove blobs; nothing goes by itself, since no index is configured/),
  });
  expect(digestsOf(store)).toHaveLength(2);
});

test('a copy that goes while a push of the same blob waits for the disk does not take the new file with it', async () => {
  const { dir, store } = await full(async () => unneeded());
  await stores.close(store);
  const disk = new RealDisk();
  const sync = disk.syncDirectory.bind(disk);
  const again = await stores.open(dir, {
    ...keeping,
    budgetBytes: 3 * bytesOnDisk(a.meta) + 10,
    disk,
    askUnneeded: async () => unneeded(a),
  });
  const evicted: Digest[] = [];
  again.watch({ evicted: (digest) => evicted.push(digest) });
  let other: Promise<unknown> | undefined;
  disk.syncDirectory = async (path) => {
    if (other === undefined) {
      // The disk takes so long that the push's claim is forgotten.
      const late = performance.now() + 2 * claimMs;
      const clock = vi.spyOn(performance, 'now').mockReturnValue(late);
      other = again
        .beginUpload('upload-c', 'sha256')
        .then((begun) => begun.append(c.bytes).finally(() => begun.cancel()));
      await expect.poll(() => evicted).toEqual([a.digest]);
      clock.mockRestore();
    }
    return sync(path);
  };
  await upload(again, 'upload-a2', a);
  await other;
  expect(evicted).toEqual([a.digest]);
  expect(await stores.intact(again, a)).toBe(true);
  await stores.close(again);
  const third = await stores.open(dir, keeping);
  expect(await stores.intact(third, a)).toBe(true);
});
