/** Who waits for a blob and its pieces, when they are told, and what a ban costs. Time is a number. */

import { expect, onTestFinished, test } from 'vitest';
import { ApiError } from '../../../core/contracts/errors.ts';
import { hashBytes, unitBytes } from '../../../core/piece.ts';
import { prng } from '../../../core/prng.ts';
import { bansMax } from '../../../core/swarm/limits.ts';
import { defaultPolicy } from '../../../core/swarm/policy.ts';
import { Bans } from '../../../core/swarm/records/bans.ts';
import { FaultyDisk, faultyRoot } from '../../store/disk/faulty-disk.ts';
import { GrowingEntry } from '../../store/growing/entry.ts';
import { agentPromises } from '../../store/options.ts';
import type { BlobEntry } from '../../store/pieces/entry.ts';
import { InlinePieceIo } from '../../store/pieces/inline-piece-io.ts';
import { blobOf, writePiece } from '../../store/store.fixtures.ts';
import { BlobStore } from '../../store/store.ts';
import { Arena } from '../../workers/arena.ts';
import { blake3Hex } from '../../workers/hash.ts';
import { askAfterMs, orphanStallMs } from '../limits.ts';
import { Part } from './part.ts';

const limits = { stallMs: 60_000, learnMs: 10_000 };

const arena = new Arena(16 * unitBytes);
/** Four pieces. */
const blob = blobOf(4 * unitBytes, 1, { pieceLength: unitBytes });
const { digest } = blob;

/** Its entry in a store of its own, in memory: none of it held. `budgetBytes`: below its length it passes through. */
async function entryOf(budgetBytes = 1e9): Promise<BlobEntry> {
  const disk = new FaultyDisk({ prng: prng(1) });
  const o = { dir: `${faultyRoot}/data`, ...agentPromises, workers: new InlinePieceIo(arena, disk), budgetBytes, disk };
  const store = await BlobStore.open(o);
  onTestFinished(() => store[Symbol.asyncDispose]());
  return await store.create(digest, blob.meta, blob.hashes);
}

function scene() {
  const clock = { nowMs: 0 };
  const readers: string[] = [];
  const told: string[] = [];
  const part = new Part(
    digest,
    { pulls: true, given: false },
    {
      nowMs: () => clock.nowMs,
      lingerMs: 10_000,
      watcher: {
        passes: () => told.push('passes'),
        ended: (_pull, end, error) => told.push(error === undefined ? end : `${end}: ${error.message}`),
      },
      readerAt: (_part, reader, { at, end }) => readers.push(`${reader}: ${at}-${end}`),
      waits: () => undefined,
      readerGone: (_part, reader) => readers.push(`${reader} gone`),
    },
  );
  const codes: string[] = [];
  const note = (promise: Promise<unknown>, name: string): void => {
    promise.then(
      () => codes.push(name),
      (error) => codes.push(`${name} ${error instanceof ApiError ? error.code : String(error)}`),
    );
  };
  return { clock, readers, told, part, codes, note };
}

const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('waiters hear of their piece, once, and the blob is pinned until it is whole', async () => {
  const { part, codes, note } = scene();
  const entry = await entryOf();
  note(part.learned(), 'learned');
  note(part.waitFor(2), 'two');
  note(part.waitFor(2), 'two again');
  note(part.waitFor(3), 'three');
  part.enter(entry, 'learned');
  expect(entry.pinned).toBe(true);
  expect(await writePiece({ arena, entry, blob }, 2)).toBe('held');
  part.held(2);
  await tick();
  expect(codes).toEqual(['learned', 'two', 'two again']);
  note(part.waitFor(2), 'two at once');
  part.finish();
  await tick();
  expect(codes.slice(3).sort()).toEqual(['three', 'two at once']);
  expect(entry.pinned).toBe(false);
  await part.complete;
});

test('a stall rejects who has waited that long, not who came later, and not while bytes come', async () => {
  const { clock, part, codes, note } = scene();
  part.enter(await entryOf(), 'learned');
  note(part.waitFor(1), 'early');
  clock.nowMs = 50_000;
  part.progressMs = clock.nowMs;
  part.sweep(65_000, limits);
  await tick();
  expect(codes).toEqual([]);
  clock.nowMs = 100_000;
  note(part.waitFor(1), 'late');
  part.sweep(111_000, limits);
  await tick();
  expect(codes).toEqual(['early SWARM_STALLED']);
  expect(part.state).toBe('pulling');
  part.sweep(161_000, limits);
  await tick();
  expect(codes).toEqual(['early SWARM_STALLED', 'late SWARM_STALLED']);
});

test('who waits to learn of the blob hears UNAVAILABLE in time; a failure is final and tells everybody', async () => {
  const { clock, part, codes, note } = scene();
  note(part.learned(), 'first');
  clock.nowMs = 9_000;
  note(part.learned(), 'second');
  part.sweep(10_001, limits);
  await tick();
  expect(codes).toEqual(['first UNAVAILABLE']);
  note(part.complete, 'complete');
  note(part.waitFor(0), 'piece');
  part.fail('unknown', new ApiError('BLOB_UNKNOWN', 'gone'));
  note(part.learned(), 'after');
  await tick();
  expect(codes.slice(1).sort()).toEqual(['after', 'complete', 'piece', 'second'].map((name) => `${name} BLOB_UNKNOWN`));
});

test('a signal ends one wait, and only that', async () => {
  const { part, codes, note } = scene();
  part.enter(await entryOf(), 'learned');
  const leaving = new AbortController();
  note(part.waitFor(1, leaving.signal), 'left');
  note(part.waitFor(1), 'stayed');
  leaving.abort('bye');
  await tick();
  expect(codes).toEqual(['left bye']);
  part.held(1);
  await tick();
  expect(codes).toEqual(['left bye', 'stayed']);
});

test('readers say where they stand, and nothing after they are closed', () => {
  const { part, readers } = scene();
  const reader = part.reader(3, 9);
  reader.move(3);
  reader.move(4);
  expect(part.used).toBe(true);
  reader.close();
  reader.close();
  reader.move(5);
  expect(readers).toEqual(['0: 3-9', '0: 4-9', '0 gone']);
  expect(part.used).toBe(false);
});

test('a pull that is read is told of once, when it ends; its times are those of its readers', async () => {
  const { clock, part, told } = scene();
  clock.nowMs = 100;
  const [one, two] = [part.use(), part.use()];
  expect([part.running, part.used, part.stats.users, part.stats.startedMs]).toEqual([true, true, 2, 100]);
  part.enter(await entryOf(), 'learned');
  for (clock.nowMs of [150, 170]) one.gave();
  one[Symbol.dispose]();
  one[Symbol.dispose]();
  clock.nowMs = 200;
  two[Symbol.dispose]();
  expect(part.used).toBe(false);
  expect(part.unused(10_200)).toBeUndefined();
  expect(part.unused(10_201)).toBe('unwanted');
  const again = part.use();
  expect(part.stats).toMatchObject({ users: 1, startedMs: 100, firstByteMs: 150, lastByteMs: 170 });
  part.finish();
  expect([told, part.running]).toEqual([['complete'], false]);

  // A piece goes bad while it is still being read: that is another pull.
  clock.nowMs = 300;
  part.reopen();
  expect([part.running, part.stats.startedMs, part.stats.firstByteMs]).toEqual([true, 300, undefined]);
  again[Symbol.dispose]();
  part.fail('unwanted', new Error('nobody'));
  expect(told).toEqual(['complete', 'unwanted: nobody']);
});

test('what nobody read is told of to nobody, and is not ended for want of readers', async () => {
  const { part, told } = scene();
  part.enter(await entryOf(), 'learned');
  expect(part.unused(1e9)).toBeUndefined();
  part.finish();
  part.use()[Symbol.dispose]();
  part.fail('dropped', new Error('removed'));
  expect(told).toEqual([]);
});

test('that a blob passes through is said once, whether its reader was there before or after', async () => {
  for (const first of [true, false]) {
    const { part, told } = scene();
    const entry = await entryOf(unitBytes);
    expect(entry.window).toBeDefined();
    if (first) part.use();
    part.enter(entry, 'learned');
    part.use();
    part.use();
    expect(told).toEqual(['passes']);
  }
});

test('bans double, end, and are bounded in number and length', () => {
  const { banMs, banMsMax } = defaultPolicy;
  const bans = new Bans(defaultPolicy);
  expect([bans.strike('a', 0), bans.strike('a', 0)]).toEqual([banMs, 2 * banMs]);
  expect(bans.banned('a', 2 * banMs - 1)).toBe(true);
  expect(bans.banned('a', 2 * banMs)).toBe(false);
  for (let i = 0; i < 20; i++) bans.strike('a', 0);
  expect(bans.strike('a', 0)).toBe(banMsMax);
  for (let i = 0; i < bansMax; i++) bans.strike(`other ${i}`, 0);
  expect(bans.banned('a', 0)).toBe(false);
  expect(bans.banned('other 0', 0)).toBe(true);
});

test('who waits for what is nowhere hears so within seconds; the trackers are asked as soon as nothing comes', async () => {
  const { clock, part, codes, note } = scene();
  part.enter(await entryOf(), 'learned');
  clock.nowMs = 5 * askAfterMs;
  expect(part.asks(clock.nowMs)).toBe(false);
  note(part.waitFor(1), 'one');
  expect(part.asks(clock.nowMs)).toBe(true);
  expect(part.asks(clock.nowMs + askAfterMs)).toBe(false);
  expect(part.asks(clock.nowMs + 2 * askAfterMs)).toBe(true);
  clock.nowMs += orphanStallMs + 1;
  part.sweep(clock.nowMs, limits);
  await tick();
  expect(codes).toEqual([]);
  part.orphaned = true;
  part.sweep(clock.nowMs, limits);
  await tick();
  expect(codes).toEqual(['one BLOB_UNKNOWN']);

  // It comes again: nobody is told so any more.
  note(part.waitFor(2), 'two');
  clock.nowMs += orphanStallMs - 1;
  part.came();
  clock.nowMs += orphanStallMs + 1;
  part.sweep(clock.nowMs, limits);
  await tick();
  expect(codes).toEqual(['one BLOB_UNKNOWN']);
});

test('a blob that grows stalls only when nothing of it comes or becomes known; its end is told once its list is whole', async () => {
  const { clock, part, codes, note } = scene();
  const disk = new FaultyDisk({ prng: prng(2) });
  const o = { dir: `${faultyRoot}/data`, ...agentPromises, workers: new InlinePieceIo(arena, disk), disk };
  const store = await BlobStore.open({ ...o, budgetBytes: 1e9 });
  onTestFinished(() => store[Symbol.asyncDispose]());
  const hashes = blob.hashes.subarray(0, 2 * hashBytes);
  const growth = { ...blob.meta, known: 2, root: blake3Hex(hashes) };
  const entry = await store.growing.create(digest, growth, hashes);
  part.enter(entry, 'grows');
  expect([part.state, entry.pinned]).toEqual(['growing', true]);
  note(part.waitFor(3), 'three');
  note(part.settled(), 'settled');
  clock.nowMs = limits.stallMs;
  part.grew();
  clock.nowMs += limits.stallMs;
  part.sweep(clock.nowMs, limits);
  await tick();
  expect([codes, part.used]).toEqual([[], true]);
  clock.nowMs += 1;
  part.sweep(clock.nowMs, limits);
  await tick();
  expect(codes).toEqual(['settled SWARM_STALLED', 'three SWARM_STALLED']);
  note(part.settled(), 'settled');
  if (entry instanceof GrowingEntry) await store.growing.settle(entry, blob.meta, blob.hashes);
  part.settle('settled');
  note(part.settled(), 'again');
  await tick();
  expect([part.state, codes.slice(2)]).toEqual(['pulling', ['again', 'settled']]);
});
