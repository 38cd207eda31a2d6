/**
 * The proof that the checks can fail: defects planted in the product's own code, each in another room, are found within a
 * few seeds. `npm run loadgen -- fuzz --plants` shows them all, with the time that the whole command gives a run.
 */

import { describe, expect, test } from 'vitest';
import { runSeed } from '../run.ts';
import { PLANTS, type Plant } from './plants.ts';

/** What an honest run needs a part of, and one that stands still is not given longer. */
const liveMs = 90_000;
const seedsMax = 12;
/** Some take two seconds of a quiet machine, and there are twelve seeds; a busy one takes its time. */
const testMs = 600_000;

/** What each breaks, as the run calls it. Those that are not here take more seeds; `fuzz --plants` finds them. */
const kinds: Readonly<Partial<Record<Plant, readonly string[]>>> = {
  'lost-write': ['lost', 'visible'],
  'unverified-serve': ['unverified', 'reader'],
  'stale-tag': ['tag'],
  'driver-sleeps': ['liveness', 'joined'],
  'link-waits-for-ever': ['waits'],
  'inflow-keeps-slot': ['memory'],
  'outbox-frees-early': ['fault', 'unverified'],
  'feeds-twice': ['fault'],
  'trust-never-ends': ['unverified'],
  'passage-stands-still': ['liveness'],
  'part-tells-no-waiter': ['liveness'],
  'announcer-gives-up': ['joined', 'liveness'],
  'encoder-slips': ['fault'],
  'push-says-yes': ['lost'],
  'range-off-by-one': ['reader'],
  'origin-believes': ['have', 'lost', 'visible'],
  'lookup-gives-up': ['liveness', 'joined'],
  'promise-without-row': ['liveness'],
  'copies-unconfirmed': ['lost'],
  'tag-before-blobs': ['named'],
  'reads-not-through': ['tag'],
  'reconciles-a-page': ['reconcile'],
  'ring-by-url': ['liveness'],
};

/** The first seed that is tried, for those that need a rarer accident. */
const froms: Readonly<Partial<Record<Plant, number>>> = {
  'push-says-yes': 57,
  'copies-unconfirmed': 41,
  'ring-by-url': 7,
  'origin-believes': 5,
  'inflow-keeps-slot': 50,
  'trust-never-ends': 22,
  'lookup-gives-up': 2,
};

test('each of at least ten is planted in another room', () => {
  const rooms = Object.values(PLANTS).map(({ room }) => room);
  expect(new Set(rooms).size).toBe(rooms.length);
  expect(rooms.length).toBeGreaterThanOrEqual(10);
});

const seeds = [1, 2, 3, 4, 5, 6];

describe('is found:', () => {
  const plants = (Object.keys(kinds) as Plant[]).map((plant) => {
    const { room, defect } = PLANTS[plant];
    return { plant, room, defect };
  });
  test.each(plants)('$defect ($room)', { timeout: testMs }, async ({ plant }) => {
    const found: string[] = [];
    const from = froms[plant] ?? 1;
    // What it does may show in another way first.
    for (let seed = from; seed < from + seedsMax && !found.some((kind) => kinds[plant]?.includes(kind)); seed++)
      found.push((await runSeed({ seed, plant, liveMs })).violation?.kind ?? 'nothing');
    expect(kinds[plant]).toContain(found.at(-1));
  });
});

// After them: whatever was planted is out again.
test.each(seeds)('without a plant seed %i holds in the same time', { timeout: testMs }, async (seed) => {
  expect((await runSeed({ seed, liveMs })).violation).toBeUndefined();
});
