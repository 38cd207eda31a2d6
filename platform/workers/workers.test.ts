/** The threads as they run in production: right and wrong bytes, refusals, order, death. */

import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, openSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Bug } from '../../core/assert.ts';
import { hashBytes, unitBytes } from '../../core/piece.ts';
import type { Slot } from './arena.ts';
import { blake3, foldUnits, pieceHash } from './hash.ts';
import { IoFailure } from './piece-io.ts';
import { Workers } from './workers.ts';

const dir = mkdtempSync(join(tmpdir(), 'shoal-workers-'));
let workers: Workers;
let files = 0;

beforeAll(async () => {
  workers = await Workers.start({ count: 2, arenaBytes: 64 * unitBytes });
});
afterAll(async () => {
  await workers[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true });
});

function file(): { path: string; fd: number } {
  files += 1;
  const path = join(dir, `${files}`);
  return { path, fd: openSync(path, 'w+') };
}

function filled(bytes: Uint8Array): Slot {
  const slot = workers.arena.tryAcquire('receive', bytes.length)!;
  let at = 0;
  for (const part of slot.parts()) {
    part.set(bytes.subarray(at, at + part.length));
    at += part.length;
  }
  return slot;
}

const units = (bytes: Uint8Array): Uint8Array[] =>
  Array.from({ length: Math.ceil(bytes.length / unitBytes) }, (_, i) =>
    bytes.subarray(i * unitBytes, (i + 1) * unitBytes),
  );

for (const length of [1, unitBytes - 1, unitBytes, unitBytes + 1, 5 * unitBytes + 77]) {
  test(`a piece of ${length} bytes is written where it belongs and read back verified`, async () => {
    const bytes = randomBytes(length);
    const { path, fd } = file();
    const expected = pieceHash(units(bytes), length > unitBytes);
    const slot = filled(bytes);
    expect(await workers.verifyWrite({ fd, position: 1000, slot, expected })).toBe('held');
    expect(Buffer.compare(readFileSync(path).subarray(1000), bytes)).toBe(0);
    for (const part of slot.parts()) part.fill(0);
    expect(await workers.readVerify({ fd, position: 1000, slot, expected })).toBe('ok');
    expect(Buffer.compare(Buffer.concat(slot.parts()), bytes)).toBe(0);
    slot.release();
  });
}

test('a wrong piece is not written, a changed one not shown as right', async () => {
  const bytes = randomBytes(2 * unitBytes);
  const { path, fd } = file();
  const slot = filled(bytes);
  const expected = pieceHash(units(bytes), true);
  slot.parts()[1]![17]! ^= 1;
  expect(await workers.verifyWrite({ fd, position: 0, slot, expected })).toBe('corrupt');
  expect(readFileSync(path).length).toBe(0);
  bytes[unitBytes + 5]! ^= 1;
  writeFileSync(path, bytes);
  expect(await workers.readVerify({ fd, position: 0, slot, expected })).toBe('corrupt');
  slot.release();
});

test('the short last piece of a blob of larger pieces is hashed folded', async () => {
  const bytes = randomBytes(100);
  const { fd } = file();
  const slot = filled(bytes);
  const expected = blake3(blake3(bytes));
  expect(await workers.verifyWrite({ fd, position: 0, slot, expected })).toBe('corrupt');
  expect(await workers.verifyWrite({ fd, position: 0, slot, expected, folded: true })).toBe('held');
  slot.release();
});

test('a read tells the stamp that the file had, which is another one once somebody wrote to it, and of a refusal none', async () => {
  const bytes = randomBytes(100);
  const { path, fd } = file();
  writeFileSync(path, bytes);
  utimesSync(path, 1, 1_000);
  const slot = workers.arena.tryAcquire('reader', bytes.length)!;
  const stamps: number[] = [];
  const job = { fd, position: 0, slot, expected: blake3(bytes), stamped: (stamp: number) => stamps.push(stamp) > 0 };
  for (const believed of [false, true]) expect(await workers.readVerify({ ...job, believed })).toBe('ok');
  expect(stamps).toEqual([1_000_000, 1_000_000]);
  writeFileSync(path, bytes);
  expect(await workers.readVerify(job)).toBe('ok');
  expect(stamps[2]).toBeGreaterThan(1_000_000);
  expect(await workers.readVerify({ ...job, fd: 99_999 })).toEqual(new IoFailure('EBADF'));
  expect(stamps.length).toBe(3);
  slot.release();
});

test('refusals of the disk carry their errno', async () => {
  const bytes = randomBytes(3 * unitBytes);
  const slot = filled(bytes);
  const expected = pieceHash(units(bytes), true);
  const full = openSync('/dev/full', 'w');
  expect(await workers.verifyWrite({ fd: full, position: 0, slot, expected })).toEqual(new IoFailure('ENOSPC'));
  const { path, fd } = file();
  writeFileSync(path, bytes.subarray(0, unitBytes + 3));
  expect(await workers.readVerify({ fd, position: 0, slot, expected })).toEqual(new IoFailure('SHORT'));
  expect(await workers.readVerify({ fd: 99_999, position: 0, slot, expected })).toEqual(new IoFailure('EBADF'));
  slot.release();
});

for (const algorithm of ['sha256', 'sha512'] as const) {
  test(`streams of ${algorithm} side by side: digest, unit hashes, bytes on disk`, async () => {
    const blobs = [randomBytes(11 * unitBytes + 123), randomBytes(3), randomBytes(4 * unitBytes), new Uint8Array(0)];
    await Promise.all(
      blobs.map(async (bytes) => {
        const { path, fd } = file();
        const stream = workers.hashStream(algorithm);
        const hashes: Uint8Array[] = [];
        const step = 2 * unitBytes;
        const jobs: Promise<void>[] = [];
        for (let position = 0; position < bytes.length; position += step) {
          const slot = filled(bytes.subarray(position, position + step));
          const job = stream.append({ fd, position, slot }).then((got) => {
            hashes.push(got as Uint8Array);
            slot.release();
          });
          jobs.push(job);
        }
        await Promise.all(jobs);
        expect(await stream.finish()).toBe(createHash(algorithm).update(bytes).digest('hex'));
        expect(Buffer.compare(Buffer.concat(hashes), Buffer.concat(units(bytes).map((unit) => blake3(unit))))).toBe(0);
        expect(Buffer.compare(readFileSync(path), bytes)).toBe(0);
      }),
    );
  });
}

test('what is stored can be added to a digest, and a stream that ended takes nothing', async () => {
  const bytes = randomBytes(unitBytes);
  const { path, fd } = file();
  writeFileSync(path, bytes);
  const slot = workers.arena.tryAcquire('reader', bytes.length)!;
  const stream = workers.hashStream('sha256');
  expect(await stream.appendStored({ fd, position: 0, slot })).toBe('ok');
  expect(await stream.finish()).toBe(createHash('sha256').update(bytes).digest('hex'));
  expect(() => stream.abort()).toThrow('ended already');
  slot.release();
});

test('more jobs than a ring holds all get their own verdict', async () => {
  const bytes = randomBytes(50);
  const { fd } = file();
  const slot = filled(bytes);
  const right = blake3(bytes);
  const wrong = new Uint8Array(hashBytes);
  const verdicts = await Promise.all(
    Array.from({ length: 2000 }, (_, i) =>
      workers.verifyWrite({ fd, position: 0, slot, expected: i % 3 === 0 ? wrong : right }),
    ),
  );
  expect(verdicts.map((verdict, i) => verdict === (i % 3 === 0 ? 'corrupt' : 'held')).every(Boolean)).toBe(true);
  slot.release();
});

test('a slot cannot be released while a worker has it', async () => {
  const slot = filled(randomBytes(10));
  const { fd } = file();
  const job = workers.verifyWrite({ fd, position: 0, slot, expected: new Uint8Array(hashBytes) });
  expect(() => slot.release()).toThrow('while a worker has it');
  await job;
  slot.release();
});

test('piece hashes folded from the units of an upload are those of the pieces', () => {
  const bytes = randomBytes(9 * unitBytes + 5);
  const unitHashes = Buffer.concat(units(bytes).map((unit) => blake3(unit)));
  const folded = foldUnits(unitHashes, 4 * unitBytes);
  const pieces = [0, 1, 2].map((i) =>
    pieceHash(units(bytes.subarray(i * 4 * unitBytes, (i + 1) * 4 * unitBytes)), true),
  );
  expect(Buffer.compare(folded, Buffer.concat(pieces))).toBe(0);
  expect(foldUnits(unitHashes, unitBytes)).toBe(unitHashes);
});

test('closing finishes the jobs that were given', async () => {
  const own = await Workers.start({ count: 1, arenaBytes: 8 * unitBytes });
  const slot = own.arena.tryAcquire('receive', 10)!;
  slot.parts()[0]!.fill(1);
  const { fd } = file();
  const job = own.verifyWrite({ fd, position: 0, slot, expected: blake3(new Uint8Array(10).fill(1)) });
  await own[Symbol.asyncDispose]();
  expect(await job).toBe('held');
  await expect(own.verifyWrite({ fd, position: 0, slot, expected: blake3(new Uint8Array(10)) })).rejects.toThrow(
    'after the close',
  );
});

test('a thread that dies fails every job and says so once', async () => {
  const deaths: Bug[] = [];
  const own = await Workers.start({ count: 1, arenaBytes: 8 * unitBytes, onDeath: (bug) => deaths.push(bug) });
  const slot = own.arena.tryAcquire('receive', 10)!;
  // An fd that is no number of the system's: Node throws its own error, which no disk refusal excuses.
  const job = own.readVerify({ fd: -5, position: 0, slot, expected: new Uint8Array(hashBytes) });
  await expect(job).rejects.toThrow('a thread died');
  expect(deaths.length).toBe(1);
  await expect(own.readVerify({ fd: 1, position: 0, slot, expected: new Uint8Array(hashBytes) })).rejects.toThrow(
    'a thread died',
  );
  slot.release();
  await own[Symbol.asyncDispose]();
});

test('an entry that does not load fails the start', async () => {
  const missing = new URL('./no-such-worker.ts', import.meta.url);
  await expect(
    Workers.start({ entry: missing, count: 1, arenaBytes: 8 * unitBytes, onDeath: () => undefined }),
  ).rejects.toThrow('a thread died');
});
