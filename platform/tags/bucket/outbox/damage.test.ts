/** Somebody else has written in the place of a cell: what waits for it is left out, told by its name, and all else goes on. */

import { afterEach, expect, test } from 'vitest';
import type { Digest } from '../../../../core/digest.ts';
import { prng } from '../../../../core/prng.ts';
import { FaultyBucket, neverHeldUp, SharedBucket } from '../faulty-bucket.fixtures.ts';
import { tagCellAt } from '../layout.ts';
import { BucketTagStore } from '../store.ts';
import { outPlaceAt } from './keys.ts';
import { hook, TestClock } from './told.fixtures.ts';

const never = new AbortController().signal;
const one = `sha256:${'1'.repeat(64)}` as Digest;
const image = { mediaType: 'm/x', size: 5, tags: [], blobs: [], manifests: [] };
const main = { name: 'remote:main', kinds: ['tag'] as const };
const open: BucketTagStore[] = [];
afterEach(async () => {
  for (const store of open.splice(0)) await store[Symbol.asyncDispose]();
});

function setUp() {
  const [shared, clock] = [new SharedBucket(), new TestClock()];
  const told: string[] = [];
  const process = (): BucketTagStore => {
    const store = new BucketTagStore({
      objects: new FaultyBucket(shared, { prng: prng(1) }),
      prefix: 'x/',
      time: { nowMs: () => clock.nowMs },
      outbox: {
        targetsOf: () => [main, hook],
        nowMs: () => clock.nowMs,
        onDamaged: (target, why) => told.push(`${target}: ${why}`),
      },
      hangs: neverHeldUp,
      close: async () => undefined,
    });
    open.push(store);
    return store;
  };
  const load = async (key: string) => await shared.objects.load(`x/${key}`, never);
  const put = async (key: string, bytes: Uint8Array | undefined): Promise<void> => {
    if (bytes === undefined) return await shared.objects.remove(`x/${key}`, never);
    await shared.objects.put(`x/${key}`, bytes, never, { version: (await load(key))?.version ?? null });
  };
  /** Rows that are told of, until none comes any more: `REPO/TAG`. */
  const drain = async (store: BucketTagStore, target: string): Promise<string[]> => {
    const rows: string[] = [];
    for (let quiet = 0; quiet < 3; ) {
      clock.nowMs += 1_000;
      const some = await store.claim(target, { nowMs: clock.nowMs, n: 4, untilMs: clock.nowMs + 500 });
      for (const row of some) await store.written(row);
      rows.push(...some.filter(({ kind }) => kind === 'tag').map(({ repo, name }) => `${repo}/${name}`));
      quiet = some.length > 0 ? 0 : quiet + 1;
    }
    return rows.toSorted();
  };
  return { clock, told, process, load, put, drain };
}

/** Repositories a and b, each with tags x and y, of which nobody has been told. */
async function written(store: BucketTagStore): Promise<void> {
  await store.start();
  for (const repo of ['a', 'b']) {
    await store.putManifest(repo, one, image, 0);
    for (const tag of ['x', 'y']) await store.putTag(repo, tag, { digest: one });
  }
}

const places = {
  tag: { at: () => tagCellAt('a', 'x'), out: ['a/x'] },
  failed: { at: (target: string) => outPlaceAt('failed', { target, repo: 'a' }), out: ['a/x', 'a/y'] },
  claim: { at: (target: string) => outPlaceAt('claim', { target, repo: 'a' }), out: ['a/x', 'a/y'] },
};
const all = ['a/x', 'a/y', 'b/x', 'b/y'];
const cases = Object.keys(places).flatMap((name) =>
  [main.name, hook.name].map((target) => [name as keyof typeof places, target] as const),
);

test.each(cases)(
  'junk in the place of a cell (%s) leaves out its rows for %s, until it is put right',
  async (name, target) => {
    const { clock, told, process, load, put, drain } = setUp();
    await written(process());
    const key = places[name].at(target);
    const before = await load(key);
    await put(key, Buffer.from('junk'));
    const store = process();
    expect(await drain(store, target)).toEqual(all.filter((row) => !places[name].out.includes(row)));
    // It is told of by its name, and not at each look.
    expect(told).toEqual([expect.stringContaining(`${target}: faulty: x/${key} is no object of an index`)]);
    // It is no reason to look again at once, nor for others to see nothing of the queue.
    expect(await store.nextDueMs(target)).toBeUndefined();
    expect((await store.outbox()).some((state) => state.target === target)).toBe(true);
    const seen = (await store.waiting(0, 100, { target })).filter(({ kind }) => kind === 'tag');
    expect(seen.map(({ repo, name: tag }) => `${repo}/${tag}`)).toEqual(name === 'tag' ? [] : places[name].out);
    await put(key, before?.bytes);
    clock.nowMs += 61_000;
    expect(await drain(store, target)).toEqual(places[name].out);
  },
);

test('who works on what waits goes on where somebody else has written in the place of its claim', async () => {
  const { clock, told, process, put } = setUp();
  const store = process();
  await written(store);
  clock.nowMs += 1_000;
  const at = { nowMs: clock.nowMs, n: 100, untilMs: clock.nowMs + 500 };
  const rows = await store.claim(main.name, at);
  expect(rows.length).toBe(4);
  await put(outPlaceAt('claim', { target: main.name, repo: 'a' }), Buffer.from('junk'));
  // The first one finds that its claim was written since.
  for (let turn = 0; turn < 2; turn++) await store.hold(rows, at.untilMs + 500);
  expect(told).toEqual([expect.stringContaining('x/claims/')]);
  for (const row of rows) await store.written(row);
  expect((await store.outbox()).filter(({ target }) => target === main.name)).toEqual([]);
});

test('what waits for a damaged cell is given up by an operator, and nothing else with it', async () => {
  const { process, put, drain } = setUp();
  await written(process());
  await put(tagCellAt('a', 'x'), Buffer.from('junk'));
  const store = process();
  expect(await store.drop({ target: main.name, repo: 'a', name: 'x' })).toBe(1);
  expect(await drain(store, main.name)).toEqual(['a/y', 'b/x', 'b/y']);
  expect((await store.outbox()).filter(({ target }) => target === main.name)).toEqual([]);
});
