import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { silentLog } from '../telemetry/log.ts';
import { Metrics } from '../telemetry/metrics.ts';
import { type StoreSettings, storeSchema } from './config.ts';
import { openTags } from './open.ts';

test('another engine beside a database of SQLite is refused: its tags would seem lost', async () => {
  const data = await mkdtemp(join(tmpdir(), 'shoal-tags-'));
  const open = (store: StoreSettings) =>
    openTags({
      store,
      data,
      targets: undefined,
      backends: [],
      quotas: [],
      log: silentLog(),
      metrics: new Metrics(),
      env: {},
    });
  try {
    const { store } = await open(storeSchema.parse({ kind: 'sqlite' }));
    await store[Symbol.asyncDispose]();
    for (const other of [
      { kind: 'postgres', host: 'nowhere.invalid' },
      { kind: 'bucket', backend: 'main' },
    ])
      await expect(open(storeSchema.parse(other))).rejects.toThrow(/tags\.db holds what this index knew in SQLite/);
    await rm(join(data, 'tags.db'));
    await writeFile(join(data, 'more'), '');
    await expect(open(storeSchema.parse({ kind: 'bucket', backend: 'main' }))).rejects.toThrow('no rule main');
  } finally {
    await rm(data, { recursive: true });
  }
});
