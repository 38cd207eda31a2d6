import { expect, test } from 'vitest';
import { ApiError } from '../../core/contracts/errors.ts';
import type { Digest } from '../../core/digest.ts';
import { prng } from '../../core/prng.ts';
import { VirtualClock } from '../../platform/net/clock.fixtures.ts';
import { Queue } from '../../platform/queue/queue.ts';
import { runHere } from '../../platform/queue/runners.ts';
import { silentLog } from '../../platform/telemetry/log.ts';
import { Rebuild, type RebuildOptions } from './rebuild.ts';

const digest = (no: number): Digest => `sha256:${String(no).padStart(64, '0')}` as Digest;
const blob = (no: number, complete = true) => ({ digest: digest(no), meta: { length: no }, complete });

async function site(more: Partial<RebuildOptions> = {}) {
  const clock = new VirtualClock();
  const runner = runHere({ file: ':memory:', name: 'queue', rowsMax: 1_000 }, (error) => {
    throw error;
  });
  const queue = new Queue({ runner, nowMs: () => 0, random: prng(1) });
  const owed: unknown[] = [];
  const options: RebuildOptions = {
    queue,
    rules: 'a',
    blobs: () => [blob(1), blob(2), blob(3, false)],
    owe: async (blobs) => void owed.push(...blobs),
    holders: async (_, { last }) =>
      last === undefined ? { repositories: ['a', 'b'], more: true } : { repositories: ['c'], more: false },
    clock,
    log: silentLog(),
    ...more,
  };
  return { options, owed, clock, [Symbol.asyncDispose]: () => queue[Symbol.asyncDispose]() };
}

test('whole blobs are owed in every repository that has them, once, and again where the rules are others', async () => {
  await using one = await site();
  await new Rebuild(one.options).run();
  const of = (no: number) => ['a', 'b', 'c'].map((repo) => ({ digest: digest(no), size: no, repo }));
  expect(one.owed).toEqual([...of(1), ...of(2)]);
  await new Rebuild(one.options).run();
  expect(one.owed.length).toBe(6);
  await new Rebuild({ ...one.options, rules: 'b' }).run();
  expect(one.owed.length).toBe(12);
});

test('without an index they are owed to the backend for all', async () => {
  await using one = await site({ holders: undefined });
  await new Rebuild(one.options).run();
  expect(one.owed).toMatchObject([{ repo: undefined }, { repo: undefined }]);
});

test('an index that does not answer is waited for', async () => {
  let asked = 0;
  await using one = await site({
    holders: async () => {
      asked += 1;
      if (asked < 3) throw new ApiError('UNAVAILABLE', 'down');
      return { repositories: ['a'], more: false };
    },
  });
  const done = new Rebuild(one.options).run();
  for (let turn = 0; turn < 100; turn++) {
    await new Promise(setImmediate);
    one.clock.until(one.clock.ms + 1_000);
  }
  await done;
  expect(one.owed).toMatchObject([
    { digest: digest(1), repo: 'a' },
    { digest: digest(2), repo: 'a' },
  ]);
});
