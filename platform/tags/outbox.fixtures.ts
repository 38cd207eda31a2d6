/** What every tag store must do for a backend (outbox.ts), run against each implementation. */

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ManifestPut, TagVersion } from '../../core/contracts/index-api.ts';
import type { Digest } from '../../core/digest.ts';
import type { AdoptedManifest, OutboxOptions } from './outbox.ts';
import type { TagStore } from './store.ts';
import type { OutboxKind } from './targets.ts';
import { unversioned } from './versions.ts';

const digest = (no: number): Digest => `sha256:${no.toString(16).padStart(64, '0')}` as Digest;
const [one, two, layer] = [digest(1), digest(2), digest(100)] as const;
const bare = { mediaType: 'm/x', size: 500, blobs: [], manifests: [] };
const image = (more: Partial<ManifestPut> = {}): ManifestPut => ({ ...bare, tags: [], ...more });
const adopted = (more: Partial<AdoptedManifest> = {}): AdoptedManifest => ({ ...bare, ...more });
const elsewhere = 'e'.repeat(32);
const at = (no: number): TagVersion => `${no}-${elsewhere}` as TagVersion;
const numberOf = (version: unknown): number => Number(String(version).split('-')[0]);

const kinds = ['blob', 'manifest', 'tag'] as const;
type Open = (outbox: OutboxOptions) => Promise<TagStore>;
let nowMs = 0;
let second: string | undefined;
let own: string | undefined;
let store: TagStore;

export function outboxConformance(name: string, open: Open): void {
  describe(`outbox: ${name}`, () => {
    beforeEach(async () => {
      nowMs = 1_000_000;
      second = undefined;
      own = undefined;
      const backendOf = (repo: string) => (repo.startsWith('own/') ? own : (second ?? 'main'));
      const targetsOf = (repo: string) => [backendOf(repo) ?? []].flat().map((target) => ({ name: target, kinds }));
      store = await open({ targetsOf, nowMs: () => nowMs });
    });
    afterEach(() => store[Symbol.asyncDispose]());

    rows();
    attempts();
    claims();
    backfills();
    numbers();
    adoption();
  });
}

/** What waits, in short: `tag x -> 1`. */
async function waiting(): Promise<string[]> {
  const all = await store.due('main', Number.MAX_SAFE_INTEGER, 1_000);
  return all.map(({ repo, kind, name, digest: on }) => `${repo} ${kind} ${short(name)} ${on && short(on)}`).sort();
}

function short(name: string): string {
  return name.startsWith('sha256:') ? String(Number.parseInt(name.slice(-4), 16)) : name;
}

const pending = (kind: OutboxKind, name: string) => store.pending({ target: 'main', repo: 'a', kind, name });

function rows(): void {
  test('each write leaves a row of its newest state, and none where the repository has no backend', async () => {
    await store.linkBlob('a', layer, { size: 9 });
    await store.mount('b', layer, 'a');
    await store.putManifest('a', one, image({ tags: ['x', 'y'], blobs: [layer] }), 0);
    await store.putManifest('a', two, image(), 0);
    expect(await waiting()).toEqual([
      ...['a blob 100 100', 'a manifest 1 1', 'a manifest 2 2', 'a tag x 1', 'a tag y 1', 'b blob 100 100'],
    ]);
    await store.putTag('a', 'x', { digest: two });
    await store.deleteTag('a', 'y');
    await store.unlinkBlob('b', layer, 0);
    expect(await waiting()).toEqual([
      ...['a blob 100 100', 'a manifest 1 1', 'a manifest 2 2', 'a tag x 2', 'a tag y null', 'b blob 100 null'],
    ]);
    await store.deleteManifest('a', two, 0);
    expect(await waiting()).toEqual([
      ...['a blob 100 100', 'a manifest 1 1', 'a manifest 2 null', 'a tag x null', 'a tag y null', 'b blob 100 null'],
    ]);
    await store.putManifest('own/a', one, image({ tags: ['x'] }), 0);
    await store.linkBlob('own/a', layer, { size: 9 });
    await store.deleteTag('own/a', 'x');
    expect((await store.outbox()).map(({ rows }) => rows)).toEqual([6]);
  });

  test('a write that changes nothing leaves no row', async () => {
    await store.putManifest('a', one, image({ tags: ['x'], blobs: [layer] }), 0);
    await store.putTag('a', 'x', { digest: one });
    await store.deleteTag('a', 'x');
    await store.unlinkBlob('a', layer, 0);
    await store.deleteManifest('a', one, 0);
    await store.mount('a', layer, 'b');
    expect(await store.outbox()).toEqual([]);
    const { version } = await store.putManifest('a', one, image({ tags: ['x'] }), 0);
    const before = await pending('tag', 'x');
    await store.putTag('a', 'x', { digest: one, after: at(1) });
    await store.deleteTag('a', 'x', at(1));
    await store.putManifest('a', two, image({ tags: ['x'], after: at(1) }), 0);
    expect(await pending('tag', 'x')).toEqual(before);
    expect(before?.version).toBe(version);
    expect(await pending('manifest', two)).toBeUndefined();
  });

  test('what a row says is told with it: the references of a manifest that are here, where a tag is', async () => {
    for (const blob of [layer, digest(101)]) await store.linkBlob('a', blob, { size: 9 });
    await store.putManifest('a', one, image({ subject: digest(7), blobs: [layer, digest(101)] }), 0);
    const index = { ...image({ manifests: [one, digest(8)] }), sparse: true };
    await store.putManifest('a', two, index, 0);
    expect(await store.references('a', one)).toEqual({ blobs: [layer, digest(101)], manifests: [] });
    expect(await store.references('a', two)).toEqual({ blobs: [], manifests: [one] });
    expect(await store.references('b', two)).toEqual({ blobs: [], manifests: [] });
    const listed = ([repo, of]: readonly [string, Digest]) => store.listed(repo, of);
    const asked = [
      ['a', one],
      ['a', digest(8)],
      ['a', two],
      ['a', layer],
      ['b', one],
    ] as const;
    expect(await Promise.all(asked.map(listed))).toEqual([true, true, false, false, false]);
    const set = (await store.putTag('a', 'x', { digest: one })) as { version: TagVersion };
    expect(await store.tagState('a', 'x')).toEqual({ digest: one, version: set.version });
    const gone = (await store.deleteTag('a', 'x')) as { version: TagVersion };
    expect(await store.tagState('a', 'x')).toEqual({ digest: undefined, version: gone.version });
    expect(await store.tagState('a', 'never')).toEqual({ digest: undefined, version: null });
  });
}

function attempts(): void {
  test('an operator sees what waits, page by page, and may have it tried at once', async () => {
    await store.putManifest('a', one, image({ tags: ['x', 'y'] }), 0);
    await store.failed((await pending('tag', 'x'))!, { cause: 'denied', dueMs: nowMs + 60_000 });
    const shown = async (skip: number, n: number) =>
      (await store.waiting(skip, n)).map(({ kind, name, cause, dueMs, target, attempts: failed }) => {
        return [kind, short(name), cause, dueMs - nowMs, target, failed];
      });
    const rowX = ['tag', 'x', 'denied', 60_000, 'main', 1];
    const others = [
      ['manifest', '1', null, 0, 'main', 0],
      ['tag', 'y', null, 0, 'main', 0],
    ];
    expect(await shown(0, 10)).toEqual([others[0], rowX, others[1]]);
    expect([await shown(1, 1), await shown(3, 1)]).toEqual([[rowX], []]);
    const keyX = { target: 'main', repo: 'a', kind: 'tag', name: 'x' } as const;
    expect(await store.retry({ ...keyX, name: 'never' })).toBe(0);
    expect((await store.due('main', nowMs, 10)).map(({ name }) => short(name))).not.toContain('x');
    expect([await store.retry({}), await store.retry(keyX)]).toEqual([1, 1]);
    expect((await store.due('main', nowMs, 10)).map(({ name }) => short(name))).toContain('x');
    // Why it failed is told until it has not.
    expect(await pending('tag', 'x')).toMatchObject({ attempts: 1 });
  });

  test('what is written goes, but for what was written anew meanwhile', async () => {
    await store.putManifest('a', one, image({ tags: ['x', 'y'] }), 0);
    const [x, y] = [await pending('tag', 'x'), await pending('tag', 'y')];
    nowMs += 5;
    await store.putTag('a', 'x', { digest: one });
    await store.written(x!);
    await store.written(y!);
    expect(await waiting()).toEqual(['a manifest 1 1', 'a tag x 1']);
    expect(await pending('tag', 'x')).toMatchObject({ sinceMs: 1_000_000, attempts: 0 });
    await store.written((await pending('tag', 'x'))!);
    expect(await pending('tag', 'x')).toBeUndefined();
  });

  test('what failed is tried when it is due; its cause is told; a newer write is tried at once', async () => {
    await store.putManifest('a', one, image({ tags: ['x'] }), 0);
    const x = (await pending('tag', 'x'))!;
    await store.failed(x, { cause: 'throttled', dueMs: nowMs + 100 });
    expect((await store.due('main', nowMs, 10)).map(({ kind }) => kind)).toEqual(['manifest']);
    expect((await store.due('main', nowMs + 100, 10)).map(({ kind }) => kind)).toEqual(['manifest', 'tag']);
    expect(await store.due('main', nowMs + 100, 1)).toHaveLength(1);
    expect(await store.due('other', nowMs + 100, 10)).toEqual([]);
    expect(await pending('tag', 'x')).toEqual({ ...x, attempts: 1 });
    expect(new Set(await store.outbox())).toEqual(
      new Set([
        { target: 'main', cause: null, dead: false, rows: 1, sinceMs: nowMs },
        { target: 'main', cause: 'throttled', dead: false, rows: 1, sinceMs: nowMs },
      ]),
    );
    await store.written((await pending('manifest', one))!);
    expect(await store.nextDueMs('main')).toBe(nowMs + 100);
    nowMs += 10;
    await store.putTag('a', 'x', { digest: one });
    await store.failed(x, { cause: 'late', dueMs: nowMs + 1_000 });
    expect(await store.outbox()).toEqual([{ target: 'main', cause: null, dead: false, rows: 1, sinceMs: nowMs - 10 }]);
    expect(await store.nextDueMs('main')).toBe(nowMs);
    expect(await store.nextDueMs('other')).toBeUndefined();
  });

  test('where a repository goes to another backend, what waits goes along', async () => {
    await store.putManifest('a', one, image(), 0);
    second = 'other';
    await store.reroute();
    expect((await store.outbox()).map(({ target }) => target)).toEqual(['other']);
    expect(await store.due('other', nowMs, 5)).toHaveLength(1);
  });
}

function claims(): void {
  const claim = async (n: number, untilMs = nowMs + 100) =>
    (await store.claim('main', { nowMs, n, untilMs })).map(({ kind, name }) => `${kind} ${short(name)}`);

  test('what is due is given to one who works on it, until it is written or has failed, or for as long as it was asked for', async () => {
    await store.putManifest('a', one, image({ tags: ['x', 'y'] }), 0);
    const all = ['manifest 1', 'tag x', 'tag y'];
    expect(await store.claim('other', { nowMs, n: 9, untilMs: nowMs + 9 })).toEqual([]);
    const first = await claim(1);
    const rest = await claim(9);
    expect([first.length, [...first, ...rest].sort()]).toEqual([1, all]);
    expect(await claim(9)).toEqual([]);
    expect(await store.due('main', nowMs, 9)).toHaveLength(3);
    await store.failed((await pending('tag', 'x'))!, { cause: 'denied', dueMs: nowMs });
    expect(await claim(9)).toEqual(['tag x']);
    await store.written((await pending('tag', 'y'))!);
    nowMs += 99;
    expect(await claim(9)).toEqual([]);
    await store.hold([{ target: 'main', repo: 'a', kind: 'tag', name: 'x' }], nowMs + 50);
    nowMs += 1;
    expect(await claim(9)).toEqual(['manifest 1']);
    await store.hold([{ target: 'main', repo: 'a', kind: 'tag', name: 'x' }], 0);
    expect(await claim(9)).toEqual(['tag x']);
  });

  test('nothing is claimed before it is due, or its hold is over; what is due for longest comes first', async () => {
    await store.putManifest('a', one, image({ tags: ['x'] }), 0);
    await store.putTag('a', 'y', { digest: one });
    await store.failed((await pending('tag', 'x'))!, { cause: 'denied', dueMs: nowMs + 40 });
    await store.failed((await pending('tag', 'y'))!, { cause: 'denied', dueMs: nowMs + 20 });
    expect(await claim(9, nowMs + 999)).toEqual(['manifest 1']);
    nowMs += 50;
    expect([await claim(1), await claim(1)]).toEqual([['tag y'], ['tag x']]);
    await store.hold([{ target: 'main', repo: 'a', kind: 'tag', name: 'x' }], nowMs + 60);
    nowMs += 59;
    expect(await claim(9)).toEqual([]);
    nowMs += 1;
    expect(await claim(9)).toEqual(['tag x']);
  });

  test('of two writes of a key never both are under way: the newer one is claimed once the older one has ended', async () => {
    await store.putManifest('a', one, image({ tags: ['x'] }), 0);
    await claim(9);
    const older = (await pending('tag', 'x'))!;
    await store.putTag('a', 'x', { digest: one });
    expect(await claim(9)).toEqual([]);
    await store.written(older);
    expect(await claim(9)).toEqual(['tag x']);
    const newer = (await pending('tag', 'x'))!;
    expect(numberOf(newer.version)).toBeGreaterThan(numberOf(older.version));
    await store.putTag('a', 'x', { digest: one });
    await store.failed(newer, { cause: 'late', dueMs: nowMs + 1_000 });
    expect(await claim(9)).toEqual(['tag x']);
  });

  test('of many that claim at once each row is given to one', async () => {
    for (let i = 0; i < 20; i++) await store.linkBlob('a', digest(200 + i), { size: 9 });
    const given = await Promise.all(Array.from({ length: 8 }, () => claim(4)));
    expect(given.flat()).toHaveLength(20);
    expect(new Set(given.flat()).size).toBe(20);
  });
}

function backfills(): void {
  test('what a repository held before it had its backend is queued, once, with the versions that it has', async () => {
    await store.linkBlob('own/a', layer, { size: 9 });
    await store.putManifest('own/a', one, image({ tags: ['x', 'y'], blobs: [layer] }), 0);
    await store.deleteTag('own/a', 'y');
    const { version } = await store.tagState('own/a', 'x');
    await store.putManifest('new', two, image(), 0);
    await store.adoptManifest('came', one, adopted());
    await store.adoptTag('came', 'x', { digest: one, version: at(5) });
    expect(await store.backfill()).toEqual([]);
    expect(await waiting()).toEqual(['new manifest 2 2']);
    own = 'main';
    expect(await store.backfill()).toEqual([{ repo: 'own/a', target: 'main' }]);
    expect(await store.backfill()).toEqual([]);
    expect(await waiting()).toEqual([
      ...['new manifest 2 2', 'own/a blob 100 100', 'own/a manifest 1 1', 'own/a tag x 1'],
    ]);
    expect(await store.pending({ target: 'main', repo: 'own/a', kind: 'tag', name: 'x' })).toMatchObject({ version });
    expect(await store.tagState('came', 'x')).toEqual({ digest: one, version: at(5) });
  });

  test('where a repository goes to another backend all of it goes there, with what came from the old one', async () => {
    await store.adoptManifest('a', one, adopted());
    await store.adoptTag('a', 'x', { digest: one, version: at(5) });
    await store.adoptTag('a', 'y', { digest: one, version: unversioned });
    second = 'other';
    expect(await store.backfill()).toEqual([{ repo: 'a', target: 'other' }]);
    expect(await store.backfill()).toEqual([]);
    expect((await store.due('other', nowMs, 9)).map(({ kind }) => kind).sort()).toEqual(['manifest', 'tag', 'tag']);
    // Whoever wrote it has written it; of what nobody is known to have written we are the writer.
    const rowOf = (name: string) => store.pending({ target: 'other', repo: 'a', kind: 'tag', name });
    expect(await rowOf('x')).toMatchObject({ version: at(5) });
    const { version } = await store.tagState('a', 'y');
    expect(numberOf(version)).toBeGreaterThanOrEqual(nowMs);
    expect(await rowOf('y')).toMatchObject({ version });
  });
}

function numbers(): void {
  test('versions follow the clock, and never go back with it, nor behind what was seen', async () => {
    await store.putManifest('a', one, image(), 0);
    const set = async (): Promise<number> =>
      numberOf(((await store.putTag('a', 'x', { digest: one })) as { version: TagVersion }).version);
    nowMs += 500;
    expect(await set()).toBe(nowMs);
    expect(await set()).toBe(nowMs + 1);
    nowMs -= 400;
    expect(await set()).toBe(nowMs + 402);
    expect(await store.adoptTag('a', 'y', { digest: one, version: at(nowMs + 5_000) })).toBe('adopted');
    expect(await set()).toBe(nowMs + 5_001);
    await store.seen(at(nowMs + 7_000));
    await store.seen(at(3));
    expect(await set()).toBe(nowMs + 7_001);
  });

  test('a version that no clock says is that of its tag, and leads no other', async () => {
    await store.putManifest('a', one, image(), 0);
    const far = at(2 ** 52);
    expect(await store.adoptTag('a', 'y', { digest: one, version: far })).toBe('adopted');
    expect(await store.tagState('a', 'y')).toMatchObject({ version: far });
    await store.seen(far);
    const { version } = (await store.putTag('a', 'x', { digest: one })) as { version: TagVersion };
    expect(numberOf(version)).toBeLessThan(nowMs + 100);
  });
}

function adoption(): void {
  test('a manifest from the backend brings its links, and leaves no row', async () => {
    const sbom = adopted({ subject: one, artifactType: 'sbom/x', annotations: { k: 'v' } });
    expect(await store.adoptManifest('a', one, adopted({ blobs: [{ digest: layer, size: 9 }] }))).toBe('adopted');
    expect(await store.adoptManifest('a', one, adopted())).toBe('kept');
    expect(await store.adoptManifest('a', digest(3), sbom)).toBe('adopted');
    expect(await store.adoptManifest('a', digest(4), adopted({ manifests: [one, digest(9)] }))).toBe('adopted');
    expect(await store.manifest('a', one)).toEqual({ digest: one, mediaType: 'm/x', size: 500 });
    expect(await store.blob('a', layer)).toEqual({ digest: layer, size: 9 });
    expect((await store.referrers('a', one, { n: 9 })).manifests).toMatchObject([{ annotations: { k: 'v' } }]);
    expect(await store.adoptBlob('a', digest(101), 7)).toBe('adopted');
    expect(await store.adoptBlob('a', digest(101), 8)).toBe('kept');
    expect(await store.blob('a', digest(101))).toEqual({ digest: digest(101), size: 7 });
    expect(await store.outbox()).toEqual([]);
    const linked = [one, digest(3), digest(9), layer, digest(101)];
    expect(await store.condemn(linked, { nowMs: 1e12, unlinkedMs: 0 })).toMatchObject({ condemned: [], waiting: 0 });
  });

  test('a tag from the backend: only a newer one, on a manifest that is here, with the version of its writer', async () => {
    expect(await store.adoptTag('a', 'x', { digest: one, version: at(50) })).toBe('lacking');
    await store.adoptManifest('a', one, adopted());
    await store.adoptManifest('a', two, adopted());
    expect(await store.adoptTag('a', 'x', { digest: one, version: at(50) })).toBe('adopted');
    expect(await store.adoptTag('a', 'x', { digest: two, version: at(50) })).toBe('kept');
    expect(await store.adoptTag('a', 'x', { digest: two, version: at(49) })).toBe('kept');
    expect(await store.tag('a', 'x')).toMatchObject({ digest: one, version: at(50) });
    expect(await store.putTag('a', 'x', { digest: two, after: at(49) })).toEqual({ changed: at(50) });
    expect(await store.adoptTag('a', 'x', { digest: two, version: at(51) })).toBe('adopted');
    expect(await store.adoptTag('a', 'x', { digest: null, version: at(52) })).toBe('adopted');
    expect(await store.tag('a', 'x')).toBeUndefined();
    expect(await store.tagState('a', 'x')).toEqual({ digest: undefined, version: at(52) });
    expect(await store.adoptTag('a', 'x', { digest: one, version: at(52) })).toBe('kept');
    expect(await store.outbox()).toEqual([]);
    // What a registry wrote has no versions: it is what it is now, until anybody writes the tag.
    for (const on of [one, two, one])
      expect(await store.adoptTag('a', 'z', { digest: on, version: unversioned })).toBe('adopted');
    expect(await store.adoptTag('a', 'z', { digest: one, version: unversioned })).toBe('kept');
    expect(await store.tag('a', 'z')).toMatchObject({ digest: one, version: unversioned });
    expect(await store.adoptTag('a', 'x', { digest: two, version: unversioned })).toBe('kept');
    const own = (await store.putTag('a', 'x', { digest: one, after: at(52) })) as { version: TagVersion };
    expect(await store.adoptTag('a', 'x', { digest: two, version: at(nowMs - 1) })).toBe('kept');
    expect(await store.tag('a', 'x')).toMatchObject({ digest: one, version: own.version });
  });

  test('what waits to be written is not replaced; a newer tag of another writer ends its waiting', async () => {
    await store.putManifest('a', one, image({ tags: ['x'] }), 0);
    await store.linkBlob('a', layer, { size: 9 });
    await store.unlinkBlob('a', layer, 0);
    await store.deleteManifest('a', one, 0);
    expect(await store.adoptManifest('a', one, adopted())).toBe('kept');
    expect(await store.adoptBlob('a', layer, 9)).toBe('kept');
    await store.adoptManifest('a', two, adopted({ blobs: [{ digest: layer, size: 9 }] }));
    expect(await store.blob('a', layer)).toBeUndefined();
    expect(await store.adoptTag('a', 'x', { digest: two, version: at(nowMs - 1) })).toBe('kept');
    expect(await store.adoptTag('a', 'x', { digest: two, version: at(nowMs + 1_000) })).toBe('adopted');
    expect(await pending('tag', 'x')).toBeUndefined();
    expect(await store.tag('a', 'x')).toMatchObject({ digest: two, version: at(nowMs + 1_000) });
  });

  test('a deletion from the backend: not of what a tag is on, nor of what waits', async () => {
    await store.putManifest('a', one, image({ tags: ['x'] }), 0);
    expect(await store.adoptDeletion('a', one, 0)).toBe('kept');
    await store.deleteTag('a', 'x');
    expect(await store.adoptDeletion('a', one, 0)).toBe('kept');
    await store.written((await pending('manifest', one))!);
    expect(await store.adoptDeletion('a', one, 0)).toBe('adopted');
    expect(await store.manifest('a', one)).toBeUndefined();
    expect(await store.adoptDeletion('a', one, 0)).toBe('kept');
    expect(await store.adoptDeletion('nowhere', one, 0)).toBe('kept');
  });
}
