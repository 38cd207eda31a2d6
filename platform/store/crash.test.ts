/**
 * The origin's promise under power cuts and refusals at every single operation of the disk: what was
 * acknowledged is there and whole afterwards; what was not is there whole, or not at all.
 */

import { expect, test } from 'vitest';
import { ApiError } from '../../core/contracts/errors.ts';
import { unitBytes } from '../../core/piece.ts';
import { prng } from '../../core/prng.ts';
import { Arena, SHARES } from '../workers/arena.ts';
import { type FaultPlan, FaultyDisk, faultyRoot } from './disk/faulty-disk.ts';
import { originPromises } from './options.ts';
import { InlinePieceIo } from './pieces/inline-piece-io.ts';
import { type Blob, blobOf, readAll, sameBlob, upload, writeAll } from './store.fixtures.ts';
import { BlobStore } from './store.ts';

const arena = new Arena(32 * unitBytes);
const blobs = [blobOf(0, 1), blobOf(700, 2), blobOf(unitBytes + 5, 3), blobOf(90, 4)] as const;
const [empty, small, large, other] = blobs;
const dir = `${faultyRoot}/a/origin`;

const open = (disk: FaultyDisk, synced = true): Promise<BlobStore> =>
  BlobStore.open({
    dir,
    ...originPromises,
    workers: new InlinePieceIo(arena, disk),
    budgetBytes: 1e9,
    synced,
    disk,
    flushEveryMs: 0,
  });

/** What one run tells: which blobs were acknowledged, which removals. */
type Told = { readonly held: Set<Blob>; readonly removed: Set<Blob> };

/** Everything an origin does to its disk. Goes on after refusals; ends when the power is gone. */
async function life(disk: FaultyDisk, told: Told): Promise<void> {
  const tried = async (work: () => Promise<void>): Promise<void> => {
    if (disk.off) return;
    try {
      await work();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
    }
  };
  let store: BlobStore;
  try {
    store = await open(disk);
  } catch {
    return;
  }
  const push = (id: string, blob: Blob): Promise<void> =>
    tried(async () => {
      await upload(store, id, blob);
      told.held.add(blob);
    });
  await push('one', small);
  await Promise.all([push('two', large), push('three', empty), push('four', large)]);
  await tried(async () => {
    const entry = await store.create(other.digest, other.meta, other.hashes);
    await writeAll(arena, entry, other);
    if (entry.complete) told.held.add(other);
  });
  await tried(async () => {
    told.held.delete(small);
    try {
      await store.remove(small.digest);
      told.removed.add(small);
    } catch {
      // Refused by the disk: it may be gone or not.
    }
  });
  await tried(() => store.flush());
  if (!disk.off) await store[Symbol.asyncDispose]().catch(() => undefined);
}

/** A reboot: the disk works again, and the promises hold. */
async function check(disk: FaultyDisk, told: Told, context: string): Promise<void> {
  disk.plan = undefined;
  disk.crash();
  const store = await open(disk);
  for (const blob of blobs) {
    const entry = store.get(blob.digest);
    if (told.held.has(blob)) expect(entry?.complete, `${context}: acknowledged ${blob.bytes.length} bytes`).toBe(true);
    if (told.removed.has(blob)) expect(entry, `${context}: removed`).toBeUndefined();
    if (entry?.complete !== true) continue;
    expect(sameBlob(await readAll(arena, entry), blob), `${context}: whole ${blob.bytes.length} bytes`).toBe(true);
  }
  expect(
    disk.paths().filter((path) => path.startsWith(`${dir}/uploads/`) || path.startsWith(`${dir}/quarantine/`)),
  ).toEqual([]);
  // It goes on: everything can be pushed again.
  for (const [i, blob] of blobs.entries()) await upload(store, `again-${i}`, blob);
  await store[Symbol.asyncDispose]();
  expect(disk.openCount, `${context}: descriptors left open`).toBe(0);
  for (const share of SHARES) expect(arena.freeBytes(share), context).toBe(arena.shareBytes(share));
}

async function run(
  seed: number,
  plan: FaultPlan | undefined,
  context: string,
): Promise<{ operations: number; told: Told }> {
  const disk = new FaultyDisk({ prng: prng(seed), ...(plan === undefined ? {} : { plan }) });
  const told: Told = { held: new Set(), removed: new Set() };
  await life(disk, told);
  const { operations } = disk;
  await check(disk, told, context);
  return { operations, told };
}

test('without faults everything is acknowledged', async () => {
  const { told, operations } = await run(1, undefined, 'no fault');
  expect(told.held.size).toBe(3);
  expect(told.removed.size).toBe(1);
  expect(operations).toBeGreaterThan(60);
});

test('a power cut at every operation', async () => {
  const { operations } = await run(1, undefined, 'no fault');
  for (let no = 0; no < operations; no += 1) {
    for (let seed = 0; seed < 4; seed += 1) {
      await run(seed, (at) => (at === no ? { kind: 'crash' } : undefined), `crash at ${no}, SEED=${seed}`);
    }
  }
});

test('a kill at every operation, and a power cut once the next process has told of what it holds', async () => {
  const { operations } = await run(1, undefined, 'no fault');
  for (let no = 0; no < operations; no += 1) {
    const context = `killed at ${no}`;
    const disk = new FaultyDisk({ prng: prng(no), plan: (at) => (at === no ? { kind: 'crash' } : undefined) });
    await life(disk, { held: new Set(), removed: new Set() });
    disk.plan = undefined;
    disk.kill();
    const store = await open(disk);
    const held = new Set(blobs.filter((blob) => store.get(blob.digest)?.complete));
    await check(disk, { held, removed: new Set() }, context);
  }
});

for (const code of ['ENOSPC', 'EIO']) {
  test(`${code} at every operation, then a power cut`, async () => {
    const { operations } = await run(1, undefined, 'no fault');
    for (let no = 0; no < operations; no += 1) {
      for (let seed = 0; seed < 2; seed += 1) {
        await run(seed, (at) => (at === no ? { kind: 'fail', code } : undefined), `${code} at ${no}, SEED=${seed}`);
      }
    }
  });
}

test('random refusals all along', async () => {
  for (let seed = 0; seed < 100; seed += 1) {
    const random = prng(seed + 1000);
    const plan: FaultPlan = () => {
      const draw = random.below(60);
      if (draw === 0) return { kind: 'fail', code: 'ENOSPC' };
      if (draw === 1) return { kind: 'fail', code: 'EIO' };
      return random.below(400) === 0 ? { kind: 'crash' } : undefined;
    };
    await run(seed, plan, `random, SEED=${seed}`);
  }
});

test('the check itself can fail: a disk that forgets its syncs is found out', async () => {
  let found = 0;
  for (let seed = 0; seed < 20; seed += 1) {
    const disk = new FaultyDisk({ prng: prng(seed) });
    disk.sync = async () => undefined;
    const told: Told = { held: new Set(), removed: new Set() };
    await life(disk, told);
    await check(disk, told, 'lying disk').catch(() => {
      found += 1;
    });
  }
  expect(found).toBeGreaterThan(0);
});

test('what a store that keeps could not read for a while is whole again by itself: asked again, or at the next start', async () => {
  const disk = new FaultyDisk({ prng: prng(7) });
  const store = await open(disk);
  const entry = await upload(store, 'one', large);
  const read = async (piece: number, how: 'read' | 'reread'): Promise<unknown> => {
    const slot = await arena.acquire('reader', piece === 0 ? unitBytes : 5);
    try {
      return await entry[how](piece, slot);
    } finally {
      slot.release();
    }
  };
  disk.plan = (_, action) => (action === 'read' ? { kind: 'fail', code: 'EIO' } : undefined);
  expect(await read(0, 'read')).toBe('corrupt');
  expect(await read(1, 'read')).toBe('corrupt');
  expect(entry.unread).toEqual([0, 1]);
  expect(await read(0, 'reread')).toBe(false);
  disk.plan = undefined;
  expect(await read(1, 'reread')).toBe(true);
  expect([entry.heldCount, entry.complete, entry.unread]).toEqual([1, false, [0]]);
  await store[Symbol.asyncDispose]();
  const after = await open(disk);
  const again = after.get(large.digest);
  expect(again?.complete).toBe(true);
  expect(sameBlob(again && (await readAll(arena, again)), large)).toBe(true);
  await after[Symbol.asyncDispose]();
});
