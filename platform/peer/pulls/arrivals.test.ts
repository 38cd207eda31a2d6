/** What becomes of the memory of a piece that arrived: only what was verified is lent to anybody. */

import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { unitBytes } from '../../../core/piece.ts';
import { blobOf, fill, TestStores } from '../../store/store.fixtures.ts';
import type { Slot } from '../../workers/arena.ts';
import { storeSlot } from './arrivals.ts';

const stores = new TestStores();
beforeAll(() => stores.start());
afterEach(() => stores.after());
afterAll(() => stores.stop());

const always = { wanted: (): boolean => true };

async function slotOf(bytes: Uint8Array): Promise<Slot> {
  const slot = await stores.workers.arena.acquire('receive', bytes.length);
  fill(slot, bytes);
  return slot;
}

test('a piece that is held already and comes again, with any bytes, is lent to nobody', async () => {
  const { arena } = stores.workers;
  const store = await stores.open(stores.directory());
  const blob = blobOf(2 * unitBytes, 50);
  const right = blob.bytes.subarray(0, unitBytes);
  const wrong = right.map((byte) => byte ^ 1);
  const entry = await store.create(blob.digest, blob.meta, blob.hashes);
  expect(await storeSlot(entry, 0, { slot: await slotOf(right), wanted: () => false })).toBe('held');
  const free = arena.freeBytes('receive');
  expect(await storeSlot(entry, 0, { slot: await slotOf(wrong), ...always })).toBe('held');
  expect(entry.lend(0, 'reader')).toBeUndefined();
  expect(arena.freeBytes('receive')).toBe(free);
});

test('a piece that is new is lent once it is verified, and not where it is corrupt', async () => {
  const store = await stores.open(stores.directory());
  const blob = blobOf(2 * unitBytes, 51);
  const right = blob.bytes.subarray(0, unitBytes);
  const entry = await store.create(blob.digest, blob.meta, blob.hashes);
  expect(await storeSlot(entry, 0, { slot: await slotOf(right.map((byte) => byte ^ 1)), ...always })).toBe('corrupt');
  expect(entry.lend(0, 'reader')).toBeUndefined();
  expect(await storeSlot(entry, 0, { slot: await slotOf(right), ...always })).toBe('held');
  const loan = entry.lend(0, 'reader');
  expect(loan && Buffer.from(loan.window(0).subarray(0, unitBytes)).equals(right)).toBe(true);
  loan?.release();
});
