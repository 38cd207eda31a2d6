/** The shared store: one copy of the bytes, but each agent hashes what it receives and gives only what it has. */

import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { digestOf } from '../../core/digest.ts';
import { unitBytes } from '../../core/piece.ts';
import { Arena, type Slot } from '../../platform/workers/arena.ts';
import { blake3 } from '../../platform/workers/hash.ts';
import { agentStore, SharedBytes } from './store.ts';

const digest = digestOf('sha256', 'a'.repeat(64));
const meta = { length: 2 * unitBytes, pieceLength: unitBytes, root: 'b'.repeat(64) };
const arena = new Arena(16 * unitBytes);
let dir: string;
let bytes: SharedBytes;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'shoal-live-'));
  bytes = new SharedBytes(dir);
});
afterEach(() => {
  bytes[Symbol.dispose]();
  rmSync(dir, { recursive: true });
});

function slotOf(fill: number): Slot {
  const slot = arena.tryAcquire('receive', unitBytes) as Slot;
  slot.window(0).fill(fill);
  return slot;
}

const hashes = Buffer.concat([1, 2].map((fill) => blake3(new Uint8Array(unitBytes).fill(fill))));

test('an agent has what it received itself, and nothing else', async () => {
  const [one, other] = [agentStore(bytes), agentStore(bytes)];
  const mine = await one.create(digest, meta, hashes);
  const theirs = await other.create(digest, meta, hashes);
  const [right, wrong] = [slotOf(1), slotOf(9)];
  expect(await mine.write(0, right)).toBe('held');
  expect(mine.has(0)).toBe(true);
  expect(theirs.has(0)).toBe(false);
  expect(await theirs.read(0, wrong)).toBe('failed');
  // Its bytes are there, from the first agent: all the same they are hashed.
  expect(await theirs.write(0, wrong)).toBe('corrupt');
  expect(theirs.has(0)).toBe(false);
  expect(await theirs.write(0, right)).toBe('held');
  expect([...theirs.haveBits()]).toEqual([1]);
  right.release();
  wrong.release();
});

test('what was written is read back; the last piece makes it complete; no file stays behind', async () => {
  const entry = await agentStore(bytes).create(digest, meta, hashes);
  const [first, second, read] = [slotOf(1), slotOf(2), slotOf(0)];
  await entry.write(1, second);
  expect(entry.complete).toBe(false);
  await entry.write(0, first);
  expect(entry.complete).toBe(true);
  expect(await entry.read(1, read)).toBe('ok');
  expect(read.window(0)[unitBytes - 1]).toBe(2);
  expect(readdirSync(dir)).toEqual([]);
  for (const slot of [first, second, read]) slot.release();
});
