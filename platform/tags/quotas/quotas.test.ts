import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openMemoryTags } from '../memory/memory.ts';
import { VERSION_1 } from '../sqlite/before.fixtures.ts';
import { openSqliteTags } from '../sqlite/sqlite.ts';
import { quotaConformance } from './quotas.fixtures.ts';

let dir: string;
let files = 0;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'shoal-quotas-'));
});
afterAll(() => rm(dir, { recursive: true }));
const onBroken = (error: Error): never => {
  throw error;
};

quotaConformance('memory', async (rules) => openMemoryTags(undefined, rules));
quotaConformance('sqlite', async (quotas) => openSqliteTags({ file: join(dir, `${++files}.db`), onBroken, quotas }));

test('what a database of an older release holds is counted as it is opened', async () => {
  const file = join(dir, 'old.db');
  const old = new DatabaseSync(file);
  old.exec(VERSION_1);
  old.exec(`INSERT INTO repos VALUES (1, 'a'), (2, 'b'); INSERT INTO blobs VALUES (1, 'sha256:1', 7), (1, 'sha256:2', 8);
    INSERT INTO manifests VALUES (1, 'sha256:3', 'm', 5, NULL, NULL, NULL); INSERT INTO tags VALUES (1, 'x', 'sha256:3');`);
  old.close();
  await using store = openSqliteTags({ file, onBroken });
  expect((await store.used({ n: 9 })).repositories).toEqual([
    { repo: 'a', bytes: 20, tags: 1, manifests: 1 },
    { repo: 'b', bytes: 0, tags: 0, manifests: 0 },
  ]);
});
