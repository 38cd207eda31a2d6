/** An origin's walk: by whose word, how fast, what stays, and what an operator is told. */

import { afterEach, beforeEach, expect, test } from 'vitest';
import { ApiError } from '../../core/contracts/errors.ts';
import type { GcRules } from '../../core/contracts/gc/routes.ts';
import type { Digest } from '../../core/digest.ts';
import { testMeta } from '../../core/handout/fixtures.ts';
import { LetGo } from '../../platform/store/room/let-go.ts';
import { silentLog } from '../../platform/telemetry/log.ts';
import { Collector } from './collector.ts';

const digest = (no: number): Digest => `sha256:${no.toString(16).padStart(64, '0')}` as Digest;
const meta = testMeta(1);

let here: Map<Digest, 'whole' | 'partial' | 'damaged'>;
let rules: GcRules | undefined;
let useless: Set<Digest>;
let owed: Set<string>;
let database: string;
let questions: number;
let collector: Collector;

beforeEach(() => {
  here = new Map();
  for (let no = 0; no < 1_200; no++) here.set(digest(no), 'whole');
  rules = { graceMs: 1, everyMs: 3_600_000, rate: 100_000 };
  useless = new Set([digest(3), digest(700), digest(1_199)]);
  owed = new Set();
  database = 'one';
  questions = 0;
  const letGo = new LetGo({
    ask: async () => ({ unneeded: [], waiting: 0 }),
    nowMs: () => performance.now(),
    candidates: () => [],
    mayGo: (of) => here.has(of),
    release: (of) => (here.delete(of) ? { bytes: 10, gone: Promise.resolve() } : undefined),
  });
  collector = new Collector({
    store: {
      *blobs() {
        for (const [of, how] of here) yield { digest: of, meta, complete: how === 'whole', damaged: how === 'damaged' };
      },
      get count() {
        return here.size;
      },
      room: { letGoBy: (...asked) => letGo.by(...asked) },
    },
    index: {
      gcRules: async () => rules,
      gcCondemn: async (digests) => {
        questions += 1;
        return { index: database, condemned: digests.filter((of) => useless.has(of)), waiting: 1 };
      },
      useless: async (digests) => ({ index: database, useless: digests.filter((of) => useless.has(of)) }),
    },
    known: {
      standing: async ({ index }) => {
        if (index !== 'one') throw new ApiError('UNAVAILABLE', `the index says that it is ${index}`);
        return 'known';
      },
    },
    owed: () => ({ held: async () => owed }),
    random: () => 0,
    went: () => undefined,
    log: silentLog(),
  });
});
afterEach(() => collector[Symbol.asyncDispose]());

async function done(apply: boolean) {
  collector.now(apply);
  await expect.poll(() => collector.state.running).toBe(false);
  return collector.state;
}

test('what the index condemns goes, all that is here is asked about, and what is owed stays', async () => {
  here.set(digest(9_999), 'partial');
  here.set(digest(9_998), 'damaged');
  useless.add(digest(9_999)).add(digest(9_998));
  owed.add(digest(700));
  expect(await done(false)).toMatchObject({ apply: false, looked: 1_201, blobs: 3, owed: 1 });
  expect(here.size).toBe(1_202);
  expect(await done(true)).toMatchObject({ apply: true, looked: 1_201, blobs: 3, bytes: 30, owed: 1, waiting: 3 });
  expect([...useless].filter((of) => here.has(of))).toEqual([digest(700), digest(9_999)]);
  expect(questions).toBe(3);
  expect(collector.doneAt).toBeTypeOf('number');
});

test('nothing goes where the index says that nothing does, or knows nothing of it; what would go is told', async () => {
  rules = { ...(rules as GcRules), off: 'it is read only' };
  expect(await done(true)).toMatchObject({ blobs: 0, looked: 0, why: 'it is read only' });
  expect(await done(false)).toMatchObject({ blobs: 3 });
  rules = undefined;
  expect(await done(true)).toMatchObject({ blobs: 0, why: expect.stringContaining('of a release that') });
  expect([here.size, collector.doneAt]).toEqual([1_200, undefined]);
});

test('by the word of another index nothing goes', async () => {
  database = 'two';
  expect(await done(true)).toMatchObject({ blobs: 0, why: expect.stringContaining('it is two') });
  expect(here.size).toBe(1_200);
}, 40_000);

test('a round that runs is joined, and not made another one', async () => {
  rules = { ...(rules as GcRules), rate: 1_000 };
  expect(collector.now(true)).toMatchObject({ running: true, apply: true });
  expect(collector.now(true)).toMatchObject({ running: true, apply: true });
  expect(() => collector.now(false)).toThrow('a round that removes runs');
});
