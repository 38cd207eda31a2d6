/** Retention in memory and in SQLite, while all that it depends on changes. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openMemoryTags } from './memory/memory.ts';
import type { OutboxOptions } from './outbox.ts';
import { openSqliteTags } from './sqlite/sqlite.ts';
import { untaggedRace } from './untagged-race.fixtures.ts';

const seed = Date.now() % 1_000_000;
const onBroken = (error: Error): never => {
  throw error;
};
/** All of it happened. */
const much = {
  pushed: expect.any(Number),
  spared: expect.any(Number),
  moved: expect.any(Number),
  retired: expect.any(Number),
};

test(`memory, seed ${seed}`, async () => {
  for (let i = 0; i < 5; i++)
    expect(await untaggedRace(async (outbox) => openMemoryTags(outbox), { seed: seed + i, bursts: 60 })).toMatchObject(
      much,
    );
}, 60_000);

test(`sqlite, seed ${seed}`, async () => {
  const dir = await mkdtemp(join(tmpdir(), 'shoal-untagged-race-'));
  try {
    const open = async (outbox: OutboxOptions) => openSqliteTags({ file: join(dir, 'tags.db'), onBroken, outbox });
    expect(await untaggedRace(open, { seed, bursts: 60 })).toMatchObject(much);
  } finally {
    await rm(dir, { recursive: true });
  }
}, 60_000);
