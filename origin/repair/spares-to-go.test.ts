/** Copies that only others own go when each of these has the blob, and never before: also where members disagree, drain or are silent. */

import { expect, test } from 'vitest';
import { ApiError } from '../../core/contracts/errors.ts';
import { type Digest, digestOf } from '../../core/digest.ts';
import { testMeta, testPeer } from '../../core/handout/fixtures.ts';
import { type Prng, prng } from '../../core/prng.ts';
import { Rendezvous } from '../../core/rendezvous/rendezvous.ts';
import type { RepairClient, RepairOffer } from '../../platform/clients/origin-repair.ts';
import { realClock } from '../../platform/net/clock.ts';
import { RepairAnswers } from './answers.ts';
import { BlobListing } from './listing.ts';
import type { RepairRing } from './ring.ts';
import { SparesToGo } from './spares-to-go.ts';

const meta = testMeta(5);
const digests: Digest[] = Array.from({ length: 12 }, (_, no) =>
  digestOf('sha256', `${no % 10}${'0'.repeat(60)}00${no}`.slice(-64)),
);
const never = new AbortController().signal;

class World {
  nowMs = 0;
  readonly sites = new Map<string, Site>();
  /** What the index says; undefined: it does not answer. */
  counts: ReadonlyMap<Digest, number> | undefined = new Map();

  site(name: string): Site {
    return this.sites.get(name) as Site;
  }

  copies(digest: Digest): Site[] {
    return [...this.sites.values()].filter((site) => site.held.has(digest));
  }
}

class Site {
  readonly held = new Set<Digest>();
  /** All origins, as this one sees it. */
  list: readonly string[] = [];
  silent = false;
  leaving = false;
  readonly below = new Set<Digest>();
  readonly #name: string;
  readonly #answers: RepairAnswers;
  readonly #toGo: SparesToGo;
  /** What was claimed since the question that is open. */
  #claimed = new Set<Digest>();

  constructor(world: World, name: string) {
    this.#name = name;
    world.sites.set(name, this);
    const ring: RepairRing = {
      self: name,
      owners: (digest, told = 0) => Rendezvous.of(this.list).pick(digest, Math.max(2, told)),
      count: () => 2,
      others: () =>
        this.list
          .filter((place) => place !== name)
          .map((place) => ({ place, url: place, live: !world.site(place).silent, client: undefined })),
    };
    const named = async (blobs: readonly { digest: Digest }[]) => blobs.map(({ digest }) => ({ digest, meta }));
    const listing = new BlobListing({ ring, blobs: () => [], clock: realClock, breathe: async () => undefined });
    const keeps = async (digest: Digest): Promise<boolean> => {
      this.#claimed.add(digest);
      await Promise.resolve();
      return this.held.has(digest);
    };
    const common = { ring, listing, peer: testPeer(1), named, leaving: () => this.leaving };
    this.#answers = new RepairAnswers({ ...common, keeps, want: () => undefined });
    const offer = (place: string) => async (body: RepairOffer) => new Set(await world.site(place).#answer(body));
    this.#toGo = new SparesToGo({
      ...common,
      find: (digest) => (this.held.has(digest) ? { digest, meta } : undefined),
      reach: (place) => {
        const other = ring.others().find((one) => one.place === place && one.live);
        return other && { ...other, client: { offer: offer(place) } as Partial<RepairClient> as RepairClient };
      },
      counts: async (asked) => {
        if (world.counts === undefined) throw new ApiError('UNAVAILABLE', 'no index answers');
        return asked.map((digest) => world.counts?.get(digest) ?? 0);
      },
      underReplicated: (digest) => this.below.has(digest),
      clock: { nowMs: () => world.nowMs },
    });
  }

  async #answer(body: RepairOffer): Promise<Digest[]> {
    if (this.silent) throw new ApiError('UNAVAILABLE', `${this.#name} hangs`);
    return await this.#answers.offered(body);
  }

  /** As the store does: what was claimed meanwhile stays. */
  async makeRoom(): Promise<Digest[]> {
    this.#claimed = new Set();
    const gone = (await this.#toGo.of([...this.held], never)).filter((digest) => !this.#claimed.has(digest));
    for (const digest of gone) this.held.delete(digest);
    return gone;
  }
}

/** `e` has all, and the others what they own. */
function settledWorld(): { readonly world: World; readonly spare: Site; readonly theirs: readonly Digest[] } {
  const world = new World();
  const names = ['a', 'b', 'c', 'd', 'e'];
  for (const name of names) new Site(world, name);
  const owners = Rendezvous.of(names);
  for (const site of world.sites.values()) site.list = names;
  for (const digest of digests) for (const name of owners.pick(digest, 2)) world.site(name).held.add(digest);
  const spare = world.site('e');
  for (const digest of digests) spare.held.add(digest);
  return { world, spare, theirs: digests.filter((digest) => !owners.pick(digest, 2).includes('e')) };
}

test('what each of its owners has goes, what is ours stays', async () => {
  const { spare, theirs } = settledWorld();
  expect(theirs.length).toBeGreaterThan(3);
  expect((await spare.makeRoom()).toSorted()).toEqual(theirs.toSorted());
});

test('one owner that lacks it, is silent, drains, or sees other owners: it stays', async () => {
  const spoilt: ((world: World, owner: Site, digest: Digest) => void)[] = [
    (_, owner, digest) => owner.held.delete(digest),
    (_, owner) => {
      owner.silent = true;
    },
    (_, owner) => {
      owner.leaving = true;
    },
    (world, owner, digest) => {
      // By its own list two others own it.
      owner.list = ['a', 'b', 'c', 'd', 'e'].filter((name) => world.site(name) !== owner);
      expect(Rendezvous.of(owner.list).pick(digest, 2).length).toBe(2);
    },
    (world) => Object.assign(world, { counts: undefined }),
    (world, _, digest) => Object.assign(world, { counts: new Map([[digest, 5]]) }),
    (world, _, digest) => world.site('e').below.add(digest),
  ];
  for (const spoil of spoilt) {
    const { world, spare, theirs } = settledWorld();
    const [digest] = theirs as [Digest];
    const [, second] = Rendezvous.of(spare.list).pick(digest, 2) as [string, string];
    spoil(world, world.site(second), digest);
    expect(await spare.makeRoom()).not.toContain(digest);
    expect(spare.held.has(digest)).toBe(true);
  }
  const { spare } = settledWorld();
  spare.leaving = true;
  expect(await spare.makeRoom()).toEqual([]);
});

test.each([1, 2, 3, 4])('lists that change while all make room: two copies stay of each (part %i)', async (part) => {
  let removed = 0;
  for (let seed = part; seed <= 200; seed += 4) {
    const random = prng(seed);
    const { world } = settledWorld();
    const sites = [...world.sites.values()];
    // Wherever they are: the best owners would be owners by any list.
    for (const digest of digests) {
      for (const site of sites) site.held.delete(digest);
      for (let no = 2 + random.below(3); no > 0; no--)
        (sites[(digest.charCodeAt(7) + no) % 5] as Site).held.add(digest);
    }
    const rooms: Promise<Digest[]>[] = [];
    for (let step = 0; step < 60; step++) {
      world.nowMs += 100_000;
      disturb(random, world, sites);
      if (random.below(3) === 0) rooms.push(...sites.map((site) => site.makeRoom()));
      for (let turn = random.below(20); turn > 0; turn--) await Promise.resolve();
      for (const digest of digests) expect([seed, world.copies(digest).length >= 2]).toEqual([seed, true]);
    }
    removed += (await Promise.all(rooms)).flat().length;
    for (const digest of digests) expect([seed, world.copies(digest).length >= 2]).toEqual([seed, true]);
  }
  expect(removed).toBeGreaterThan(50);
});

/** One site sees others, hangs, or drains; or does not any more. */
function disturb(random: Prng, world: World, sites: readonly Site[]): void {
  const names = [...world.sites.keys()];
  const no = random.below(5);
  const site = sites[no] as Site;
  const what = random.below(4);
  if (what === 0) site.silent = random.below(3) === 0;
  else if (what === 1) site.leaving = random.below(4) === 0;
  else site.list = names.filter((name) => name === names[no] || random.below(5) > 0);
}
