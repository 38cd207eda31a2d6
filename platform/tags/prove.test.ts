import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type BackendRule, backendsShape } from '../backends/config.ts';
import { type StoreSettings, storeSchema } from './config.ts';
import { proveStore } from './prove.ts';
import { openTagsData } from './sqlite/data.ts';
import { openSqliteTags } from './sqlite/sqlite.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'shoal-prove-'));
});
afterEach(() => rm(dir, { recursive: true }));

const proof = (store: StoreSettings, backends: readonly BackendRule[] = []) =>
  proveStore({ store, data: join(dir, 'data'), backends }, {});
const sqlite = { kind: 'sqlite' } as const;

test('SQLite: nothing is there yet, an index has run there, or something else is there', async () => {
  expect(await proof(sqlite)).toMatchObject({ what: 'store', proven: 'read', lacks: [expect.stringContaining('yet')] });
  const file = await openTagsData(join(dir, 'data'));
  await openSqliteTags({ file, onBroken: (error) => Promise.reject(error) })[Symbol.asyncDispose]();
  expect(await proof(sqlite)).toMatchObject({ proven: 'read', lacks: [], problem: undefined });
  await writeFile(file, 'no database at all, but long enough to be looked at as one'.repeat(100));
  expect(await proof(sqlite)).toMatchObject({ proven: undefined, problem: { message: expect.stringContaining(file) } });
});

test('PostgreSQL: a server that is not there is named', async () => {
  const store = storeSchema.parse({ kind: 'postgres', host: '127.0.0.1', port: 1, username: 'x' });
  const { problem } = await proof(store);
  expect(problem?.message).toMatch(/PostgreSQL shoal at 127\.0\.0\.1:1: .*ECONNREFUSED/);
});

test('a bucket: its conditions are tried', async () => {
  const [rule] = backendsShape().parse([{ name: 'main', memory: {} }]) as BackendRule[];
  const store = storeSchema.parse({ kind: 'bucket', backend: 'main' });
  const found = await proof(store, rule === undefined ? [] : [rule]);
  expect(found).toMatchObject({ proven: 'written', lacks: [expect.stringContaining('_shoal/index/')] });
});
