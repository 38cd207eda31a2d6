/** What peers get without another hash, and what is lent from memory; on the real disk with real worker threads. */

import { utimesSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { unitBytes } from '../../core/piece.ts';
import type { PieceIo } from '../workers/piece-io.ts';
import type { BlobEntry } from './pieces/entry.ts';
import { type Blob, blobFiles, blobOf, damage, fill, readAll, TestStores, upload } from './store.fixtures.ts';

const stores = new TestStores();
beforeAll(() => stores.start());
afterEach(() => stores.after());
afterAll(() => stores.stop());

async function forPeer(entry: BlobEntry, piece: number): Promise<'ok' | 'corrupt' | 'failed'> {
  const slot = await stores.workers.arena.acquire('send', unitBytes);
  try {
    return await entry.readForPeer(piece, slot);
  } finally {
    slot.release();
  }
}

/** A whole blob in a store, and the file that it lies in. */
async function stored(
  how: 'pulled' | 'uploaded',
  seed: number,
): Promise<{ entry: BlobEntry; file: string; blob: Blob }> {
  const dir = stores.directory();
  const store = await stores.open(dir);
  const blob = blobOf(4 * unitBytes, seed);
  if (how === 'pulled') await stores.pull(store, blob);
  else await upload(store, 'one', blob);
  return { entry: store.get(blob.digest) as BlobEntry, file: blobFiles(dir)[0] as string, blob };
}

for (const how of ['pulled', 'uploaded'] as const) {
  test(`a ${how} blob that somebody wrote to is hashed again for peers`, async () => {
    const { entry, file } = await stored(how, 40);
    expect(await forPeer(entry, 0)).toBe('ok');
    damage(file, unitBytes + 1);
    expect(await forPeer(entry, 1)).toBe('corrupt');
    expect(entry.has(1)).toBe(false);
    expect(await forPeer(entry, 2)).toBe('ok');
  });
}

test('a piece that somebody wrote to while a slow disk gave it is hashed again for peers', async () => {
  const dir = stores.directory();
  const { workers } = stores;
  let meanwhile = (): void => undefined;
  const slow: PieceIo = {
    arena: workers.arena,
    verifyWrite: (job) => workers.verifyWrite(job),
    hashStream: (algorithm) => workers.hashStream(algorithm),
    readVerify: (job) => {
      meanwhile();
      return workers.readVerify(job);
    },
  };
  const store = await stores.open(dir, { workers: slow });
  const blob = blobOf(4 * unitBytes, 43);
  await upload(store, 'one', blob);
  const entry = store.get(blob.digest) as BlobEntry;
  expect(await forPeer(entry, 1)).toBe('ok');
  meanwhile = () => damage(blobFiles(dir)[0] as string, unitBytes + 1);
  expect(await forPeer(entry, 1)).toBe('corrupt');
});

test('peers get on trust what was seen, readers never do, and doubt ends it', async () => {
  const { entry, file } = await stored('uploaded', 41);
  const { arena } = stores.workers;
  utimesSync(file, 1_000_000, 1_000_000);
  expect(await readAll(arena, entry)).toBeDefined();
  // Decay that leaves no trace: only a hash can tell.
  for (const piece of [0, 2]) damage(file, piece * unitBytes + 9);
  utimesSync(file, 1_000_000, 1_000_000);
  expect(await forPeer(entry, 0)).toBe('ok');
  entry.doubt();
  expect(await forPeer(entry, 0)).toBe('corrupt');
  const slot = arena.tryAcquire('reader', unitBytes)!;
  expect(await entry.read(2, slot)).toBe('corrupt');
  slot.release();
});

test('a piece that nobody has seen since the start is hashed for peers', async () => {
  const dir = stores.directory();
  const store = await stores.open(dir);
  const blob = blobOf(3 * unitBytes, 42);
  await stores.pull(store, blob);
  await stores.close(store);
  damage(blobFiles(dir)[0] as string, 5);
  const entry = (await stores.open(dir)).get(blob.digest) as BlobEntry;
  expect(await forPeer(entry, 0)).toBe('corrupt');
  expect(await forPeer(entry, 1)).toBe('ok');
});

test('a kept piece is lent until its blob goes, and whoever has it then reads on', async () => {
  const store = await stores.open(stores.directory());
  const blob = blobOf(3 * unitBytes, 43);
  const entry = await store.create(blob.digest, blob.meta, blob.hashes);
  const { arena } = stores.workers;
  const slot = await arena.acquire('receive', unitBytes);
  const bytes = blob.bytes.subarray(unitBytes, 2 * unitBytes);
  fill(slot, bytes);
  expect(await entry.write(1, slot)).toBe('held');
  entry.keep(1, slot);
  expect(entry.lend(0, 'reader')).toBeUndefined();
  const loan = entry.lend(1, 'reader')!;
  await store.remove(blob.digest);
  expect(entry.lend(1, 'reader')).toBeUndefined();
  expect(Buffer.compare(Buffer.concat(loan.parts()), bytes)).toBe(0);
  loan.release();
});

test('a piece that is not held is not kept: its slot is free', async () => {
  const store = await stores.open(stores.directory());
  const blob = blobOf(3 * unitBytes, 44);
  const entry = await store.create(blob.digest, blob.meta, blob.hashes);
  entry.keep(1, await stores.workers.arena.acquire('receive', unitBytes));
  expect(entry.lend(1, 'reader')).toBeUndefined();
});
