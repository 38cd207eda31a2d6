import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Backend } from '../backend.ts';
import { never } from '../objects.fixtures.ts';
import { type SqliteSettings, sqlSchema } from './config.ts';
import { openSql } from './open.ts';
import { SqliteConnections } from './sqlite.ts';
import { type EmptyDatabase, sqlConformance } from './suite.fixtures.ts';

let dir: string;
let files = 0;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'shoal-sql-'));
});
afterAll(() => rmSync(dir, { recursive: true }));

const krakens = [
  'CREATE TABLE "tags" ("id" integer primary key autoincrement,"repository" varchar(255) NOT NULL,"tag" varchar(128) NOT NULL,"image_id" varchar(2056) NOT NULL,"created_at" datetime,"updated_at" datetime )',
  'CREATE INDEX repository ON "tags"("repository")',
  'CREATE UNIQUE INDEX repository_tag ON "tags"("repository", "tag")',
];

function inFile(file = join(dir, `${++files}.db`)): EmptyDatabase & { readonly file: string } {
  const settings = (more: object) => sqlSchema.parse({ dialect: 'sqlite', file, ...more });
  return {
    file,
    krakens,
    raw: new SqliteConnections(settings({}) as SqliteSettings),
    open: (more = {}) => openSql(settings(more), { name: 'main' }),
  };
}

describe('sqlite', () => sqlConformance(async () => inFile()));

const put = (backend: Backend, key: string, value = `sha256:${'a'.repeat(64)}`) =>
  backend.put(key, Buffer.from(value), never);

test('a file that another process has locked is tried later, and holds up nobody for long', async () => {
  const empty = inFile();
  await using backend = await empty.open();
  await put(backend, 'library/app:v1');
  const other = new DatabaseSync(empty.file);
  other.exec('BEGIN EXCLUSIVE');
  await expect(put(backend, 'library/app:v1')).rejects.toMatchObject({
    why: 'unavailable',
    message: expect.stringMatching(/^main: cannot write library\/app:v1 in SQLite's .*locked/),
  });
  other.exec('ROLLBACK');
  other.close();
  await put(backend, 'library/app:v1');
});

test('a file that is no database, or in no directory, is told with its name', async () => {
  await using nowhere = await inFile('/nowhere/at/all.db').open();
  await expect(nowhere.stat('library/app:v1', never)).rejects.toMatchObject({
    why: 'missing',
    message: expect.stringContaining('/nowhere/at/all.db'),
  });
  await using wrong = await inFile(import.meta.filename).open();
  await expect(wrong.stat('library/app:v1', never)).rejects.toMatchObject({ why: 'refused' });
});
