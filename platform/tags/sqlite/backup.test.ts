import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, open as openFile, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Digest } from '../../../core/digest.ts';
import type { TagStore } from '../store.ts';
import { backUpTags } from './backup.ts';
import { openSqliteTags } from './sqlite.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'shoal-backup-'));
});
afterEach(() => rm(dir, { recursive: true }));

const digest = (no: number): Digest => `sha256:${no.toString(16).padStart(64, '0')}` as Digest;
const source = (): string => join(dir, 'tags.db');
const target = (): string => join(dir, 'copy.db');
const onBroken = (error: Error): never => {
  throw error;
};
const open = (file = source()): TagStore => openSqliteTags({ file, onBroken });
const image = (tag: string) => ({ mediaType: 'm', size: 1, tags: [tag], blobs: [], manifests: [] });

/** But for what SQLite keeps beside a database that is written to. */
async function files(): Promise<string[]> {
  return (await readdir(dir)).filter((name) => !/^tags\.db-(wal|shm)$/.test(name)).sort();
}

/** Enough for several steps of copying. */
function weighed(): void {
  using db = new DatabaseSync(source());
  db.exec('CREATE TABLE ballast (x)');
  db.exec('INSERT INTO ballast VALUES (zeroblob(12000000))');
}

async function filled(repos = 3): Promise<void> {
  await using store = open();
  const puts = Array.from({ length: repos }, (_, no) => store.putManifest(`r${no}`, digest(no), image('1'), 0));
  await Promise.all(puts);
}

test('while another process writes, all that was acknowledged before it began is in it, and the writer goes on', async () => {
  const child = fork(new URL('./writer.fixtures.ts', import.meta.url), [source()], {
    execPath: join(import.meta.dirname, '../../../node_modules/.bin/node'),
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  try {
    const acknowledged: number[] = [];
    let wanted = { count: 400, reached: Promise.withResolvers<void>() };
    child.on('message', (no: number) => {
      acknowledged.push(no);
      if (acknowledged.length >= wanted.count) wanted.reached.resolve();
    });
    await wanted.reached.promise;
    const before = [...acknowledged];
    const held = await backUpTags(source(), target(), {});
    wanted = { count: acknowledged.length + 100, reached: Promise.withResolvers<void>() };
    await wanted.reached.promise;
    expect((await readdir(dir)).filter((name) => name.startsWith('copy'))).toEqual(['copy.db']);
    await using copy = open(target());
    for (const no of before) expect((await copy.tag(`r${no % 5}`, `t${no}`))?.digest).toBe(digest(no));
    expect(held.tags).toBeGreaterThanOrEqual(before.length);
    expect(held.manifests).toBe(held.tags);
  } finally {
    child.kill('SIGKILL');
    await once(child, 'close');
  }
});

test('what is there is not replaced, and what is no index is not copied', async () => {
  await expect(backUpTags(source(), target(), {})).rejects.toThrow('has an index run here?');
  await filled();
  await writeFile(target(), 'precious');
  await expect(backUpTags(source(), target(), {})).rejects.toThrow('is there already, and is not replaced');
  expect(await readFile(target(), 'utf8')).toBe('precious');

  const foreign = join(dir, 'foreign.db');
  const other = new DatabaseSync(foreign);
  other.exec('CREATE TABLE mine (x)');
  other.close();
  const to = join(dir, 'other.db');
  await expect(backUpTags(foreign, to, {})).rejects.toThrow('not of a Shoal index');
  await expect(backUpTags(source(), join(dir, 'no', 'where.db'), {})).rejects.toMatchObject({ code: 'ENOENT' });
  const newer = new DatabaseSync(source());
  newer.exec('UPDATE schema SET version = 99');
  newer.close();
  await expect(backUpTags(source(), to, {})).rejects.toThrow('has schema version 99');
  expect(await files()).toEqual(['copy.db', 'foreign.db', 'tags.db']);
});

test('somebody who takes the name meanwhile keeps it', async () => {
  await filled();
  weighed();
  let taken: Promise<void> | undefined;
  const progress = (): void => {
    taken ??= writeFile(target(), 'theirs');
  };
  await expect(backUpTags(source(), target(), { progress })).rejects.toThrow('is there already');
  await taken;
  expect(await readFile(target(), 'utf8')).toBe('theirs');
  expect(await files()).toEqual(['copy.db', 'tags.db']);
});

test('one that is damaged is not taken for a backup, and nothing is left', async () => {
  await filled(200);
  const file = await openFile(source(), 'r+');
  const bytes = await file.readFile();
  // The cells of pages that have rows, behind their headers.
  for (let at = 0; at < bytes.length; at += 4096)
    if (bytes.subarray(at, at + 4096).includes(digest(1).slice(0, 40)))
      await file.write(Buffer.alloc(2000, 0xa5), 0, 2000, at + 1000);
  await file.close();
  await expect(backUpTags(source(), target(), {})).rejects.toThrow(/is damaged, and was not copied: .+/);
  expect(await files()).toEqual(['tags.db']);
});

test('what is written in between neither gets into it nor makes it begin anew', async () => {
  await filled();
  weighed();
  await using store = open();
  const steps: number[] = [];
  const writes: Promise<unknown>[] = [];
  const progress = (done: number): void => {
    steps.push(done);
    writes.push(store.putManifest('r0', digest(0), image(`between-${steps.length}`), 0));
  };
  await backUpTags(source(), target(), { progress });
  await Promise.all(writes);
  expect(writes.length).toBeGreaterThan(1);
  expect(steps).toEqual([...new Set(steps)].sort((a, b) => a - b));
  await using copy = open(target());
  expect(await copy.tags('r0', { n: 9 })).toEqual({ tags: ['1'], more: false });
});

test('told to stop, it leaves nothing', async () => {
  await filled();
  weighed();
  const stop = new AbortController();
  const steps: number[] = [];
  const progress = (done: number): void => {
    steps.push(done);
    stop.abort(new Error('told to stop'));
  };
  await expect(backUpTags(source(), target(), { signal: stop.signal, progress })).rejects.toThrow('told to stop');
  expect(steps).toHaveLength(1);
  expect((await readdir(dir)).filter((name) => name.startsWith('copy'))).toEqual([]);
});
