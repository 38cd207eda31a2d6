/** Moves between the engines that need no server. PostgreSQL: test/real/storage/index-move.test.ts. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { realClock } from '../../net/clock.ts';
import { neverHeldUp, SharedBucket } from '../bucket/faulty-bucket.fixtures.ts';
import { bucketMoveSource, bucketMoveTarget } from '../bucket/moving/moving.ts';
import { BucketTagStore } from '../bucket/store.ts';
import { openTagsData } from '../sqlite/data.ts';
import { sqliteMoveSource, sqliteMoveTarget } from '../sqlite/moving/moving.ts';
import { openSqliteTags } from '../sqlite/sqlite.ts';
import { type MovingEngine, movingConformance, restoredConformance } from './moving.fixtures.ts';

const dir = mkdtempSync(join(tmpdir(), 'shoal-move-'));
afterAll(() => rmSync(dir, { recursive: true }));
let places = 0;

const sqlite: MovingEngine = {
  name: 'sqlite',
  idle: true,
  async place() {
    const data = join(dir, String(++places));
    return {
      async open(outbox) {
        const file = await openTagsData(data);
        return openSqliteTags({ file, outbox, onBroken: (error) => Promise.reject(error) });
      },
      source: () => sqliteMoveSource(data),
      target: (database) => sqliteMoveTarget(data, database),
    };
  },
};

const bucket: MovingEngine = {
  name: 'bucket',
  idle: false,
  async place() {
    const { objects } = new SharedBucket();
    const { signal } = new AbortController();
    const close = async () => undefined;
    const prefix = 'x/';
    return {
      async open(outbox) {
        const store = new BucketTagStore({ objects, prefix, outbox, time: realClock, hangs: neverHeldUp, close });
        await store.start();
        return store;
      },
      source: () => bucketMoveSource({ objects, prefix, close, signal }),
      target: (database) => bucketMoveTarget({ objects, prefix, close, signal }, database),
    };
  },
};

for (const from of [sqlite, bucket]) for (const to of [sqlite, bucket]) movingConformance(from, to);
for (const engine of [sqlite, bucket]) restoredConformance(engine);
