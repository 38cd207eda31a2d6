/** Uploads on the real disk with real worker threads: what is kept, and what is not. */

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { unitBytes } from '../../core/piece.ts';
import { diskError } from './disk/disk.ts';
import { RealDisk } from './disk/real-disk.ts';
import { bytesOnDisk } from './layout.ts';
import { originPromises } from './options.ts';
import { blobFiles, blobOf, TestStores, upload, writePiece } from './store.fixtures.ts';

const stores = new TestStores();
beforeAll(() => stores.start());
afterEach(() => stores.after());
afterAll(() => stores.stop());

test('an upload of any chunks becomes a blob; its file is the bytes and the list', async () => {
  const dir = stores.directory();
  const store = await stores.open(dir, { ...originPromises });
  for (const [i, length] of [1, unitBytes, unitBytes + 1, 11 * unitBytes + 13].entries()) {
    const blob = blobOf(length, 30 + i);
    const running = await store.beginUpload(`upload-${i}`, 'sha256');
    expect(store.upload(`upload-${i}`)).toBe(running);
    for (let at = 0; at < length; at += 77_777) await running.append(blob.bytes.subarray(at, at + 77_777));
    expect(running.offset).toBe(length);
    const entry = await running.commit(blob.digest);
    expect(entry.meta).toEqual(blob.meta);
    expect(Buffer.compare(entry.hashes, blob.hashes)).toBe(0);
    expect(await stores.intact(store, blob)).toBe(true);
    const path = blobFiles(dir).find((file) => file.includes(blob.digest.slice(7)))!;
    expect(Buffer.compare(readFileSync(path), Buffer.concat([blob.bytes, blob.hashes]))).toBe(0);
    expect(store.upload(`upload-${i}`)).toBeUndefined();
  }
  expect(readdirSync(join(dir, 'uploads'))).toEqual([]);
});

test('a wrong digest keeps nothing; another algorithm than begun with is computed', async () => {
  const dir = stores.directory();
  const store = await stores.open(dir, { ...originPromises });
  const [blob, other] = [blobOf(300_000, 40), blobOf(300_000, 41)];
  await expect(upload(store, 'wrong', { ...blob, digest: other.digest })).rejects.toMatchObject({
    code: 'DIGEST_INVALID',
  });
  expect([...store.blobs()]).toEqual([]);
  expect([readdirSync(join(dir, 'uploads')), blobFiles(dir), store.usedBytes]).toEqual([[], [], 0]);
  const long = blobOf(300_000, 40, { algorithm: 'sha512' });
  expect((await upload(store, 'other', long)).digest).toBe(long.digest);
  expect(await stores.intact(store, long)).toBe(true);
});

test('the same blob committed twice at once is one blob; a commit and a removal leave one or none', async () => {
  const dir = stores.directory();
  const store = await stores.open(dir, { ...originPromises });
  const blob = blobOf(600_000, 42);
  const [one, two] = await Promise.all([upload(store, 'one', blob), upload(store, 'two', blob)]);
  expect(one).toBe(two);
  expect(store.usedBytes).toBe(bytesOnDisk(blob.meta));
  expect(blobFiles(dir).length).toBe(1);
  await Promise.all([
    upload(store, 'three', blob),
    store.remove(blob.digest),
    upload(store, 'four', blob),
    store.remove(blob.digest),
  ]);
  const left = store.get(blob.digest);
  expect(blobFiles(dir).length).toBe(left === undefined ? 0 : 1);
  expect(store.usedBytes).toBe(left === undefined ? 0 : bytesOnDisk(blob.meta));
  if (left !== undefined) expect(await stores.intact(store, blob)).toBe(true);
});

test('an upload completes the entry of a pull that is under way', async () => {
  const dir = stores.directory();
  const store = await stores.open(dir, { ...originPromises });
  const blob = blobOf(3 * unitBytes, 43);
  const entry = await store.create(blob.digest, blob.meta, blob.hashes);
  await writePiece({ arena: stores.workers.arena, entry, blob }, 1);
  expect(await upload(store, 'whole', blob)).toBe(entry);
  expect(entry.complete).toBe(true);
  expect(await writePiece({ arena: stores.workers.arena, entry, blob }, 0)).toBe('held');
  expect(await stores.intact(store, blob)).toBe(true);
  await store.flush();
  expect(blobFiles(dir).length).toBe(1);
  expect(store.usedBytes).toBe(bytesOnDisk(blob.meta));
});

test('a cancelled upload leaves nothing, whatever it was doing; half uploads are gone after a restart', async () => {
  const dir = stores.directory();
  let store = await stores.open(dir);
  const running = await store.beginUpload('cancelled', 'sha256');
  await expect(store.beginUpload('cancelled', 'sha256')).rejects.toMatchObject({ code: 'BLOB_UPLOAD_INVALID' });
  const appended = running.append(new Uint8Array(5_000_000));
  const cancelled = running.cancel();
  await expect(appended).rejects.toMatchObject({ code: 'BLOB_UPLOAD_UNKNOWN' });
  await cancelled;
  await running.cancel();
  await expect(running.append(new Uint8Array(1))).rejects.toMatchObject({ code: 'BLOB_UPLOAD_UNKNOWN' });
  expect([readdirSync(join(dir, 'uploads')), store.usedBytes]).toEqual([[], 0]);
  await (await store.beginUpload('half', 'sha256')).append(new Uint8Array(10));
  await stores.close(store);
  writeFileSync(join(dir, 'uploads', 'left-by-a-crash'), 'half');
  store = await stores.open(dir);
  expect(readdirSync(join(dir, 'uploads'))).toEqual([]);
});

test('a client that is slow holds no memory, and its bytes are not hurt by it', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  try {
    const store = await stores.open(stores.directory(), { ...originPromises });
    const { arena } = stores.workers;
    const blob = blobOf(7 * unitBytes + 99, 60);
    const running = await store.beginUpload('slow', 'sha256');
    const cuts = [100, unitBytes, 5 * unitBytes + unitBytes / 2, 5 * unitBytes + unitBytes - 1, blob.bytes.length];
    let at = 0;
    for (const cut of cuts) {
      await running.append(blob.bytes.subarray(at, cut));
      at = cut;
      vi.advanceTimersByTime(1000);
      while (arena.freeBytes('receive') < arena.shareBytes('receive')) await new Promise(setImmediate);
    }
    expect(running.offset).toBe(blob.bytes.length);
    await running.commit(blob.digest);
    expect(await stores.intact(store, blob)).toBe(true);
    const dropped = await store.beginUpload('dropped', 'sha256');
    await dropped.append(new Uint8Array(10));
    vi.advanceTimersByTime(1000);
    await dropped.cancel();
    expect(store.usedBytes).toBe(bytesOnDisk(blob.meta));
  } finally {
    vi.useRealTimers();
  }
});

test('a large upload is synced as it arrives, and a sync that fails fails it', async () => {
  const disk = new RealDisk();
  let syncs = 0;
  const failing = Object.assign(new RealDisk(), {
    sync: async (fd: number): Promise<void> => {
      syncs += 1;
      if (syncs > 1) throw diskError('EIO', 'sync', `fd ${fd}`);
      await disk.sync(fd);
    },
  });
  const store = await stores.open(stores.directory(), { ...originPromises, disk: failing });
  const running = await store.beginUpload('large', 'sha256');
  const chunk = new Uint8Array(1024 * 1024);
  syncs = 0;
  const send = async (): Promise<void> => {
    for (let i = 0; i < 100; i += 1) await running.append(chunk);
  };
  await expect(send()).rejects.toMatchObject({ code: 'UNAVAILABLE', message: expect.stringContaining('EIO') });
  expect(syncs).toBe(2);
  await running.cancel();
  expect(store.usedBytes).toBe(0);
});
