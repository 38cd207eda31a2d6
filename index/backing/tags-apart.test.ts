/** Tags in a database as Kraken's build-index keeps them, blobs elsewhere: what `tags: { sql: … }` of a rule gives an index. */

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { type Backed, Backends } from '../../platform/backends/backends.ts';
import { backendsShape } from '../../platform/backends/config.ts';
import { realClock } from '../../platform/net/clock.ts';
import { silentLog } from '../../platform/telemetry/log.ts';
import { Metrics } from '../../platform/telemetry/metrics.ts';
import { depth, image, push, type Site, site, temporary, writeBlobs } from './testing.fixtures.ts';

const never = new AbortController().signal;
const soon = { timeout: 20_000 };
const [one, two, three] = [image('one'), image('two'), image('three')];

/** As a rule of the configuration says it. */
async function backedBySql(stack: AsyncDisposableStack, file: string, more: object = {}): Promise<Backed> {
  const directory = join(await temporary(stack), 'blobs');
  await mkdir(directory);
  const rule = { name: 'main', file: { directory }, tags: { sql: { dialect: 'sqlite', file, ...more } } };
  const given = { log: silentLog(), metrics: new Metrics(), env: {}, clock: realClock, sharers: () => 1 };
  const backends = stack.use(await Backends.open(backendsShape().parse([rule]), given));
  return backends.named('main') as Backed;
}

async function reconciled(of: Site): Promise<string[]> {
  const { changes, broken, next } = await of.reconcile({ apply: true, keys: 1000 }, never);
  expect([broken, next]).toEqual([[], undefined]);
  return changes.map(({ kind, repo, name }) => `${kind} ${repo} ${name}`);
}

test('what was pushed is in the table, and an index that lost everything has it again', async () => {
  await using stack = new AsyncDisposableStack();
  const file = join(await temporary(stack), 'tags.db');
  const backed = await backedBySql(stack, file);
  const first = await site(stack, backed.backend, { backed });
  for (const [of, tags] of [[one, ['v1', 'V1']] as const, [two, ['v2']] as const]) {
    await writeBlobs(backed.backend, of);
    await push(first.answering, 'library/app', of, tags);
  }
  await first.answering.deleteTag('library/app', 'v2');
  await expect.poll(() => depth(first), soon).toBe(0);
  const rows = new DatabaseSync(file).prepare('SELECT repository, tag, image_id FROM tags ORDER BY tag').all();
  expect(rows.map((row) => ({ ...row }))).toMatchObject([
    { repository: 'library/app', tag: 'V1', image_id: one.digest },
    { repository: 'library/app', tag: 'v1', image_id: one.digest },
    { tag: 'v2' },
  ]);
  await first.stop();
  const second = await site(stack, backed.backend, { backed });
  await reconciled(second);
  expect(await second.store.tags('library/app', { n: 10 })).toMatchObject({ tags: ['V1', 'v1'] });
  expect(await second.store.tag('library/app', 'v1')).toMatchObject({ digest: one.digest });
});

test("Kraken's tags are there without an import, whatever it writes, with and without a table of our own", async () => {
  for (const records of [true, false]) {
    await using stack = new AsyncDisposableStack();
    const file = join(await temporary(stack), 'tags.db');
    const kraken = new DatabaseSync(file);
    kraken.exec(
      'CREATE TABLE "tags" ("id" integer primary key autoincrement,"repository" varchar(255) NOT NULL,"tag" varchar(128) NOT NULL,"image_id" varchar(2056) NOT NULL,"created_at" datetime,"updated_at" datetime ); CREATE UNIQUE INDEX repository_tag ON "tags"("repository", "tag")',
    );
    const put = kraken.prepare('INSERT INTO tags (repository, tag, image_id) VALUES (?, ?, ?)');
    put.run('library/app', 'old', one.digest);
    const backed = await backedBySql(stack, file, { records });
    for (const of of [one, two, three]) await writeBlobs(backed.backend, of);
    const index = await site(stack, backed.backend, { backed });
    expect(await index.answering.tag('library/app', 'old')).toMatchObject({ digest: one.digest });
    put.run('library/app', 'new', two.digest);
    expect(await index.answering.tag('library/app', 'new')).toMatchObject({ digest: two.digest });
    put.run('other/app', 'later', three.digest);
    expect(await reconciled(index)).toContain('tag other/app later');
    await push(index.answering, 'library/app', three, ['ours']);
    await expect.poll(() => depth(index), soon).toBe(0);
    const { image_id } = kraken.prepare("SELECT image_id FROM tags WHERE tag = 'ours'").get() ?? {};
    expect(image_id).toBe(three.digest);
    const { n } = kraken.prepare("SELECT count(*) AS n FROM sqlite_schema WHERE name = 'shoal_records'").get() ?? {};
    expect(n).toBe(records ? 1 : 0);
    kraken.close();
  }
});
