/** Versions of tags in a database that is kept: made of one of the release before, bounded, and refused by older ones. */

import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { TagVersion } from '../../../core/contracts/index-api.ts';
import type { Digest } from '../../../core/digest.ts';
import { SqliteDatabase } from '../../sqlite/database.ts';
import { forgetNamesEvery, namesKeptMax } from '../named.ts';
import type { TagStore } from '../store.ts';
import { forgetEvery, tombstonesMax } from '../versions.ts';
import { VERSION_1, VERSION_2, VERSION_3, VERSION_4, VERSION_5 } from './before.fixtures.ts';
import { tagsSchema } from './schema.ts';
import { openSqliteTags } from './sqlite.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'shoal-migration-'));
});
afterEach(() => rm(dir, { recursive: true }));

const digest = (no: number): Digest => `sha256:${no.toString(16).padStart(64, '0')}` as Digest;
const file = (): string => join(dir, 'tags.db');
const onBroken = (error: Error): never => {
  throw error;
};
const open = (): TagStore => openSqliteTags({ file: file(), onBroken });

function sql<T>(statement: string): T[] {
  const db = new DatabaseSync(file());
  try {
    return db.prepare(statement).all() as T[];
  } finally {
    db.close();
  }
}

/** As the release before left it: two tags on one manifest. */
function before(): void {
  const old = new DatabaseSync(file());
  old.exec(VERSION_1 + VERSION_2);
  old.exec(`INSERT INTO repos VALUES (1, 'a');
    INSERT INTO manifests VALUES (1, '${digest(1)}', 'm', 5, NULL, NULL, NULL), (1, '${digest(2)}', 'm', 6, NULL, NULL, NULL);
    INSERT INTO tags VALUES (1, 'v1', '${digest(1)}'), (1, 'v2', '${digest(1)}');
    INSERT INTO unlinked VALUES ('${digest(9)}', 0, 1, 7);
    UPDATE identity SET generation = 7;`);
  old.close();
}

test('a database of version 2 keeps all that it holds; its tags count as written before any number', async () => {
  before();
  const [identity] = sql<{ id: string }>('SELECT id FROM identity');
  const first = `0-${identity?.id}` as TagVersion;
  const store = open();
  for (const tag of ['v1', 'v2'])
    expect(await store.tag('a', tag)).toMatchObject({ digest: digest(1), version: first });
  expect(await store.tags('a', { n: 9 })).toEqual({ tags: ['v1', 'v2'], more: false });
  expect((await store.condemn([digest(9)], { nowMs: 2, unlinkedMs: 1 })).index).toBe(identity?.id);
  expect(await store.linkBlob('a', digest(9), { size: 1 })).toBe(8);
  const moved = await store.putTag('a', 'v1', { digest: digest(2), after: first });
  expect(moved).toEqual({ version: `1-${identity?.id}` });
  expect(await store.putTag('a', 'v1', { digest: digest(1), after: first })).toEqual({ changed: `1-${identity?.id}` });
  expect(await store.deleteTag('a', 'v2', first)).toEqual({ version: `2-${identity?.id}` });
  await store[Symbol.asyncDispose]();
  const again = open();
  expect(await again.putTag('a', 'v2', { digest: digest(2), after: first })).toEqual({ changed: `2-${identity?.id}` });
  expect(await again.putTag('a', 'v2', { digest: digest(2) })).toEqual({ version: `3-${identity?.id}` });
  await again[Symbol.asyncDispose]();
});

test('a database of version 3 keeps its tags, their versions and its tombstones; nothing waits to be written', async () => {
  before();
  const old = new DatabaseSync(file());
  old.exec(`${VERSION_3} UPDATE tags SET version = 41 WHERE tag = 'v1';
    INSERT INTO tombstones VALUES (1, 'gone', 42); UPDATE identity SET tag_version = 42;`);
  old.close();
  const [identity] = sql<{ id: string }>('SELECT id FROM identity');
  const store = open();
  const tag = await store.tag('a', 'v1');
  expect(tag).toEqual({ digest: digest(1), mediaType: 'm', size: 5, version: `41-${identity?.id}` });
  expect(await store.putTag('a', 'gone', { digest: digest(1), after: '1-x' as TagVersion })).toEqual({
    changed: `42-${identity?.id}`,
  });
  expect(await store.outbox()).toEqual([]);
  expect(await store.deleteTag('a', 'v1', tag?.version)).toEqual({ version: `43-${identity?.id}` });
  await store[Symbol.asyncDispose]();
});

test('a database of version 5 keeps what waits for its backend, and which repositories it has been brought to it', async () => {
  before();
  const old = new DatabaseSync(file());
  old.exec(`${VERSION_3}${VERSION_4}${VERSION_5} UPDATE repos SET backend = 'main'; INSERT INTO repos VALUES (2, 'b', NULL);
    UPDATE tags SET version = 41 WHERE tag = 'v1'; UPDATE identity SET tag_version = 43;
    INSERT INTO outbox VALUES (1, 'tag', 'v1', 'main', 41, '${digest(1)}', 7, 9, 2, 'denied'),
      (1, 'tag', 'gone', 'main', 43, NULL, 8, 8, 0, NULL);`);
  old.close();
  const [identity] = sql<{ id: string }>('SELECT id FROM identity');
  const main = { name: 'main', kinds: ['blob', 'manifest', 'tag'] } as const;
  const later = { name: 'remote:east', kinds: ['tag'] } as const;
  const outbox = { targetsOf: () => [main, later], nowMs: () => 100 };
  const store = openSqliteTags({ file: file(), onBroken, outbox });
  const tag = { target: 'main', repo: 'a', kind: 'tag' } as const;
  expect(await store.waiting(0, 9)).toEqual([
    {
      ...tag,
      name: 'gone',
      version: `43-${identity?.id}`,
      digest: null,
      sinceMs: 8,
      attempts: 0,
      dueMs: 8,
      cause: null,
      dead: false,
    },
    {
      ...tag,
      name: 'v1',
      version: `41-${identity?.id}`,
      digest: digest(1),
      sinceMs: 7,
      attempts: 2,
      dueMs: 9,
      cause: 'denied',
      dead: false,
    },
  ]);
  expect(await store.claim('main', { nowMs: 8, n: 9, untilMs: 99 })).toMatchObject([{ name: 'gone' }]);
  expect(await store.backfill()).toEqual([
    { repo: 'a', target: 'remote:east' },
    { repo: 'b', target: 'main' },
    { repo: 'b', target: 'remote:east' },
  ]);
  await store.written((await store.pending({ ...tag, name: 'v1' }))!);
  expect((await store.due('main', 999, 9)).map(({ name }) => name)).toEqual(['gone']);
  expect((await store.due('remote:east', 999, 9)).map(({ name }) => name).sort()).toEqual(['v1', 'v2']);
  await store[Symbol.asyncDispose]();
});

test('a database of before retention rules keeps its manifests; those without a tag count from the first look', async () => {
  before();
  const store = openSqliteTags({ file: file(), onBroken });
  const at = { repo: 'a', n: 9, beforeMs: 1_000_000 };
  // Whatever its age: nobody knew of it.
  const found = await store.untagged.lookUntagged(at);
  expect(found).toEqual({ last: undefined, fresh: [digest(2)], tagged: [], due: [], waiting: 1 });
  expect(await store.untagged.retire('a', [digest(2)], { ...at, nowMs: at.beforeMs })).toEqual([]);
  await store.untagged.noteUntagged('a', found, 1_000_001);
  expect(await store.untagged.lookUntagged(at)).toMatchObject({ fresh: [], due: [] });
  expect(await store.untagged.lookUntagged({ ...at, beforeMs: 1_000_001 })).toMatchObject({ due: [digest(2)] });
  await store[Symbol.asyncDispose]();
});

test('what is noted of manifests without a tag is found by an index', async () => {
  await open()[Symbol.asyncDispose]();
  const query = 'SELECT repo, digest FROM manifests WHERE untagged IS NOT NULL LIMIT 9';
  expect(sql<{ detail: string }>(`EXPLAIN QUERY PLAN ${query}`).map(({ detail }) => detail)).toEqual([
    expect.stringMatching(/USING (COVERING )?INDEX manifests_by_untagged/),
  ]);
});

test('a migrated database is the same as a new one', async () => {
  before();
  await open()[Symbol.asyncDispose]();
  const tables = 'SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name';
  const plain = (rows: { name: string; sql: string }[]): unknown =>
    rows.map((row) => [row.name, row.sql.replaceAll(/--[^\n]*\n/g, '').replaceAll(/\s+/g, ' ')]);
  const migrated = plain(sql(tables));
  await rm(file());
  await open()[Symbol.asyncDispose]();
  expect(migrated).toEqual(plain(sql(tables)));
});

test('the release before leaves it as it is, to the byte; so do we with one of a later release', async () => {
  before();
  await open()[Symbol.asyncDispose]();
  const older = { ...tagsSchema, steps: tagsSchema.steps.slice(0, -1) };
  const bytes = await readFile(file());
  expect(() => new SqliteDatabase({ file: file(), schema: older, onBroken })).toThrow(
    `has schema version ${tagsSchema.steps.length}`,
  );
  expect((await readFile(file())).equals(bytes)).toBe(true);
  const db = new DatabaseSync(file());
  db.exec('UPDATE schema SET version = 99; PRAGMA wal_checkpoint(TRUNCATE)');
  db.close();
  const later = await readFile(file());
  expect(open).toThrow(`has schema version 99, this process needs ${tagsSchema.steps.length}`);
  expect((await readFile(file())).equals(later)).toBe(true);
});

test('a database of version 5 keeps its tags and what waits, and remembers writes by their names from then on', async () => {
  before();
  const old = new DatabaseSync(file());
  old.exec(`${VERSION_3} ${VERSION_4} ${VERSION_5} UPDATE tags SET version = 41 WHERE tag = 'v1'; UPDATE identity SET tag_version = 41;
    INSERT INTO outbox VALUES (1, 'tag', 'v1', 'b', 41, '${digest(1)}', 1, 2, 3, 'why');`);
  old.close();
  const [identity] = sql<{ id: string }>('SELECT id FROM identity');
  const store = open();
  expect(await store.tag('a', 'v1')).toMatchObject({ version: `41-${identity?.id}` });
  expect(await store.waiting(0, 9)).toMatchObject([{ repo: 'a', name: 'v1', attempts: 3, cause: 'why' }]);
  const write = () => store.named({ name: '0f'.repeat(16) }).putTag('a', 'v1', { digest: digest(2) });
  expect(await write()).toEqual({ version: `42-${identity?.id}` });
  expect(await write()).toEqual({ version: `42-${identity?.id}` });
  await store[Symbol.asyncDispose]();
});

test('of names the newest are remembered, and perhaps a step more', async () => {
  const store = open();
  await store.putManifest('a', digest(1), { mediaType: 'm', size: 1, tags: ['x'], blobs: [], manifests: [] }, 0);
  await store[Symbol.asyncDispose]();
  const db = new DatabaseSync(file());
  db.exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${namesKeptMax + forgetNamesEvery - 1})
    INSERT INTO named SELECT i, 'n' || i, '{"told":true}' FROM n`);
  db.close();
  const filled = open();
  const count = 'SELECT count(*) AS n, min(no) AS oldest FROM named';
  const write = (name: string) => filled.named({ name }).putTag('a', 'x', { digest: digest(1) });
  expect(sql(count)).toEqual([{ n: namesKeptMax + forgetNamesEvery - 1, oldest: 1 }]);
  const outcome = await write('newest');
  expect(sql(count)).toEqual([{ n: namesKeptMax, oldest: forgetNamesEvery + 1 }]);
  expect(await write('newest')).toEqual(outcome);
  expect(await write(`n${forgetNamesEvery + 1}`)).toBe(true);
  await filled[Symbol.asyncDispose]();
});

test('of deletions the newest are remembered, so many, and what was forgotten last', async () => {
  const store = open();
  await store.putManifest('a', digest(1), { mediaType: 'm', size: 1, tags: ['x'], blobs: [], manifests: [] }, 0);
  await store[Symbol.asyncDispose]();
  const extra = 500;
  const db = new DatabaseSync(file());
  db.exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${tombstonesMax + extra})
    INSERT INTO tombstones SELECT 1, 't' || i, i, NULL FROM n;
    UPDATE identity SET tag_version = ${tombstonesMax + extra + forgetEvery - 2};`);
  db.close();
  const filled = open();
  const count = 'SELECT count(*) AS n, min(version) AS oldest FROM tombstones';
  await filled.putTag('a', 'x', { digest: digest(1) });
  expect(sql(count)).toEqual([{ n: tombstonesMax + extra, oldest: 1 }]);
  // The next number is a round one: it is looked what is too old, before this deletion is written down.
  while (!((await filled.putTag('a', 'x', { digest: digest(1) })) as { version: string }).version.includes('000-'));
  expect(sql(count)).toEqual([{ n: tombstonesMax, oldest: extra + 1 }]);
  expect(sql('SELECT forgotten_version AS no FROM identity')).toEqual([{ no: extra }]);
  // A tag whose deletion was forgotten is as if it had never been there.
  expect(await filled.putTag('a', 't1', { digest: digest(1), after: '1-x' as TagVersion })).toEqual({ changed: null });
  expect(await filled.putTag('a', `t${extra + 1}`, { digest: digest(1), after: '1-x' as TagVersion })).toEqual({
    changed: expect.stringMatching(new RegExp(`^${extra + 1}-`)),
  });
  await filled[Symbol.asyncDispose]();
});

test('what may be written now is found by an index, and so is the next that may be', async () => {
  await open()[Symbol.asyncDispose]();
  for (const query of [
    `SELECT version FROM outbox WHERE state = 0 AND target = 'b' AND due <= 5 ORDER BY due, slot, version LIMIT 5`,
    `SELECT due FROM outbox WHERE state = 0 AND target = 'b' ORDER BY due LIMIT 1`,
  ]) {
    const plan = sql<{ detail: string }>(`EXPLAIN QUERY PLAN ${query}`).map(({ detail }) => detail);
    expect(plan).toEqual([expect.stringMatching(/^SEARCH outbox USING COVERING INDEX outbox_by_due/)]);
  }
  const first = `SELECT slot, kind, name FROM outbox INDEXED BY outbox_in_order WHERE target = 'b' AND repo = 1 AND slot > 0 AND state < 2
    ORDER BY slot, kind, name LIMIT 1`;
  expect(sql<{ detail: string }>(`EXPLAIN QUERY PLAN ${first}`).map(({ detail }) => detail)).toEqual([
    expect.stringMatching(/^SEARCH outbox USING INDEX outbox_in_order/),
  ]);
});

test('what is too old is found by an index', async () => {
  await open()[Symbol.asyncDispose]();
  const [plan] = sql<{ detail: string }>(
    `EXPLAIN QUERY PLAN SELECT version FROM tombstones ORDER BY version DESC LIMIT 1 OFFSET 5`,
  );
  expect(plan?.detail).toBe('SCAN tombstones USING COVERING INDEX tombstones_by_version');
});
