import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { StartError } from '../lifecycle/errors.ts';
import { SqliteDatabase, type SqliteSchema } from './database.ts';

let dir: string;
let broken: Error[];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'shoal-sqlite-'));
  broken = [];
});
afterEach(() => rmSync(dir, { recursive: true }));

const STEPS = ['CREATE TABLE one (x)', 'CREATE TABLE two (x); INSERT INTO two SELECT x + 1 FROM one'];
/** A thread that holds the database's lock, says so, and has migrated it half a second later. */
const MIGRATES = `
  const { parentPort, workerData } = require('node:worker_threads');
  const db = new (require('node:sqlite').DatabaseSync)(workerData.file);
  db.exec('BEGIN IMMEDIATE');
  parentPort.postMessage('locked');
  setTimeout(() => {
    db.exec(workerData.step + '; UPDATE test_version SET version = 2; COMMIT');
    db.close();
  }, 500);
`;
const schemaOf = (steps: readonly string[]): SqliteSchema => {
  return { name: 'test database', owner: 'a test', versionTable: 'test_version', steps };
};
const file = (): string => join(dir, 'test.db');
const open = (steps: readonly string[] = STEPS, busyMs = 10): SqliteDatabase =>
  new SqliteDatabase({ file: file(), schema: schemaOf(steps), busyMs, onBroken: (error) => broken.push(error) });
const rows = (query: string): unknown[] => {
  using db = new DatabaseSync(file());
  return db
    .prepare(query)
    .all()
    .map((row) => Object.values(row)[0]);
};
/** What opening it again is refused with; the file is as it was, to the byte. */
function refusal(steps?: readonly string[]): string {
  const before = readFileSync(file());
  const error = thrown(() => open(steps));
  expect(error).toBeInstanceOf(StartError);
  expect(readFileSync(file()).equals(before)).toBe(true);
  return (error as Error).message;
}
function thrown(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
}

describe('opening', () => {
  test('makes a new one of the latest version, and one of an older version whole', () => {
    open(STEPS.slice(0, 1))[Symbol.dispose]();
    using old = new DatabaseSync(file());
    old.exec('INSERT INTO one VALUES (7)');
    open()[Symbol.dispose]();
    expect(rows('SELECT version FROM test_version')).toEqual([2]);
    expect(rows('SELECT x FROM two')).toEqual([8]);
    open()[Symbol.dispose]();
    expect(rows('SELECT x FROM two')).toEqual([8]);
  });

  test('a migration that fails half way has changed nothing', () => {
    open(STEPS.slice(0, 1))[Symbol.dispose]();
    expect(refusal([...STEPS, 'INSERT INTO nowhere VALUES (1)'])).toMatch(/^test database .*nowhere/);
    expect(rows('SELECT name FROM sqlite_schema')).toEqual(['test_version', 'one']);
    expect(rows('SELECT version FROM test_version')).toEqual([1]);
  });

  test('one of a newer version is refused, and left as it is', () => {
    open()[Symbol.dispose]();
    expect(refusal(STEPS.slice(0, 1))).toBe(
      `test database ${file()} has schema version 2, this process needs 1: run the version of Shoal that wrote it`,
    );
  });

  test("another owner's, and what is no database, are refused and left as they are", () => {
    const foreign = new DatabaseSync(file());
    foreign.exec('CREATE TABLE mine (x)');
    foreign.close();
    expect(refusal()).toContain('is a database, but not of a test');
    writeFileSync(file(), 'no database at all, but long enough to be read as a header '.repeat(20));
    expect(refusal()).toContain('cannot be opened: file is not a database');
  });

  test('one that another process migrates is waited for, and not migrated twice', async () => {
    open(STEPS.slice(0, 1))[Symbol.dispose]();
    const other = new Worker(MIGRATES, { eval: true, workerData: { file: file(), step: STEPS[1] } });
    await once(other, 'message');
    open(STEPS, 20_000)[Symbol.dispose]();
    expect(rows('SELECT version FROM test_version')).toEqual([2]);
    await once(other, 'exit');
  });

  test('one that another process keeps locked is refused, and left as it is', () => {
    open(STEPS.slice(0, 1))[Symbol.dispose]();
    using other = new DatabaseSync(file());
    other.exec('BEGIN IMMEDIATE');
    expect(refusal()).toContain('cannot be opened: database is locked');
  });
});

describe('a transaction', () => {
  test.each([
    ['a full disk', 'PRAGMA max_page_count = 1', 'STORAGE_FULL', 'PRAGMA max_page_count = 1000000'],
    ['a database that may only be read', 'PRAGMA query_only = 1', 'UNAVAILABLE', 'PRAGMA query_only = 0'],
  ])('%s is a refusal: nothing of it happened, and the next one may succeed', (_name, begin, code, end) => {
    using database = open();
    const write = (): void => database.connection.exec(`INSERT INTO one VALUES ('${'x'.repeat(10_000)}')`);
    database.connection.exec(begin);
    expect(thrown(() => database.transaction(write))).toMatchObject({ code });
    database.connection.exec(end);
    database.transaction(write);
    expect(rows('SELECT count(*) FROM one')).toEqual([1]);
    expect(broken).toEqual([]);
  });

  test("another process's lock is a refusal", () => {
    using database = open();
    using other = new DatabaseSync(file());
    other.exec('BEGIN IMMEDIATE');
    expect(thrown(() => database.transaction(() => undefined))).toMatchObject({ code: 'UNAVAILABLE' });
    expect(broken).toEqual([]);
  });

  test('after any other failure nothing more is acknowledged', () => {
    using database = open();
    const failed = thrown(() =>
      database.transaction(() => {
        database.connection.exec('INSERT INTO one VALUES (1)');
        throw new Error('disk I/O error');
      }),
    );
    expect(broken).toEqual([failed]);
    const write = (): void => database.connection.exec('INSERT INTO one VALUES (2)');
    expect(thrown(() => database.transaction(write))).toMatchObject({ code: 'UNAVAILABLE' });
    expect(rows('SELECT x FROM one')).toEqual([]);
  });
});
