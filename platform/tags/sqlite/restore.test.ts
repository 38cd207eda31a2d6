import { fork } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readdir, readlink, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { TagVersion } from '../../../core/contracts/index-api.ts';
import type { Digest } from '../../../core/digest.ts';
import type { TagStore } from '../store.ts';
import { backUpTags } from './backup.ts';
import { VERSION_1 } from './before.fixtures.ts';
import { openTagsData } from './data.ts';
import { type Restored, restoreTags } from './restore.ts';
import { openSqliteTags } from './sqlite.ts';

let dir: string;
let data: string;
let file: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'shoal-restore-'));
  data = join(dir, 'data');
  file = await openTagsData(data);
});
afterEach(() => rm(dir, { recursive: true }));

const digest = (no: number): Digest => `sha256:${no.toString(16).padStart(64, '0')}` as Digest;
const backup = (): string => join(dir, 'backup.db');
const onBroken = (error: Error): never => {
  throw error;
};
const open = (at = file): TagStore => openSqliteTags({ file: at, onBroken });
const image = (tag: string) => ({ mediaType: 'm', size: 1, tags: [tag], blobs: [], manifests: [] });
const nowMs = 1_790_000_000_000;
const restore = (more: { replace?: boolean; data?: string } = {}): Promise<Restored> =>
  restoreTags({ from: backup(), data, replace: false, nowMs, copying: {}, ...more });

/** An index with a tag `kept` and one that was deleted, backed up; then a tag that the backup lacks. */
async function backedUp(): Promise<{ kept: string; lost: TagVersion; index: string; generation: number }> {
  await using store = open();
  const { version: kept } = await store.putManifest('a', digest(1), image('kept'), 0);
  await store.putManifest('a', digest(2), image('gone'), 0);
  await store.deleteTag('a', 'gone');
  await backUpTags(file, backup(), {});
  const { version: lost } = await store.putManifest('a', digest(3), image('lost'), 0);
  await store.linkBlob('a', digest(4), { size: 1 });
  await store.unlinkBlob('a', digest(4), 0);
  const { index } = await store.condemn([digest(4)], { nowMs: 9, unlinkedMs: 1 });
  const generation = (await store.linkBlob('a', digest(4), { size: 1 })) as number;
  return { kept: String(kept), lost: lost as TagVersion, index, generation };
}

test('what the backup knows to have no tag may have got one since: it counts anew', async () => {
  await using store = openSqliteTags({ file, onBroken });
  await store.putManifest('a', digest(1), { ...image('x'), tags: [] }, 0);
  const at = { repo: 'a', n: 9, beforeMs: 5 };
  await store.untagged.noteUntagged('a', { fresh: [digest(1)], tagged: [] }, 5);
  expect(await store.untagged.lookUntagged(at)).toMatchObject({ due: [digest(1)] });
  await backUpTags(file, backup(), {});
  const other = join(dir, 'other');
  await restore({ data: other });
  await using restored = openSqliteTags({ file: join(other, 'tags.db'), onBroken });
  expect(await restored.untagged.lookUntagged(at)).toMatchObject({ fresh: [digest(1)], due: [] });
});

test('documents are there as the backup had them, at a version that the next change goes beyond', async () => {
  await using store = open();
  const first = { version: nowMs - 9, text: '{"digests":[]}' };
  await store.documents.putDocument('blocks', first, 0);
  await backUpTags(file, backup(), {});
  await store.documents.putDocument('blocks', { version: nowMs - 5, text: '{}' }, first.version);
  const other = join(dir, 'other');
  await restore({ data: other });
  await using restored = open(join(other, 'tags.db'));
  expect(await restored.documents.document('blocks')).toEqual(first);
  expect(await restored.documents.document('access')).toBeUndefined();
});

const node = { execPath: join(import.meta.dirname, '../../../node_modules/.bin/node') };
const numberIn = (version: unknown): number => Number(String(version).split('-')[0]);

test('on an empty disk all that the backup has is there, as it was, and no version or generation comes twice', async () => {
  const before = await backedUp();
  const other = join(dir, 'other');
  const { aside, ...held } = await restore({ data: other });
  expect(held).toEqual({ file: join(other, 'tags.db'), repositories: 1, tags: 1, manifests: 2 });
  expect(aside).toBeUndefined();
  expect((await readdir(other)).sort()).toEqual(['tags.db', 'version']);
  await using store = open(join(other, 'tags.db'));
  expect(await store.tag('a', 'kept')).toMatchObject({ digest: digest(1), version: before.kept });
  expect(await store.tag('a', 'lost')).toBeUndefined();
  expect((await store.tagState('a', 'gone')).version).toMatch(new RegExp(`-${before.index}$`));
  // The first write would have had the lost one's version.
  const { version } = await store.putManifest('a', digest(5), image('lost'), 0);
  expect(version).not.toBe(before.lost);
  expect(numberIn(version)).toBeGreaterThan(Math.max(numberIn(before.lost), nowMs - 1));
  expect(String(version).split('-')[1]).not.toBe(before.index);
  // Whoever saw the lost one does not take the new one for it.
  const stale = await store.putTag('a', 'lost', { digest: digest(1), after: before.lost });
  expect(stale).toEqual({ changed: version });
  await store.unlinkBlob('a', digest(4), 0);
  await store.linkBlob('a', digest(4), { size: 1 });
  await store.unlinkBlob('a', digest(4), 0);
  const { index } = await store.condemn([digest(4)], { nowMs: 9, unlinkedMs: 1 });
  expect(index).not.toBe(before.index);
  // A proof of the generation that the backup did not know is none.
  const unproved = await store.linkBlob('a', digest(4), { size: 1, proof: before.generation });
  expect(unproved).toBeGreaterThan(before.generation);
});

test('what is there is replaced only when asked to, and kept aside', async () => {
  await backedUp();
  await expect(restore()).rejects.toThrow('is there already: --replace puts it aside');
  const { aside } = await restore({ replace: true });
  expect((await readdir(data)).sort()).toEqual(['tags.db', (aside as string).slice(data.length + 1), 'version']);
  await using store = open();
  expect(await store.tags('a', { n: 9 })).toEqual({ tags: ['kept'], more: false });
  await using old = open(aside);
  expect(await old.tags('a', { n: 9 })).toEqual({ tags: ['kept', 'lost'], more: false });
});

test('an index that runs keeps its database', async () => {
  await backedUp();
  await using store = open();
  await expect(restore({ replace: true })).rejects.toThrow(
    /an index runs on .*tags\.db, or a backup of it: stop it first/,
  );
  await store.putManifest('a', digest(7), image('more'), 0);
  expect(await store.tags('a', { n: 9 })).toEqual({ tags: ['kept', 'lost', 'more'], more: false });
  expect((await readdir(data)).filter((name) => /part|before/.test(name))).toEqual([]);
});

test.runIf(process.platform === 'linux')(
  'an index that began to open the database before it was replaced does not write to it',
  async () => {
    await backedUp();
    /** What an index says that starts while `file` is locked, and replaced before it has the lock. */
    const startedMeanwhile = async (): Promise<string> => {
      await cp(backup(), join(dir, 'new.db'));
      const lock = new DatabaseSync(file);
      lock.exec('PRAGMA journal_mode = DELETE; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
      const child = fork(new URL('./writer.fixtures.ts', import.meta.url), [file], {
        ...node,
        stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      });
      const wrote = once(child, 'message').then(() => child.kill('SIGKILL'));
      const said = text(child.stderr as NonNullable<typeof child.stderr>);
      await expect.poll(() => opened(child.pid as number), { timeout: 20_000, interval: 5 }).toContain(file);
      await rename(join(dir, 'new.db'), file);
      lock.close();
      await Promise.race([wrote, once(child, 'close')]);
      return await said;
    };
    let said = await startedMeanwhile();
    // A machine that was busy for two seconds in between.
    for (let again = 0; again < 5 && said.includes('locked'); again++) said = await startedMeanwhile();
    expect(said).toContain('was replaced while it was being opened: start again');
    await using store = open();
    expect(await store.tags('a', { n: 9 })).toEqual({ tags: ['kept'], more: false });
  },
);

/** Files that a process has open. */
async function opened(pid: number): Promise<string[]> {
  const fds = await readdir(`/proc/${pid}/fd`).catch(() => []);
  return await Promise.all(fds.map((fd) => readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')));
}

test('a log that lies there without its database is not taken for that of the backup', async () => {
  await backedUp();
  const store = open();
  await store.putManifest('a', digest(8), image('running'), 0);
  await rename(file, join(dir, 'put-away.db'));
  await expect(restore()).rejects.toThrow(/tags\.db-wal is there, but no .*tags\.db: stop the index/);
  await store[Symbol.asyncDispose]();
});

test('what is no backup of an index, or of a newer one, leaves everything as it was', async () => {
  await backedUp();
  const newer = new DatabaseSync(backup());
  newer.exec('UPDATE schema SET version = 99');
  newer.close();
  await expect(restore({ replace: true })).rejects.toThrow('has schema version 99');
  await writeFile(backup(), 'no database, but a text that is as long as the header of one would be '.repeat(20));
  await expect(restore({ replace: true })).rejects.toThrow('cannot be read as a database');
  await rm(backup());
  await expect(restore({ replace: true })).rejects.toThrow('there is no ');
  expect((await readdir(data)).sort()).toEqual(['tags.db', 'version']);
  const theirs = join(dir, 'theirs');
  await mkdir(theirs);
  await writeFile(join(theirs, 'precious'), '');
  await backUpTags(file, backup(), {});
  await expect(restore({ data: theirs })).rejects.toThrow("holds files that are not Shoal's");
  await using store = open();
  expect(await store.tags('a', { n: 9 })).toEqual({ tags: ['kept', 'lost'], more: false });
});

test('a backup that an earlier release made is brought to this one', async () => {
  const old = new DatabaseSync(backup());
  old.exec(VERSION_1);
  old.exec(`INSERT INTO repos VALUES (1, 'a'); INSERT INTO manifests VALUES (1, '${digest(1)}', 'm', 5, NULL, NULL, NULL);
    INSERT INTO tags VALUES (1, 'v1', '${digest(1)}');`);
  old.close();
  expect(await restore()).toMatchObject({ repositories: 1, tags: 1, manifests: 1 });
  await using store = open();
  expect((await store.tag('a', 'v1'))?.digest).toBe(digest(1));
});

test('killed while it copies, the index has what it had; killed once it is done, what the backup has', async () => {
  await backedUp();
  {
    using db = new DatabaseSync(backup());
    // Several steps of copying.
    db.exec('CREATE TABLE ballast (x)');
    db.exec('INSERT INTO ballast VALUES (zeroblob(12000000))');
  }
  const outcomes = new Set<string>();
  for (const killAt of [1, 2, 3, 'done'] as const) {
    const child = fork(new URL('./restorer.fixtures.ts', import.meta.url), [backup(), data], {
      ...node,
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    let told = 0;
    const ended = once(child, 'close');
    child.on('message', (what) => {
      told += 1;
      if (what === killAt || told === killAt) child.kill('SIGKILL');
    });
    await ended;
    await using store = open();
    const { tags } = (await store.tags('a', { n: 9 })) as { tags: readonly string[] };
    outcomes.add(tags.join());
    if (killAt !== 'done') expect(tags).toEqual(['kept', 'lost']);
  }
  expect([...outcomes]).toEqual(['kept,lost', 'kept']);
});
