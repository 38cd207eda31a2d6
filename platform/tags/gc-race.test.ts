/** What is in memory, in SQLite and in a bucket, while all that changes it happens at once. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { conditionalObjects } from '../backends/conditional.ts';
import { MemoryBackend } from '../backends/memory.ts';
import { realClock } from '../net/clock.ts';
import { neverHeldUp } from './bucket/faulty-bucket.fixtures.ts';
import { BucketTagStore } from './bucket/store.ts';
import { gcRace } from './gc-race.fixtures.ts';
import { openMemoryTags } from './memory/memory.ts';
import type { OutboxOptions } from './outbox.ts';
import { openSqliteTags } from './sqlite/sqlite.ts';

const seed = Date.now() % 1_000_000;
const onBroken = (error: Error): never => {
  throw error;
};
/** Of a slow machine that does other things beside it. */
const limitMs = 240_000;
/** All of it happened. */
const much = {
  pushed: expect.any(Number),
  spared: expect.any(Number),
  removed: expect.any(Number),
  deleted: expect.any(Number),
};
const fromBackends = {
  ...much,
  'deleted there': expect.any(Number),
  died: expect.any(Number),
  hung: expect.any(Number),
};

test(
  `memory, seed ${seed}`,
  async () => {
    for (let i = 0; i < 2; i++)
      expect(
        await gcRace(async (outbox) => openMemoryTags(outbox), { seed: seed + i, operations: 2_000 }),
      ).toMatchObject(fromBackends);
  },
  limitMs,
);

test(
  `sqlite, seed ${seed}`,
  async () => {
    const dir = await mkdtemp(join(tmpdir(), 'shoal-gc-race-'));
    try {
      const open = async (outbox: OutboxOptions) => openSqliteTags({ file: join(dir, 'tags.db'), onBroken, outbox });
      expect(await gcRace(open, { seed, operations: 1_500 })).toMatchObject(fromBackends);
    } finally {
      await rm(dir, { recursive: true });
    }
  },
  limitMs,
);

test(
  `bucket, seed ${seed}`,
  async () => {
    const open = async () => {
      const backend = new MemoryBackend('bucket');
      const close = () => backend[Symbol.asyncDispose]();
      const objects = conditionalObjects(backend);
      return new BucketTagStore({ objects, prefix: 'x/', time: realClock, hangs: neverHeldUp, close });
    };
    expect(await gcRace(open, { seed, operations: 800 })).toMatchObject(much);
  },
  limitMs,
);
