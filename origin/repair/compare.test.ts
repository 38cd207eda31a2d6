/** Origins in memory that compare what they hold: what is found, what of it is fetched first, and what the index has deleted. */

import { expect, test } from 'vitest';
import { ApiError } from '../../core/contracts/errors.ts';
import { type Digest, digestOf } from '../../core/digest.ts';
import { testMeta, testPeer } from '../../core/handout/fixtures.ts';
import { prng } from '../../core/prng.ts';
import { Rendezvous } from '../../core/rendezvous/rendezvous.ts';
import { differing, orderOf, Sums } from '../../core/repair/sums.ts';
import { realClock } from '../../platform/net/clock.ts';
import { silentLog } from '../../platform/telemetry/log.ts';
import { type CoOwner, differences } from './compare.ts';
import { Fetching, type Want, wantsMax } from './fetching.ts';
import { BlobListing } from './listing.ts';
import { RepairProgress } from './progress.ts';
import { Rate } from './rate.ts';
import type { RepairRing } from './ring.ts';

const random = prng(7);
const hex = (): string =>
  Array.from({ length: 8 }, () =>
    random
      .below(2 ** 32)
      .toString(16)
      .padStart(8, '0'),
  ).join('');
const drawn = (count: number): Digest[] => Array.from({ length: count }, () => digestOf('sha256', hex()));
const meta = testMeta(5);

class Site {
  readonly ring: RepairRing;
  readonly listing: BlobListing;
  readonly held = new Set<Digest>();

  constructor(self: string, places: readonly string[], replicas: number) {
    const ring = Rendezvous.of(places);
    this.ring = { self, owners: (digest) => ring.pick(digest, replicas), count: () => replicas, others: () => [] };
    this.listing = new BlobListing({
      ring: this.ring,
      blobs: () => [...this.held].map((digest) => ({ digest, meta, complete: true })),
      clock: realClock,
      breathe: async () => undefined,
    });
  }

  /** As it answers `other`, `max` names a page. */
  async against(other: Site, max: number): Promise<CoOwner> {
    const { listing } = other;
    const theirs = (await listing.sums()).get(this.ring.self) ?? new Sums();
    const mask = differing((await this.listing.sums()).get(other.ring.self) ?? new Sums(), theirs);
    const page = (after: Digest | undefined) =>
      listing.page((blob) => listing.shares(this.ring.self, blob), { mask, after, max });
    return { place: other.ring.self, peer: testPeer(1), mask, page };
  }
}

test.each([2, 3])(
  'each difference is found once, in order, and nothing else is named, with %i owners',
  async (replicas) => {
    const places = ['a', 'b', 'c', 'd'];
    const sites = places.map((place) => new Site(place, places, replicas));
    const [a, ...others] = sites as [Site, ...Site[]];
    const all = drawn(3_000);
    for (const digest of all)
      for (const site of sites) if (site.ring.owners(digest).includes(site.ring.self)) site.held.add(digest);
    const lost = [...a.held].filter((_, i) => i % 9 === 0);
    for (const digest of lost) a.held.delete(digest);
    const kept = [...a.held].filter((digest) => (others[0] as Site).held.has(digest)).slice(0, 50);
    for (const digest of kept) others[0]?.held.delete(digest);
    const asked = await Promise.all(others.map((other) => a.against(other, 37)));
    const found: { digest: Digest; here: boolean; holders: number }[] = [];
    for await (const one of differences(a, asked))
      found.push({ digest: one.digest, here: one.here, holders: one.holders.length });
    expect(found.map(({ digest }) => digest)).toEqual(
      [...lost, ...kept].toSorted((x, y) => (orderOf(x) < orderOf(y) ? -1 : 1)),
    );
    for (const { digest, here, holders } of found) {
      expect(here).toBe(kept.includes(digest));
      expect(holders).toBe(
        others.filter((site) => site.held.has(digest) && site.ring.owners(digest).includes('a')).length,
      );
    }
    // Who holds the same is asked for no names.
    const same = await others[1]?.against(others[2] as Site, 10);
    expect(same?.mask.every((bits) => bits === 0)).toBe(true);
  },
);

test('an origin that holds nothing names nothing, and is told all that it should hold', async () => {
  const [a, b] = [new Site('a', ['a', 'b'], 2), new Site('b', ['a', 'b'], 2)] as const;
  for (const digest of drawn(500)) b.held.add(digest);
  const found: Digest[] = [];
  for await (const { digest, here } of differences(a, [await a.against(b, 100)])) if (!here) found.push(digest);
  expect(new Set(found)).toEqual(b.held);
});

const want = (digest: Digest, copies = 1): Want => ({ digest, meta, from: [], copies });

function fetching(
  o: { linked?: (digests: readonly Digest[]) => Promise<ReadonlySet<Digest>>; parallel?: number } = {},
) {
  const took: Digest[] = [];
  let running = 0;
  let most = 0;
  const queue = new Fetching({
    linked: o.linked ?? (async (digests) => new Set(digests)),
    lacks: () => true,
    take: async ({ digest }) => {
      most = Math.max(most, ++running);
      await new Promise((resolve) => setImmediate(resolve));
      took.push(digest);
      running--;
    },
    parallel: o.parallel ?? 3,
    progress: new RepairProgress(realClock),
    clock: realClock,
    log: silentLog(),
  });
  return { queue, took, most: () => most };
}

test('what nothing links to any more is not fetched; while the index is silent nothing is', async () => {
  const [gone, kept] = drawn(2) as [Digest, Digest];
  let silent = true;
  const { queue, took } = fetching({
    linked: async (digests) => {
      if (silent) throw new ApiError('UNAVAILABLE', 'no index answers');
      return new Set(digests.filter((digest) => digest !== gone));
    },
  });
  queue.add(want(gone));
  queue.add(want(kept));
  await expect.poll(() => queue.why).toContain('no index answers');
  expect([took, queue.lacking.blobs]).toEqual([[], 2]);
  silent = false;
  await queue.settled();
  expect([took, queue.lacking, queue.why]).toEqual([[kept], { blobs: 0, bytes: 0 }, undefined]);
});

test('the most endangered come first, a few at a time, and no more wait than may', async () => {
  let go: () => void = () => undefined;
  const asked = new Promise<void>((resolve) => {
    go = resolve;
  });
  const { queue, took, most } = fetching({ linked: async (digests) => asked.then(() => new Set(digests)) });
  const first = drawn(1)[0] as Digest;
  queue.add(want(first, 2));
  const many = drawn(wantsMax);
  const added = many.map((digest, i) => queue.add(want(digest, i % 2 === 0 ? 2 : 1)));
  expect(added.filter((yes) => !yes).length).toBe(1);
  go();
  await queue.settled();
  expect(most()).toBe(3);
  const of = (digest: Digest): number => many.indexOf(digest) % 2;
  // One batch was asked about before the others came.
  const tail = took.slice(1).map(of);
  expect(tail.slice(0, 1_000).every((single) => single === 1)).toBe(true);
});

test('a rate holds over time, whatever comes at once', () => {
  let nowMs = 0;
  const due: [number, () => void][] = [];
  const clock = {
    nowMs: () => nowMs,
    soon: () => undefined,
    after: (ms: number, call: () => void) => {
      due.push([nowMs + ms, call]);
      return { [Symbol.dispose]: () => undefined };
    },
  };
  const rate = new Rate(1_000_000, clock);
  let got = 0;
  const goes = (): void => {
    got += 100_000;
  };
  for (let n = 0; n < 100; n++) rate.wait(100_000, goes);
  for (nowMs = 0; nowMs <= 5_000; nowMs += 10)
    for (const one of due.splice(0)) {
      if (one[0] <= nowMs) one[1]();
      else due.push(one);
    }
  expect(Math.abs(got - 5_000_000)).toBeLessThanOrEqual(200_000);
});
