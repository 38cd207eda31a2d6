/** What every engine that counts must do: count what is held whatever was written, and keep quotas to the byte. */

import { afterEach, describe, expect, test } from 'vitest';
import type { Digest } from '../../../core/digest.ts';
import { prng } from '../../../core/prng.ts';
import type { QuotaRule } from '../../../core/quota.ts';
import { openMemoryTags } from '../memory/memory.ts';
import type { ManifestWrite } from '../store.ts';
import { tagVersion } from '../versions.ts';
import type { CountingTagStore } from './used.ts';

export type OpenCounting = (rules: readonly QuotaRule[]) => Promise<CountingTagStore>;

const digest = (no: number): Digest => `sha256:${no.toString(16).padStart(64, '0')}` as Digest;
const image = (more: Partial<ManifestWrite> = {}): ManifestWrite => ({
  ...{ mediaType: 'm/x', size: 10, tags: [], blobs: [], manifests: [] },
  ...more,
});
const rule = (repositories: string, more: Partial<QuotaRule>): QuotaRule => ({
  ...{ repositories: [repositories], each: 'repository' },
  ...more,
});
const denied = (of: string, used: number, limit: number, adds: number) => ({
  code: 'DENIED',
  status: 403,
  detail: expect.objectContaining({ of, used, limit, adds }),
});

export function quotaConformance(name: string, open: OpenCounting): void {
  describe(`quotas: ${name}`, () => {
    let store: CountingTagStore;
    afterEach(() => store[Symbol.asyncDispose]());
    const opened: Opened = async (...rules) => {
      store = await open(rules);
      return store;
    };

    counts(opened);
    bytes(opened);
    records(opened);
    several(opened);
  });
}

type Opened = (...rules: QuotaRule[]) => Promise<CountingTagStore>;

function counts(opened: Opened): void {
  test('what is held is counted, whatever is written, again, moved and removed', async () => {
    const seed = Math.floor(Math.random() * 2 ** 31);
    await using right = openMemoryTags();
    const store = await opened();
    const random = prng(seed);
    for (let i = 0; i < 400; i++) await either(store, right, random);
    const all = { n: 100 };
    const { repositories } = await right.used(all);
    const held = ({ bytes, tags, manifests }: { bytes: number; tags: number; manifests: number }) =>
      bytes + tags + manifests > 0;
    const found = (await store.used(all)).repositories;
    expect(found.filter(held), `seed ${seed}`).toEqual(repositories.filter(held));
    const pages: unknown[] = [];
    for (let last: string | undefined, more = true; more; ) {
      const page = await store.used({ n: 1, last });
      pages.push(...page.repositories);
      last = page.repositories.at(-1)?.repo;
      more = page.more;
    }
    expect(pages).toEqual(found);
  });
}

function bytes(opened: Opened): void {
  test('bytes: to the last one, and not beyond it; what is there may be pushed again, and what goes makes room', async () => {
    const store = await opened(rule('a/**', { bytes: 100 }));
    expect(await store.linkBlob('a/x', digest(1), { size: 60 })).toBeUndefined();
    expect(await store.linkBlob('a/x', digest(2), { size: 30 })).toBeUndefined();
    await expect(store.linkBlob('a/x', digest(3), { size: 11 })).rejects.toMatchObject(denied('bytes', 90, 100, 11));
    expect(await store.blob('a/x', digest(3))).toBeUndefined();
    await store.room({ repo: 'a/x', size: 10 });
    await expect(store.room({ repo: 'a/x', size: 11 })).rejects.toMatchObject(denied('bytes', 90, 100, 11));
    await store.room({ repo: 'a/x', digest: digest(1), size: 60 });
    await store.room({ repo: 'b', size: 1_000_000 });
    await store.putManifest('a/x', digest(9), image(), 0);
    expect(await store.linkBlob('a/x', digest(1), { size: 60 })).toBeUndefined();
    await expect(store.putManifest('a/x', digest(8), image({ size: 1 }), 0)).rejects.toMatchObject({
      code: 'DENIED',
    });
    expect(await store.manifest('a/x', digest(8))).toBeUndefined();
    expect(await store.linkBlob('a/y', digest(3), { size: 100 })).toBeUndefined();
    await expect(store.mount('a/x', digest(3), 'a/y')).rejects.toMatchObject(denied('bytes', 100, 100, 100));
    expect(await store.mount('a/x', digest(77), 'a/y')).toBeUndefined();
    await store.unlinkBlob('a/x', digest(1), 0);
    expect(await store.linkBlob('a/x', digest(4), { size: 60 })).toBeUndefined();
    expect(await store.linkBlob('b', digest(3), { size: 1_000 })).toBeUndefined();
  });
}

function records(opened: Opened): void {
  test('tags and manifests: one that moves is none more, several at once count together', async () => {
    const store = await opened(rule('a', { tags: 2, manifests: 2 }));
    await store.putManifest('a', digest(1), image({ tags: ['1'] }), 0);
    await store.putManifest('a', digest(2), image({ tags: ['1'] }), 0);
    await expect(store.putManifest('a', digest(3), image({ tags: ['1'] }), 0)).rejects.toMatchObject(
      denied('manifests', 2, 2, 1),
    );
    expect((await store.tag('a', '1'))?.digest).toBe(digest(2));
    await expect(store.putManifest('a', digest(1), image({ tags: ['2', '3'] }), 0)).rejects.toMatchObject(
      denied('tags', 1, 2, 2),
    );
    expect(await store.tags('a', { n: 9 })).toEqual({ tags: ['1'], more: false });
    expect(await store.putTag('a', '2', { digest: digest(1) })).toMatchObject({ version: expect.any(String) });
    await expect(store.putTag('a', '3', { digest: digest(1) })).rejects.toMatchObject(denied('tags', 2, 2, 1));
    const as = tagVersion(5, 'ab'.repeat(16));
    const elsewhere = store.putManifest('a', digest(1), image({ tags: ['3'], as }), 0);
    await expect(elsewhere).rejects.toMatchObject(denied('tags', 2, 2, 1));
    expect(await store.putTag('a', '2', { digest: digest(2) })).toMatchObject({ version: expect.any(String) });
    await store.deleteManifest('a', digest(2), 0);
    await store.putManifest('a', digest(3), image({ tags: ['2', '3'] }), 0);
    expect((await store.used({ n: 1 })).repositories).toEqual([{ repo: 'a', bytes: 20, tags: 2, manifests: 2 }]);
  });
}

function several(opened: Opened): void {
  test('of rules for each repository the first holds; one of a pattern counts all that it matches together, and each holds', async () => {
    const store = await opened(
      rule('team/big', { bytes: 500 }),
      rule('team/*', { bytes: 50 }),
      rule('team/**', { bytes: 120, each: 'pattern' }),
      rule('**', { bytes: 130, each: 'pattern' }),
    );
    await store.linkBlob('team/a', digest(1), { size: 50 });
    await expect(store.linkBlob('team/a', digest(2), { size: 1 })).rejects.toMatchObject(denied('bytes', 50, 50, 1));
    await store.linkBlob('team/big', digest(1), { size: 60 });
    await expect(store.linkBlob('team/c/d', digest(1), { size: 11 })).rejects.toMatchObject(
      denied('bytes', 110, 120, 11),
    );
    await store.linkBlob('team/c/d', digest(1), { size: 10 });
    await expect(store.linkBlob('x', digest(1), { size: 11 })).rejects.toMatchObject(denied('bytes', 120, 130, 11));
    await store.linkBlob('x', digest(1), { size: 10 });
  });

  test('of many at once as many are done as there is room for, and those beside them all', async () => {
    const store = await opened(rule('a', { tags: 5 }));
    await store.putManifest('a', digest(1), image(), 0);
    await store.putManifest('b', digest(1), image(), 0);
    const writes = Array.from({ length: 20 }, (_, i) => [
      store.putTag('a', `t${i}`, { digest: digest(1) }),
      store.putTag('b', `t${i}`, { digest: digest(1) }),
    ]).flat();
    const outcomes = await Promise.allSettled(writes);
    expect(outcomes.filter(({ status }) => status === 'rejected')).toHaveLength(15);
    expect((await store.tags('a', { n: 99 }))?.tags).toHaveLength(5);
    expect((await store.tags('b', { n: 99 }))?.tags).toHaveLength(20);
  });
}

/** The same write, whatever it is, to both. */
async function either(one: CountingTagStore, two: CountingTagStore, random: ReturnType<typeof prng>): Promise<void> {
  const [repo, from] = [`r${random.below(3)}`, `r${random.below(3)}`];
  const [manifest, blob, tag] = [digest(random.below(5)), digest(100 + random.below(5)), `t${random.below(4)}`];
  const size = 1 + random.below(1_000);
  const kind = random.below(9);
  const write = async (to: CountingTagStore): Promise<unknown> => {
    if (kind === 0) return to.linkBlob(repo, blob, { size });
    if (kind === 1) return to.mount(repo, blob, from);
    if (kind === 2) return to.unlinkBlob(repo, blob, 0);
    if (kind === 3) return to.deleteManifest(repo, manifest, 0);
    if (kind === 4) return to.deleteTag(repo, tag);
    if (kind === 5) return to.putTag(repo, tag, { digest: manifest });
    if (kind === 6) {
      const adopted = { mediaType: 'm/x', size, manifests: [], blobs: [{ digest: blob, size }] };
      return to.adoptManifest(repo, manifest, adopted);
    }
    return to.putManifest(repo, manifest, image({ size, tags: [tag, 'x'].slice(0, kind - 7) }), 0);
  };
  await write(one);
  await write(two);
}
