/** What every tag store must do with writes that were made in another cluster (versions.ts, rule 5), run against each implementation. */

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ManifestPut, TagVersion } from '../../core/contracts/index-api.ts';
import type { Digest } from '../../core/digest.ts';
import { type Prng, prng } from '../../core/prng.ts';
import type { OutboxOptions } from './outbox.ts';
import type { TagStore } from './store.ts';
import { numberOf } from './versions.ts';

const digest = (no: number): Digest => `sha256:${no.toString(16).padStart(64, '0')}` as Digest;
const [one, two, three] = [digest(1), digest(2), digest(3)] as const;
const image = (more: Partial<ManifestPut> = {}): ManifestPut => ({
  ...{ mediaType: 'm/x', size: 500, blobs: [], manifests: [], tags: [] },
  ...more,
});
const theirs = (no: number, database = 'e'): TagVersion => `${no}-${database.repeat(32)}` as TagVersion;

let store: TagStore;

export function elsewhereConformance(name: string, open: () => Promise<TagStore>): void {
  describe(`made elsewhere: ${name}`, () => {
    beforeEach(async () => {
      store = await open();
      for (const manifest of [one, two]) await store.putManifest('a', manifest, image(), 0);
    });
    afterEach(() => store[Symbol.asyncDispose]());

    tags();
    deletions();
    manifests();
  });
}

const stateOf = (tag: string) => store.tagState('a', tag);

function tags(): void {
  test('it is made where it is newer, and kept with its version; else what is here stays', async () => {
    expect(await store.putTag('a', 'x', { digest: one, as: theirs(50) })).toEqual({ version: theirs(50) });
    expect(await store.tag('a', 'x')).toMatchObject({ digest: one, version: theirs(50) });
    for (const as of [theirs(50), theirs(49), theirs(50, 'd')])
      expect(await store.putTag('a', 'x', { digest: two, as })).toEqual({ kept: theirs(50) });
    expect(await stateOf('x')).toEqual({ digest: one, version: theirs(50) });
    expect(await store.putTag('a', 'x', { digest: two, as: theirs(50, 'f') })).toEqual({ version: theirs(50, 'f') });
    expect(await store.putTag('a', 'x', { digest: two, as: theirs(51) })).toEqual({ version: theirs(51) });
    expect(await stateOf('x')).toEqual({ digest: two, version: theirs(51) });
    expect(await store.putTag('a', 'x', { digest: three, as: theirs(60) })).toBeUndefined();
    expect(await store.putTag('nowhere', 'x', { digest: one, as: theirs(60) })).toBeUndefined();
    expect(await stateOf('x')).toEqual({ digest: two, version: theirs(51) });
  });

  test('what is written here from then on comes after it, and may be conditional on it', async () => {
    await store.putTag('a', 'x', { digest: one, as: theirs(5_000_000) });
    expect(await store.putTag('a', 'x', { digest: two, after: theirs(4) })).toEqual({ changed: theirs(5_000_000) });
    const here = (await store.putTag('a', 'y', { digest: one })) as { version: TagVersion };
    expect(numberOf(here.version)).toBeGreaterThan(5_000_000);
    const own = (await store.putTag('a', 'x', { digest: two, after: theirs(5_000_000) })) as { version: TagVersion };
    expect(numberOf(own.version)).toBeGreaterThan(5_000_000);
    expect(await store.putTag('a', 'x', { digest: one, as: theirs(5_000_000) })).toEqual({ kept: own.version });
    expect((await store.tag('a', 'x'))?.digest).toBe(two);
  });

  test('of many at once the newest is there in the end, and none is made twice', async () => {
    const numbers = Array.from({ length: 20 }, (_, i) => 100 + ((i * 7) % 20));
    const outcomes = await Promise.all(
      [...numbers, ...numbers].map((no) => store.putTag('a', 'x', { digest: no % 2 ? one : two, as: theirs(no) })),
    );
    expect(await stateOf('x')).toEqual({ digest: one, version: theirs(119) });
    const made = outcomes.flatMap((outcome) =>
      outcome !== undefined && 'version' in outcome ? [outcome.version] : [],
    );
    expect(new Set(made).size).toBe(made.length);
  });
}

function deletions(): void {
  test('a deletion is made where it is newer, and remembered also where there was no such tag', async () => {
    await store.putTag('a', 'x', { digest: one, as: theirs(50) });
    expect(await store.deleteTag('a', 'x', { as: theirs(49) })).toEqual({ kept: theirs(50) });
    expect(await store.deleteTag('a', 'x', { as: theirs(51) })).toEqual({ version: theirs(51) });
    expect(await store.deleteTag('a', 'x', { as: theirs(51) })).toEqual({ kept: theirs(51) });
    expect([await store.tag('a', 'x'), await stateOf('x')]).toEqual([
      undefined,
      { digest: undefined, version: theirs(51) },
    ]);
    expect(await store.putTag('a', 'x', { digest: one, as: theirs(50) })).toEqual({ kept: theirs(51) });
    expect(await store.deleteTag('a', 'never', { as: theirs(70) })).toEqual({ version: theirs(70) });
    expect(await store.putTag('a', 'never', { digest: one, as: theirs(69) })).toEqual({ kept: theirs(70) });
    expect(await store.putTag('a', 'never', { digest: one, as: theirs(71) })).toEqual({ version: theirs(71) });
    expect(await store.deleteTag('new/one', 'x', { as: theirs(70) })).toEqual({ version: theirs(70) });
    expect(await store.tagState('new/one', 'x')).toEqual({ digest: undefined, version: theirs(70) });
    expect((await store.catalog({ n: 9 })).repositories).toEqual(['a']);
    expect(await store.deleteTag('a', 'x', theirs(51))).toBeUndefined();
  });
}

function manifests(): void {
  test('a manifest with its tag is put where the tag is newer; else nothing is, whatever it lacks', async () => {
    const put = image({ tags: ['x'] });
    expect(await store.putManifest('a', three, { ...put, as: theirs(50) }, 0)).toEqual({
      missing: [],
      version: theirs(50),
    });
    expect(await store.tag('a', 'x')).toMatchObject({ digest: three, version: theirs(50) });
    const older = { ...put, blobs: [digest(9)], as: theirs(49) };
    expect(await store.putManifest('a', digest(4), older, 0)).toEqual({ missing: [], kept: theirs(50) });
    expect(await store.manifest('a', digest(4))).toBeUndefined();
    expect(await store.putManifest('a', digest(4), { ...older, as: theirs(51) }, 0)).toEqual({ missing: [digest(9)] });
    expect(await store.putManifest('a', one, { ...put, as: theirs(51) }, 0)).toMatchObject({ version: theirs(51) });
    expect(await stateOf('x')).toEqual({ digest: one, version: theirs(51) });
    // A tombstone as well.
    await store.deleteManifest('a', one, 0);
    const { version } = await stateOf('x');
    expect(await store.putManifest('a', three, { ...put, as: theirs(51) }, 0)).toEqual({ missing: [], kept: version });
  });
}

type OpenApart = (name: string, outbox: OutboxOptions) => Promise<TagStore>;

/** Clusters that tell each other of their writes, each with a database of its own. */
/** Of manifests that another cluster has deleted. In a bucket no step looks and deletes. */
export function deletedElsewhere(name: string, openFor: (outbox: OutboxOptions) => Promise<TagStore>): void {
  test(`${name}: a manifest that was deleted elsewhere goes where nothing here needs it, and is told with that write`, async () => {
    const east = { name: 'remote:east', kinds: ['tag', 'referrer', 'deletion'] } as const;
    await using own = await openFor({ targetsOf: () => [east], nowMs: () => 1_000 });
    await own.putManifest('a', one, image({ tags: ['x', 'y'] }), 0);
    await own.putManifest('a', two, image(), 0);
    await own.putManifest('a', three, image({ manifests: [two] }), 0);
    const as = theirs(2_000_000);
    expect(await own.deleteManifest('a', one, 0, as)).toEqual({ tags: ['x', 'y'] });
    expect(await own.deleteManifest('a', two, 0, as)).toEqual({ tags: [] });
    expect(await own.deleteManifest('a', digest(9), 0, as)).toBe(false);
    expect(await own.deleteManifest('nowhere', one, 0, as)).toBe(false);
    expect((await own.tag('a', 'x'))?.digest).toBe(one);
    const rows = async () => (await own.waiting(0, 99)).map((row) => [row.kind, row.name, row.digest, row.version]);
    expect((await rows()).filter(([kind]) => kind === 'manifest')).toEqual([]);
    expect(await own.deleteManifest('a', three, 0, as)).toBe(true);
    expect(await own.deleteManifest('a', two, 0, as)).toBe(true);
    expect(await own.deleteManifest('a', two, 0, as)).toBe(false);
    expect((await rows()).filter(([kind]) => kind === 'manifest')).toEqual([
      ['manifest', two, null, as],
      ['manifest', three, null, as],
    ]);
    // Of one that is deleted here as ever its tags go as well.
    expect(await own.deleteManifest('a', one, 0)).toBe(true);
    const gone = (await rows()).filter(([, name]) => name === one || name === 'x' || name === 'y');
    expect(gone.map(([kind, , on]) => [kind, on])).toEqual([
      ['manifest', null],
      ['tag', null],
      ['tag', null],
    ]);
  });
}

export function convergence(name: string, open: OpenApart): void {
  describe(`clusters: ${name}`, () => {
    test('what changed something is told to every target, and what did not to none', async () => {
      const kinds = ['tag'] as const;
      const hook = { name: 'event:hook', kinds: ['tag', 'manifest'] as const, every: true };
      const targets = [{ name: 'remote:b', kinds }, hook];
      await using alone = await open('alone', { targetsOf: () => targets, nowMs: () => 1_000 });
      await alone.putManifest('a', one, image(), 0);
      await alone.drop({});
      const put = { ...image({ tags: ['x'] }), as: theirs(50) };
      await alone.putManifest('a', one, put, 0);
      await alone.deleteTag('a', 'gone', { as: theirs(40) });
      for (let i = 0; i < 2; i++) {
        await alone.putManifest('a', one, put, 0);
        await alone.deleteTag('a', 'x', { as: theirs(49) });
      }
      const rows = async (target: string) =>
        (await alone.waiting(0, 9, { target })).map(({ kind, name: of, version }) => `${kind} ${of} ${version}`);
      const told = [`tag x ${theirs(50)}`, `tag gone ${theirs(40)}`];
      expect(await rows('event:hook')).toEqual(told);
      expect(await rows('remote:b')).toEqual(told.toReversed());
      const x = (await alone.pending({ target: 'remote:b', repo: 'a', kind: 'tag', name: 'x' }))!;
      // The same number of another cluster is another write.
      await alone.putTag('a', 'x', { digest: one, as: theirs(50, 'f') });
      await alone.written(x);
      await alone.failed(x, { cause: 'late', dueMs: 9 });
      expect(await alone.pending(x)).toMatchObject({ version: theirs(50, 'f'), attempts: 0 });
    });

    for (const rules of ['ring', 'mesh'] as const)
      test(`three in a ${rules}: whatever is written where, all have the same in the end, and it ends`, async () => {
        const random = prng(rules === 'ring' ? 7 : 8);
        await using stack = new AsyncDisposableStack();
        const clusters: TagStore[] = [];
        let nowMs = 1_000;
        for (let i = 0; i < 3; i++) {
          const others = rules === 'ring' ? [(i + 1) % 3] : [0, 1, 2].filter((other) => other !== i);
          const targets = others.map((other) => ({ name: `remote:${other}`, kinds: ['tag'] as const }));
          // Clocks differ.
          const clock = (): number => nowMs + 700 * i;
          clusters.push(stack.use(await open(`${rules}${i}`, { targetsOf: () => targets, nowMs: clock })));
        }
        for (const cluster of clusters)
          for (const manifest of [one, two, three]) await cluster.putManifest('a', manifest, image(), 0);
        for (let step = 0; step < 150; step++) {
          nowMs += random.below(5);
          const cluster = clusters[random.below(3)]!;
          if (random.below(3) === 0) await deliver(clusters, random);
          else if (random.below(4) === 0) await cluster.deleteTag('a', `t${random.below(4)}`);
          else await cluster.putTag('a', `t${random.below(4)}`, { digest: digest(1 + random.below(3)) });
        }
        let turns = 0;
        for (; (await deliver(clusters, random)) > 0; turns++) expect(turns).toBeLessThan(500);
        const states = clusters.map((cluster) =>
          Promise.all([0, 1, 2, 3].map((no) => cluster.tagState('a', `t${no}`))),
        );
        const [first, ...rest] = await Promise.all(states);
        for (const state of rest) expect(state).toEqual(first);
        expect(first?.some(({ version }) => version !== null)).toBe(true);
      });
  });
}

/** One row of each cluster, by chance. How many there were. */
async function deliver(clusters: readonly TagStore[], random: Prng): Promise<number> {
  let delivered = 0;
  for (const cluster of clusters) {
    const all = await cluster.waiting(0, 100);
    const row = all[random.below(Math.max(1, all.length))];
    if (row === undefined) continue;
    delivered += 1;
    const to = clusters[Number(row.target.split(':')[1])]!;
    const { repo, name, digest: on, version: as } = row;
    const told = on === null ? await to.deleteTag(repo, name, { as }) : await to.putTag(repo, name, { digest: on, as });
    expect(told).toBeDefined();
    await cluster.written(row);
  }
  return delivered;
}
