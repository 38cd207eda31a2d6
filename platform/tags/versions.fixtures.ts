/** What every tag store must do about versions of tags; part of the conformance suite. */

import { expect, test } from 'vitest';
import type { ManifestPut, TagVersion } from '../../core/contracts/index-api.ts';
import type { Digest } from '../../core/digest.ts';
import type { TagStore } from './store.ts';

const digest = (no: number): Digest => `sha256:${no.toString(16).padStart(64, '0')}` as Digest;
const image = (more: Partial<ManifestPut> = {}): ManifestPut => ({
  mediaType: 'm/x',
  size: 500,
  tags: [],
  blobs: [],
  manifests: [],
  ...more,
});
const [one, two] = [digest(1), digest(2)] as const;

const numberOf = (version: unknown): number => Number(/^(\d+)-[0-9a-f]{32}$/.exec(String(version))?.[1]);
const databaseOf = (version: unknown): string | undefined => String(version).split('-')[1];
const versionOf = async (store: TagStore, tag: string): Promise<TagVersion | undefined> =>
  (await store.tag('a', tag))?.version;

async function filled(store: TagStore): Promise<TagStore> {
  for (const manifest of [one, two]) await store.putManifest('a', manifest, image(), 0);
  return store;
}

/** The version that a write answers. */
async function written(of: Promise<unknown>): Promise<TagVersion> {
  const { version } = (await of) as { version: TagVersion };
  expect(numberOf(version)).toBeGreaterThan(0);
  return version;
}

export function versions(store: () => TagStore): void {
  test('each write of a tag has a version above all before it; reads tell it, and that of the deletion is one too', async () => {
    await filled(store());
    const seen = [
      await written(store().putManifest('a', one, image({ tags: ['x', 'y'] }), 0)),
      await written(store().putTag('a', 'x', { digest: two })),
      await written(store().putTag('a', 'x', { digest: two })),
      await written(store().deleteTag('a', 'x')),
      await written(store().putTag('a', 'x', { digest: one })),
      await written(store().putTag('a', 'z', { digest: one })),
    ];
    expect(seen.map(numberOf)).toEqual([...seen.map(numberOf)].sort((a, b) => a - b));
    expect(new Set(seen).size).toBe(seen.length);
    expect(new Set(seen.map(databaseOf)).size).toBe(1);
    expect(databaseOf(seen[0])).toBe((await store().condemn([], { nowMs: 0, unlinkedMs: 1 })).index);
    // Both tags of one put are one write.
    expect([await versionOf(store(), 'y'), await versionOf(store(), 'x')]).toEqual([seen[0], seen[4]]);
    expect(await store().manifest('a', one)).not.toHaveProperty('version');
  });

  test('a write that is to come after a version is made only there', async () => {
    await filled(store());
    const first = await written(store().putTag('a', 'x', { digest: one, after: null }));
    expect(await store().putTag('a', 'x', { digest: two, after: null })).toEqual({ changed: first });
    const other = `${numberOf(first)}-${'e'.repeat(32)}` as TagVersion;
    expect(await store().putTag('a', 'x', { digest: two, after: other })).toEqual({ changed: first });
    expect(await store().tag('a', 'x')).toMatchObject({ digest: one, version: first });
    const second = await written(store().putTag('a', 'x', { digest: two, after: first }));
    expect(await store().putTag('a', 'x', { digest: one, after: first })).toEqual({ changed: second });
    expect(await store().deleteTag('a', 'x', first)).toEqual({ changed: second });
    expect(await store().tag('a', 'x')).toMatchObject({ digest: two, version: second });
    expect(await store().putTag('a', 'x', { digest: digest(9), after: second })).toBeUndefined();
    await written(store().deleteTag('a', 'x', second));
    expect(await store().tag('a', 'x')).toBeUndefined();
    expect(await store().deleteTag('a', 'x', second)).toBeUndefined();
    expect(await store().putTag('a', 'never', { digest: one, after: first })).toEqual({ changed: null });
  });

  test('a deleted tag is shown to nobody, and told apart from one that is set again', async () => {
    await filled(store());
    const set = await written(store().putTag('a', 'x', { digest: one }));
    const gone = await written(store().deleteTag('a', 'x'));
    expect(await store().tags('a', { n: 10 })).toEqual({ tags: [], more: false });
    expect(await store().tag('a', 'x')).toBeUndefined();
    // Whoever read it before the deletion does not bring it back; who knows of the deletion may.
    expect(await store().putTag('a', 'x', { digest: two, after: set })).toEqual({ changed: gone });
    const back = await written(store().putTag('a', 'x', { digest: two, after: gone }));
    expect(await store().putTag('a', 'x', { digest: one, after: gone })).toEqual({ changed: back });
    await store().deleteTag('a', 'x');
    await written(store().putTag('a', 'x', { digest: two, after: null }));
    expect(await store().tags('a', { n: 10 })).toEqual({ tags: ['x'], more: false });
  });

  test('a manifest that is deleted leaves a tombstone of each of its tags, in one write', async () => {
    await filled(store());
    const set = await written(store().putManifest('a', one, image({ tags: ['x', 'y'] }), 0));
    const kept = await written(store().putTag('a', 'z', { digest: two }));
    await store().deleteManifest('a', one, 0);
    const states = await Promise.all(['x', 'y'].map((tag) => store().putTag('a', tag, { digest: two, after: set })));
    const [x, y] = states as { changed: TagVersion }[];
    expect(x).toEqual(y);
    expect(numberOf(x?.changed)).toBeGreaterThan(numberOf(kept));
    expect(await versionOf(store(), 'z')).toBe(kept);
  });
}

export function conditions(store: () => TagStore): void {
  test('a manifest whose tags are to come after a version is put whole or not at all', async () => {
    await filled(store());
    const x = await written(store().putTag('a', 'x', { digest: two }));
    const put = image({ tags: ['new', 'x'], size: 7 });
    const refused = { missing: [], changed: { tag: 'x', version: x } };
    expect(await store().putManifest('a', one, { ...put, after: null }, 0)).toEqual(refused);
    expect(await store().tag('a', 'new')).toBeUndefined();
    expect((await store().manifest('a', one))?.size).toBe(500);
    expect(await store().putManifest('a', one, { ...put, after: x }, 0)).toEqual({
      missing: [],
      changed: { tag: 'new', version: null },
    });
    const done = await written(store().putManifest('a', one, { ...put, tags: ['x'], after: x }, 0));
    expect(numberOf(done)).toBeGreaterThan(numberOf(x));
    // Without tags there is nothing that could have changed, and no write of one.
    expect(await store().putManifest('a', one, image({ after: null }), 0)).toEqual({ missing: [] });
    expect(await versionOf(store(), 'x')).toBe(done);
  });

  test('of those who write after the same version at once, one does', async () => {
    await filled(store());
    const start = await written(store().putTag('a', 'x', { digest: one }));
    const outcomes = await Promise.all(
      Array.from({ length: 20 }, (_, i) => store().putTag('a', 'x', { digest: i % 2 ? one : two, after: start })),
    );
    expect(outcomes.filter((outcome) => outcome !== undefined && 'version' in outcome)).toHaveLength(1);
  });
}
