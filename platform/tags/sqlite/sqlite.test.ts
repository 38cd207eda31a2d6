import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Digest } from '../../../core/digest.ts';
import { prng } from '../../../core/prng.ts';
import { tagStoreConformance } from '../conformance.fixtures.ts';
import { documentsConformance } from '../documents.fixtures.ts';
import { doomedConformance } from '../doomed.fixtures.ts';
import { convergence, deletedElsewhere, elsewhereConformance } from '../elsewhere.fixtures.ts';
import { idleConformance, idleLists } from '../idle.fixtures.ts';
import { FaultyDisk } from '../memory/faulty.fixtures.ts';
import { openMemoryTags } from '../memory/memory.ts';
import { namedConformance } from '../named.fixtures.ts';
import { outboxConformance } from '../outbox.fixtures.ts';
import type { TagStore } from '../store.ts';
import { targetsConformance } from '../targets.fixtures.ts';
import { untaggedConformance } from '../untagged.fixtures.ts';
import { VERSION_1 } from './before.fixtures.ts';
import { tagsSchema } from './schema.ts';
import { openSqliteTags } from './sqlite.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'shoal-tags-'));
});
afterEach(() => rm(dir, { recursive: true }));

const digest = (no: number): Digest => `sha256:${no.toString(16).padStart(64, '0')}` as Digest;
const file = (): string => join(dir, 'tags.db');
const onBroken = (error: Error): never => {
  throw error;
};
const open = (): TagStore => openSqliteTags({ file: file(), onBroken });
const image = (tag: string) => ({ mediaType: 'm', size: 1, tags: [tag], blobs: [], manifests: [] });

tagStoreConformance('memory', async () => openMemoryTags());
tagStoreConformance('sqlite', async () => open());
tagStoreConformance('a disk that loses what was not synced', async () => new FaultyDisk(prng(1)).open());
namedConformance('memory', async () => ({ store: openMemoryTags() }));
namedConformance('sqlite', async () => {
  const store = open();
  const next = async (): Promise<TagStore> => {
    await store[Symbol.asyncDispose]();
    return open();
  };
  return { store, next };
});
namedConformance('a disk that loses what was not synced', async () => {
  const disk = new FaultyDisk(prng(1));
  return { store: disk.open(), next: async () => disk.open() };
});
for (const suite of [idleConformance, idleLists]) {
  suite('memory', async (outbox) => openMemoryTags(outbox));
  suite('sqlite', async (outbox) => openSqliteTags({ file: file(), onBroken, outbox }));
}
documentsConformance('memory', async () => openMemoryTags());
documentsConformance('sqlite', async () => open());
doomedConformance('memory', async (outbox) => openMemoryTags(outbox));
doomedConformance('sqlite', async (outbox) => openSqliteTags({ file: file(), onBroken, outbox }));
untaggedConformance('memory', async (outbox) => openMemoryTags(outbox));
untaggedConformance('sqlite', async (outbox) => openSqliteTags({ file: file(), onBroken, outbox }));
outboxConformance('memory', async (outbox) => openMemoryTags(outbox));
outboxConformance('sqlite', async (outbox) => openSqliteTags({ file: file(), onBroken, outbox }));
outboxConformance('a disk that loses what was not synced', async (outbox) => new FaultyDisk(prng(1), 0, outbox).open());
elsewhereConformance('memory', async () => openMemoryTags());
elsewhereConformance('sqlite', async () => open());
elsewhereConformance('a disk that loses what was not synced', async () => new FaultyDisk(prng(1)).open());
convergence('sqlite', async (name, outbox) => openSqliteTags({ file: join(dir, name), onBroken, outbox }));
deletedElsewhere('memory', async (outbox) => openMemoryTags(outbox));
deletedElsewhere('sqlite', async (outbox) => openSqliteTags({ file: file(), onBroken, outbox }));
targetsConformance('memory', async (outbox) => openMemoryTags(outbox));
targetsConformance('sqlite', async (outbox) => openSqliteTags({ file: file(), onBroken, outbox }));
targetsConformance('a disk that loses what was not synced', async (outbox) =>
  new FaultyDisk(prng(1), 0, outbox).open(),
);

describe('sqlite', () => {
  test('everything is there after closing and opening', async () => {
    const store = open();
    await store.putManifest('a', digest(1), image('1'), 0);
    await store[Symbol.asyncDispose]();
    const again = open();
    expect((await again.tag('a', '1'))?.digest).toBe(digest(1));
    await again[Symbol.asyncDispose]();
  });

  test('killed at any moment, it has every write that was acknowledged', async () => {
    for (const after of [1, 40, 200]) {
      const child = fork(new URL('./writer.fixtures.ts', import.meta.url), [file()], {
        execPath: join(import.meta.dirname, '../../../node_modules/.bin/node'),
        stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      });
      const acknowledged: number[] = [];
      const enough = Promise.withResolvers<void>();
      child.on('message', (no: number) => {
        acknowledged.push(no);
        if (acknowledged.length >= after) enough.resolve();
      });
      await enough.promise;
      child.kill('SIGKILL');
      await once(child, 'close');
      const store = open();
      for (const no of acknowledged) expect((await store.tag(`r${no % 5}`, `t${no}`))?.digest).toBe(digest(no));
      await store[Symbol.asyncDispose]();
    }
  });

  test('a database of version 1, as its release wrote it, is migrated with all that it holds', async () => {
    const old = new DatabaseSync(file());
    old.exec(VERSION_1);
    old.exec(`INSERT INTO repos VALUES (1, 'a'), (2, 'b');
      INSERT INTO manifests VALUES (1, '${digest(1)}', 'm', 5, NULL, NULL, NULL), (1, '${digest(2)}', 'm', 6, '${digest(9)}', 't', '{"k":"v"}');
      INSERT INTO refs VALUES (1, '${digest(1)}', '${digest(3)}', 'blob');
      INSERT INTO tags VALUES (1, 'v1', '${digest(1)}');
      INSERT INTO blobs VALUES (1, '${digest(3)}', 7), (2, '${digest(4)}', 8);`);
    old.close();
    const store = open();
    expect((await store.tag('a', 'v1'))?.digest).toBe(digest(1));
    expect(await store.blob('b', digest(4))).toEqual({ digest: digest(4), size: 8 });
    const referrers = await store.referrers('a', digest(9), { n: 5 });
    expect(referrers.manifests).toMatchObject([{ digest: digest(2), annotations: { k: 'v' } }]);
    const all = [1, 2, 3, 4, 5, 9].map(digest);
    const at = (nowMs: number) => ({ nowMs, unlinkedMs: 100 });
    // What lost its links before there was a record of it waits from when it is first asked about.
    expect(await store.condemn(all, at(1_000))).toMatchObject({ condemned: [], waiting: 1 });
    expect(await store.condemn(all, at(1_100))).toMatchObject({ condemned: [digest(5)], waiting: 0 });
    await store.deleteManifest('a', digest(1), 1_100);
    const { index } = await store.condemn(all, at(1_100));
    await store[Symbol.asyncDispose]();
    const again = open();
    expect(await again.condemn(all, at(1_200))).toEqual({ index, condemned: [digest(1), digest(5)], waiting: 0 });
    await again[Symbol.asyncDispose]();
    const other = openSqliteTags({ file: join(dir, 'other.db'), onBroken: () => undefined });
    expect((await other.condemn([], at(0))).index).not.toBe(index);
    await other[Symbol.asyncDispose]();
  });

  test('whether a digest has a link is found by indexes', async () => {
    await open()[Symbol.asyncDispose]();
    const db = new DatabaseSync(file());
    for (const query of [
      'SELECT 1 FROM blobs WHERE digest = ?1',
      'SELECT 1 FROM manifests WHERE digest = ?1',
      'SELECT 1 FROM refs WHERE target = ?1',
      'SELECT 1 FROM manifests WHERE subject = ?1',
      "SELECT 1 FROM manifests WHERE repo = 1 AND subject = 'x' AND digest > 'y' ORDER BY digest LIMIT 5",
    ]) {
      const plan = db.prepare(`EXPLAIN QUERY PLAN ${query}`).all() as { detail: string }[];
      expect(plan.map(({ detail }) => detail).join()).toMatch(
        /^SEARCH \w+ USING (COVERING )?INDEX \w+_by_\w+ \([^,]*\)$/,
      );
    }
    db.close();
  });

  test('a database of another schema version, of something else, or that is none, is left untouched', async () => {
    await open()[Symbol.asyncDispose]();
    const db = new DatabaseSync(file());
    db.exec('UPDATE schema SET version = 99');
    db.close();
    expect(open).toThrow(`tags.db has schema version 99, this process needs ${tagsSchema.steps.length}: `);

    const other = join(dir, 'other.db');
    const foreign = new DatabaseSync(other);
    foreign.exec('CREATE TABLE mine (x)');
    foreign.close();
    expect(() => openSqliteTags({ file: other, onBroken: () => undefined })).toThrow('not of a Shoal index');

    const text = join(dir, 'text.db');
    await writeFile(
      text,
      'this is no database at all, but a text that is long enough to be read as a header'.repeat(20),
    );
    expect(() => openSqliteTags({ file: text, onBroken: () => undefined })).toThrow(
      'cannot be opened: file is not a database',
    );
    expect(await readFile(text, 'utf8')).toContain('no database at all');
    expect(() => openSqliteTags({ file: join(dir, 'no', 'where.db'), onBroken: () => undefined })).toThrow(
      'cannot be opened',
    );
  });

  test('writes of one turn share a transaction', async () => {
    const store = open();
    await store.putManifest('a', digest(0), image('0'), 0);
    const before = (await readFile(`${file()}-wal`)).length;
    await Promise.all(Array.from({ length: 100 }, (_, i) => store.putTag('a', `t${i}`, { digest: digest(0) })));
    const grown = (await readFile(`${file()}-wal`)).length - before;
    // One by one, each would write at least three pages of 4 KiB.
    expect(grown).toBeLessThan(100 * 4096);
    await store[Symbol.asyncDispose]();
  });

  test('a database that another process holds locked answers, writes nothing, and works afterwards', async () => {
    const store = open();
    const other = new DatabaseSync(file());
    other.exec('BEGIN IMMEDIATE');
    await expect(store.putManifest('a', digest(1), image('1'), 0)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(await store.tag('a', '1')).toBeUndefined();
    other.exec('ROLLBACK');
    other.close();
    await store.putManifest('a', digest(1), image('1'), 0);
    expect((await store.tag('a', '1'))?.digest).toBe(digest(1));
    await store[Symbol.asyncDispose]();
  });

  test('pages of tags are found by the index, not by sorting', async () => {
    await open()[Symbol.asyncDispose]();
    const db = new DatabaseSync(file());
    const plan = db
      .prepare(
        `EXPLAIN QUERY PLAN SELECT tag FROM tags WHERE repo = 1 AND tag COLLATE NOCASE >= 'a' AND (tag COLLATE NOCASE > 'a' OR tag > 'a')
         ORDER BY tag COLLATE NOCASE, tag LIMIT 5`,
      )
      .all() as { detail: string }[];
    expect(plan.map(({ detail }) => detail).join()).toMatch(
      /^SEARCH tags USING COVERING INDEX tags_in_order \(repo=\? AND tag>\?\)$/,
    );
    db.close();
  });
});

describe('a disk that fails', () => {
  test('after any crash, every acknowledged write is there', async () => {
    for (let seed = 0; seed < 40; seed++) {
      const random = prng(seed);
      const disk = new FaultyDisk(random, 10);
      const expected = new Map<string, Digest>();
      const unsure = new Set<string>();
      let store = disk.open();
      for (let step = 0; step < 60; step++) {
        const tag = `t${random.below(5)}`;
        const writes = Array.from({ length: 1 + random.below(3) }, (_, i) => [tag, digest(step * 10 + i)] as const);
        const results = await Promise.allSettled(
          writes.map(([name, to]) => store.putManifest('a', to, image(name), 0)),
        );
        const failed = results.some(({ status }) => status === 'rejected');
        if (failed) unsure.add(tag);
        else {
          unsure.delete(tag);
          expected.set(tag, writes.at(-1)![1]);
        }
        if (failed || random.below(20) === 0) store = disk.open();
        for (const [name, to] of expected) if (!unsure.has(name)) expect((await store.tag('a', name))?.digest).toBe(to);
      }
    }
  });
});

test('what was read holds until something was written, by whomever, and not once the store is closed', async () => {
  const [store, other] = [openSqliteTags({ file: file(), onBroken }), open()];
  const seen = [store.commits];
  const changed = (): boolean => {
    seen.push(store.commits);
    return seen.at(-1) !== seen.at(-2);
  };
  await store.tag('a', 'x');
  await other.tag('a', 'x');
  expect(changed()).toBe(false);
  await store.putManifest('a', digest(1), image('x'), 0);
  expect([changed(), changed()]).toEqual([true, false]);
  // Nobody should start two processes on one file; where it happens, nothing old is told.
  await other.deleteTag('a', 'x');
  expect([changed(), changed()]).toEqual([true, false]);
  expect(await store.tag('a', 'x')).toBeUndefined();
  await other[Symbol.asyncDispose]();
  await store[Symbol.asyncDispose]();
  expect([changed(), changed()]).toEqual([true, true]);
});
