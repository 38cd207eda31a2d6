import { fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { prng } from '../../core/prng.ts';
import { SqliteDatabase } from '../sqlite/database.ts';
import { makeCalls } from './calls.ts';
import { openQueueFile } from './file.ts';
import { askedMsMax, finalAttemptsMax, Queue, rowAgain } from './queue.ts';
import type { NewRow, Row } from './row.ts';
import { runHere, runInThread } from './runners.ts';
import { QueueTable, queueTableSteps } from './table.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'shoal-queue-'));
});
afterEach(() => rm(dir, { recursive: true }));

const broken = (error: Error): never => {
  throw error;
};
const file = (): string => join(dir, 'queue.db');
const options = (rowsMax = 1_000) => ({ file: file(), name: 'test queue', rowsMax });
let nowMs = 1_000_000;
const inMemory = (rowsMax = 1_000): Queue =>
  new Queue({
    runner: runHere({ ...options(rowsMax), file: ':memory:' }, broken),
    nowMs: () => nowMs,
    random: prng(7),
  });
const inThread = async (): Promise<Queue> =>
  new Queue({ runner: await runInThread(options(), broken), nowMs: Date.now, random: prng(7) });
const row = (key: string, lane = 'a'): NewRow => ({ key, lane, about: `about ${key}`, bytes: 5, data: key });
const keys = (rows: readonly Row[]): string[] => rows.map(({ key }) => key);
const down = { cause: 'unavailable', message: 'a: down', final: false };
const wrong = { cause: 'refused', message: 'a: no', final: true };

describe('a queue', () => {
  test('a row is taken by one, in the order of adding, and is gone when it is done', async () => {
    await using queue = inMemory();
    await Promise.all(['1', '2', '3'].map((key) => queue.add([row(key)])));
    const [first] = await queue.take('a', 1);
    expect(keys([first as Row])).toEqual(['1']);
    expect(keys(await queue.take('a', 5))).toEqual(['2', '3']);
    expect(await queue.take('a', 5)).toEqual([]);
    expect(await queue.done(first as Row)).toBe(true);
    expect(keys((await queue.list({}, { max: 9 })).rows)).toEqual(['2', '3']);
  });

  test('a key has one row; one that is added while it is being done is done once more', async () => {
    await using queue = inMemory();
    await queue.add([row('1')]);
    const [taken] = await queue.take('a', 1);
    await queue.add([{ ...row('1'), data: 'newer' }]);
    expect(await queue.done(taken as Row)).toBe(false);
    expect(await queue.take('a', 5)).toMatchObject([{ key: '1', data: 'newer' }]);
  });

  test('what fails is tried again later, longer and longer, and other lanes do not wait for it', async () => {
    await using queue = inMemory();
    await queue.add([row('1'), row('2', 'b')]);
    for (let attempt = 0; attempt < 40; attempt++) {
      const [taken] = await queue.take('a', 5);
      await queue.failed(taken as Row, down);
      const waitMs = (await queue.dueInMs('a')) as number;
      expect(waitMs).toBeLessThanOrEqual(rowAgain.delayMsMax);
      nowMs += waitMs;
    }
    expect(await queue.get('1')).toMatchObject({ attempts: 40, cause: 'unavailable', message: 'a: down', dead: false });
    expect(keys(await queue.take('b', 5))).toEqual(['2']);
    const [taken] = await queue.take('a', 5);
    await queue.failed(taken as Row, { ...down, afterMs: 1_000_000 });
    expect(await queue.dueInMs('a')).toBe(1_000_000);
  });

  test('a backend that asks to be left alone for years is asked again, and the row can be read', async () => {
    await using queue = inMemory();
    await queue.add([row('1')]);
    const [first] = await queue.take('a', 1);
    await queue.failed(first as Row, { ...down, afterMs: 1e18 });
    expect(await queue.dueInMs('a')).toBe(askedMsMax);
  });

  test('what another attempt does not change is dead after a few, and waits for a person', async () => {
    await using queue = inMemory();
    await queue.add([row('1'), row('2')]);
    for (let attempt = 1; attempt <= finalAttemptsMax; attempt++) {
      nowMs += rowAgain.delayMsMax;
      const [taken] = await queue.take('a', 1);
      expect(await queue.failed(taken as Row, wrong)).toBe(attempt === finalAttemptsMax);
      for (const other of await queue.take('a', 5)) await queue.postpone(other, rowAgain.delayMsMax);
    }
    nowMs += rowAgain.delayMsMax;
    expect(keys((await queue.list({ dead: true }, { max: 9 })).rows)).toEqual(['1']);
    expect(await queue.held(['about 1', 'about 3'])).toEqual(new Set(['about 1']));
    expect(await queue.stats()).toMatchObject([
      { lane: 'a', waiting: 1, bytes: 5, dead: 1, oldestMs: expect.any(Number), causes: { refused: 1 } },
    ]);
    // What is not dead is not dropped.
    expect(await queue.drop('2')).toBe(0);
    expect(await queue.retry()).toBe(1);
    expect(keys(await queue.take('a', 5)).sort()).toEqual(['1', '2']);
  });

  test('a dead row is dropped by its key, and an added one lives again', async () => {
    await using queue = inMemory();
    for (const key of ['1', '2']) {
      await queue.add([row(key)]);
      for (let attempt = 1; attempt <= finalAttemptsMax; attempt++) {
        nowMs += rowAgain.delayMsMax;
        const [taken] = await queue.take('a', 1);
        await queue.failed(taken as Row, wrong);
      }
    }
    expect(await queue.drop('1')).toBe(1);
    await queue.add([row('2')]);
    expect(await queue.get('2')).toMatchObject({ dead: false, attempts: 0 });
    expect(await queue.drop()).toBe(0);
  });

  test('beyond its limit rows are refused, and those that are there stay', async () => {
    await using queue = inMemory(2);
    await queue.add([row('1')]);
    await expect(queue.add([row('2'), row('3')])).rejects.toMatchObject({ code: 'STORAGE_FULL' });
    await queue.add([row('2')]);
    expect(keys((await queue.list({}, { max: 9 })).rows)).toEqual(['1', '2']);
  });

  test('pages', async () => {
    await using queue = inMemory();
    await queue.add(Array.from({ length: 25 }, (_, i) => row(String(i), i % 5 === 0 ? 'b' : 'a')));
    const first = await queue.list({ lane: 'a' }, { max: 12 });
    const second = await queue.list({ lane: 'a' }, { max: 12, after: first.next });
    expect([first.rows.length, second.rows.length, second.next]).toEqual([12, 8, undefined]);
  });

  test('a clock that is set back holds nothing up', async () => {
    await using queue = inMemory();
    await queue.add([row('1')]);
    const [taken] = await queue.take('a', 1);
    await queue.failed(taken as Row, down);
    nowMs -= 1_000_000_000;
    expect(await queue.dueInMs('a')).toBeLessThanOrEqual(rowAgain.delayMsMax);
    nowMs += 1_000_000_000;
  });
});

describe('its file', () => {
  test('killed at any moment, it has every row that was promised and was not being done', async () => {
    for (const after of [1, 60, 300]) {
      const child = fork(new URL('./writer.fixtures.ts', import.meta.url), [file()], {
        execPath: join(import.meta.dirname, '../../node_modules/.bin/node'),
        stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      });
      const promised = new Set<number>();
      const enough = Promise.withResolvers<void>();
      child.on('message', (told: { added: number } | { doing: number }) => {
        if ('doing' in told) promised.delete(told.doing);
        else promised.add(told.added);
        if ('added' in told && told.added >= after) enough.resolve();
      });
      await enough.promise;
      child.kill('SIGKILL');
      await once(child, 'close');
      await using queue = await inThread();
      const there = await queue.held([...promised].map((no) => `d${no}`));
      expect(there.size).toBe(promised.size);
      expect(promised.size).toBeGreaterThan(0);
    }
  });

  test('it is fresh until it is said to be complete, and as of something else for longer', async () => {
    {
      await using queue = await inThread();
      expect(await queue.fresh('rules')).toBe(true);
      await queue.add([row('1')]);
    }
    {
      await using queue = await inThread();
      expect(await queue.fresh('rules')).toBe(true);
      await queue.complete('rules');
    }
    await using queue = await inThread();
    expect(await queue.fresh('rules')).toBe(false);
    expect(await queue.fresh('other rules')).toBe(true);
    expect(keys(await queue.take('a', 5))).toEqual(['1']);
  });

  test.each([
    ['no database', async () => writeFile(file(), 'x'.repeat(10_000))],
    [
      'a page overwritten',
      async () => {
        const bytes = await readFile(file());
        bytes.fill(0xa5, 4096 * 2, 4096 * 6);
        await writeFile(file(), bytes);
      },
    ],
  ])('a damaged one is set aside as it is, and begun anew: %s', async (_, damage) => {
    {
      await using queue = await inThread();
      await queue.add(Array.from({ length: 200 }, (__, i) => row(String(i))));
      await queue.complete('rules');
    }
    await damage();
    const before = await readFile(file());
    const runner = await runInThread(options(), broken);
    await using queue = new Queue({ runner, nowMs: Date.now, random: prng(7) });
    expect(runner.damaged).toMatchObject({ file: `${file()}.damaged-1`, why: expect.any(String) });
    expect((await readFile(`${file()}.damaged-1`)).equals(before)).toBe(true);
    expect(await queue.fresh('rules')).toBe(true);
    expect(await queue.take('a', 5)).toEqual([]);
  });

  test('one of a newer release, or of somebody else, is refused and left as it is', async () => {
    openQueueFile(options(), broken).db[Symbol.dispose]();
    const { db } = openQueueFile(options(), broken);
    db.connection.exec('UPDATE queue_version SET version = 9');
    db[Symbol.dispose]();
    await expect(runInThread(options(), broken)).rejects.toMatchObject({
      name: 'StartError',
      message: expect.stringContaining('version 9'),
    });
    expect(existsSync(`${file()}.damaged-1`)).toBe(false);
  });

  test('one of the first version is migrated, with its rows', () => {
    const [first = ''] = queueTableSteps;
    const schema = { name: 'test queue', owner: 'a Shoal queue', versionTable: 'queue_version', steps: [first] };
    const before = new SqliteDatabase({ file: file(), schema, onBroken: broken });
    new QueueTable(before.connection, { name: 'it', rowsMax: 9 }).add([row('1')], 0);
    before.connection.exec('UPDATE queue_state SET complete = 1');
    before[Symbol.dispose]();
    const { db, table } = openQueueFile(options(), broken);
    expect(keys(table.list({}, { max: 9 }).rows)).toEqual(['1']);
    expect(table.fresh('rules')).toBe(true);
    db[Symbol.dispose]();
  });

  test('a full disk: what does not fit is refused whole, and what was promised stays', () => {
    const { db, table } = openQueueFile(options(100_000), broken);
    db.connection.exec('PRAGMA max_page_count = 40');
    const add = (no: number) =>
      makeCalls(db, table, [
        { name: 'add', args: [[row(`${no}-1`), { ...row(`${no}-2`), data: 'x'.repeat(2_000) }], 0] },
      ]);
    let no = 0;
    while (Array.isArray(add(no))) no += 1;
    expect(add(no)).toMatchObject({ failed: { code: 'STORAGE_FULL', message: expect.stringContaining('is full') } });
    db[Symbol.dispose]();
    const again = openQueueFile(options(100_000), broken);
    expect(again.table.list({}, { max: 1_000 }).rows.length).toBe(2 * no);
    again.db[Symbol.dispose]();
  });
});
