/** What every tag store must do, run against each implementation. */

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ManifestPut, ReferrerRecord } from '../../core/contracts/index-api.ts';
import type { Digest } from '../../core/digest.ts';
import { condemned, unlinked } from './condemned.fixtures.ts';
import { referrerAnnotationBytesMax, type TagStore } from './store.ts';
import { conditions, versions } from './versions.fixtures.ts';

const digest = (no: number): Digest => `sha256:${no.toString(16).padStart(64, '0')}` as Digest;
const image = (more: Partial<ManifestPut> = {}): ManifestPut => ({
  mediaType: 'application/vnd.oci.image.manifest.v1+json',
  size: 500,
  tags: [],
  blobs: [],
  manifests: [],
  ...more,
});
const [one, two, three, layer] = [digest(1), digest(2), digest(3), digest(100)] as const;

/** What a put that sets tags answers. */
const tagged = { missing: [], version: expect.any(String) };

export type Conforming = {
  /** Writes of one process take effect in the order in which they were made, also those that did not wait for another. */
  readonly ordered?: boolean;
};

/** `open`: an empty one, which the suite closes. */
export function tagStoreConformance(
  name: string,
  open: () => Promise<TagStore>,
  { ordered = true }: Conforming = {},
): void {
  describe(`tag store: ${name}`, () => {
    let store: TagStore;
    beforeEach(async () => {
      store = await open();
    });
    afterEach(() => store[Symbol.asyncDispose]());

    manifests(() => store);
    tags(() => store);
    blobs(() => store);
    referrers(() => store);
    unlinked(() => store);
    condemned(() => store);
    versions(() => store);
    conditions(() => store);
    concurrency(() => store);
    if (ordered) order(() => store);
  });
}

function manifests(store: () => TagStore): void {
  test('a manifest is there with its tags once it was put', async () => {
    expect(await store().putManifest('a/b', one, image({ tags: ['1', 'latest'] }), 0)).toEqual(tagged);
    const record = { digest: one, mediaType: image().mediaType, size: 500 };
    expect(await store().manifest('a/b', one)).toEqual(record);
    expect(await store().tag('a/b', 'latest')).toEqual({ ...record, version: expect.any(String) });
    expect(await store().tag('a/b', 'other')).toBeUndefined();
    expect(await store().tag('a', 'latest')).toBeUndefined();
    expect(await store().manifest('a', one)).toBeUndefined();
  });

  test('a manifest that refers to what the repository lacks changes nothing and names all of it', async () => {
    await store().linkBlob('other', layer, { size: 9 });
    const { missing } = await store().putManifest(
      'a',
      one,
      image({ tags: ['1'], blobs: [layer, digest(101), layer], manifests: [two] }),
      0,
    );
    expect(missing).toEqual([layer, digest(101), two]);
    expect(await store().manifest('a', one)).toBeUndefined();
    expect(await store().tag('a', '1')).toBeUndefined();
    expect(await store().tags('a', { n: 10 })).toBeUndefined();
    await store().linkBlob('a', layer, { size: 9 });
    await store().linkBlob('a', digest(101), { size: 9 });
    await store().putManifest('a', two, image(), 0);
    expect(
      await store().putManifest('a', one, image({ tags: ['1'], blobs: [layer, digest(101)], manifests: [two] }), 0),
    ).toEqual(tagged);
    expect((await store().tag('a', '1'))?.digest).toBe(one);
  });

  test('a sparse index lacks manifests, never blobs; what is pushed later is there', async () => {
    await store().linkBlob('a', layer, { size: 9 });
    const sparse = image({ tags: ['1'], manifests: [two, three] });
    expect(await store().putManifest('a', one, sparse, 0)).toEqual({ missing: [two, three] });
    expect(await store().putManifest('a', one, { ...sparse, blobs: [digest(101)], sparse: true }, 0)).toEqual({
      missing: [digest(101)],
    });
    expect(await store().putManifest('a', one, { ...sparse, blobs: [layer], sparse: true }, 0)).toEqual(tagged);
    expect((await store().tag('a', '1'))?.digest).toBe(one);
    expect(await store().manifest('a', two)).toBeUndefined();
    await store().putManifest('a', two, image(), 0);
    expect((await store().manifest('a', two))?.digest).toBe(two);
  });

  test('put again: the record is replaced, old tags stay', async () => {
    await store().putManifest('a', one, image({ tags: ['1'], artifactType: 'x/y', subject: two }), 0);
    await store().putManifest('a', one, image({ tags: ['2'], size: 501 }), 0);
    expect(await store().tag('a', '1')).toMatchObject({ digest: one, size: 501 });
    expect((await store().tag('a', '2'))?.digest).toBe(one);
    expect(await store().referrers('a', two, { n: 5 })).toEqual({ manifests: [], more: false });
  });

  test('a deleted manifest takes its tags along, and no others', async () => {
    await store().putManifest('a', one, image({ tags: ['1', '2'] }), 0);
    await store().putManifest('a', two, image({ tags: ['3'] }), 0);
    await store().putManifest('b', one, image({ tags: ['1'] }), 0);
    expect(await store().deleteManifest('a', one, 0)).toBe(true);
    expect(await store().deleteManifest('a', one, 0)).toBe(false);
    expect(await store().tags('a', { n: 10 })).toEqual({ tags: ['3'], more: false });
    expect((await store().tag('b', '1'))?.digest).toBe(one);
    expect(await store().deleteManifest('nowhere', one, 0)).toBe(false);
  });
}

function tags(store: () => TagStore): void {
  test('a tag moves to another manifest, and only to one of its repository', async () => {
    await store().putManifest('a', one, image({ tags: ['1'] }), 0);
    expect(await store().putTag('a', '1', { digest: two })).toBeUndefined();
    await store().putManifest('b', two, image(), 0);
    expect(await store().putTag('a', '1', { digest: two })).toBeUndefined();
    expect((await store().tag('a', '1'))?.digest).toBe(one);
    await store().putManifest('a', two, image(), 0);
    expect(await store().putTag('a', '1', { digest: two })).toEqual({ version: expect.any(String) });
    expect((await store().tag('a', '1'))?.digest).toBe(two);
  });

  test('a deleted tag leaves its manifest', async () => {
    await store().putManifest('a', one, image({ tags: ['1', '2'] }), 0);
    expect(await store().deleteTag('a', '1')).toEqual({ version: expect.any(String) });
    expect(await store().deleteTag('a', '1')).toBeUndefined();
    expect(await store().deleteTag('nowhere', '1')).toBeUndefined();
    expect(await store().tag('a', '1')).toBeUndefined();
    expect((await store().manifest('a', one))?.digest).toBe(one);
  });

  test('tags are listed in order, page by page, from any name on', async () => {
    const names = ['v1', 'V1', 'v10', 'v2', 'Alpha', 'beta', '_x', '0', 'a.b', 'a-b', 'A', 'a', 'Z'];
    await store().putManifest('a', one, image({ tags: names }), 0);
    await store().putManifest('b', one, image({ tags: ['b-only'] }), 0);
    const folded = (tag: string): string => tag.toLowerCase();
    const sorted = [...names].sort((x, y) => (folded(x) < folded(y) ? -1 : folded(x) > folded(y) ? 1 : x < y ? -1 : 1));
    expect(await store().tags('a', { n: 100 })).toEqual({ tags: sorted, more: false });
    expect(await store().tags('a', { n: names.length })).toEqual({ tags: sorted, more: false });
    for (let n = 1; n <= 4; n++) {
      const listed: string[] = [];
      for (let more = true; more; ) {
        const page = await store().tags('a', { n, last: listed.at(-1) });
        expect(page!.tags.length).toBeLessThanOrEqual(n);
        listed.push(...page!.tags);
        more = page!.more;
      }
      expect(listed).toEqual(sorted);
    }
    expect((await store().tags('a', { n: 2, last: 'b' }))?.tags).toEqual(
      ['beta', 'v1'].map((tag) => (tag === 'v1' ? 'V1' : tag)),
    );
    expect(await store().tags('a', { n: 0 })).toEqual({ tags: [], more: true });
    expect(await store().tags('a', { n: 5, last: 'zz' })).toEqual({ tags: [], more: false });
    expect(await store().tags('unknown', { n: 5 })).toBeUndefined();
  });

  test('the catalog lists repositories that hold a manifest, page by page', async () => {
    for (const repo of ['b', 'a/x', 'c', 'a']) await store().putManifest(repo, one, image(), 0);
    await store().linkBlob('only-a-blob', layer, { size: 9 });
    expect(await store().catalog({ n: 10 })).toEqual({ repositories: ['a', 'a/x', 'b', 'c'], more: false });
    expect(await store().catalog({ n: 2, last: 'a' })).toEqual({ repositories: ['a/x', 'b'], more: true });
    await store().deleteManifest('c', one, 0);
    expect(await store().catalog({ n: 2, last: 'b' })).toEqual({ repositories: [], more: false });
  });
}

function blobs(store: () => TagStore): void {
  test('the holders of a digest are the repositories that have it as a blob or as a manifest, page by page', async () => {
    for (const repo of ['b', 'a/x', 'c']) await store().linkBlob(repo, layer, { size: 9 });
    await store().putManifest('a', layer, image(), 0);
    await store().putManifest('b', one, image(), 0);
    expect(await store().holders(layer, { n: 10 })).toEqual({ repositories: ['a', 'a/x', 'b', 'c'], more: false });
    expect(await store().holders(layer, { n: 2, last: 'a' })).toEqual({ repositories: ['a/x', 'b'], more: true });
    await store().unlinkBlob('c', layer, 0);
    expect(await store().holders(layer, { n: 2, last: 'b' })).toEqual({ repositories: [], more: false });
  });

  test('blobs are linked, mounted and unlinked, repository by repository', async () => {
    await store().linkBlob('a', layer, { size: 9 });
    expect(await store().blob('a', layer)).toEqual({ digest: layer, size: 9 });
    expect(await store().blob('b', layer)).toBeUndefined();
    expect(await store().mount('b', layer, 'nowhere')).toBeUndefined();
    expect(await store().mount('b', digest(101), 'a')).toBeUndefined();
    expect(await store().tags('b', { n: 1 })).toBeUndefined();
    expect(await store().mount('b', layer, 'a')).toEqual({ digest: layer, size: 9 });
    expect(await store().unlinkBlob('a', layer, 0)).toBe(true);
    expect(await store().unlinkBlob('a', layer, 0)).toBe(false);
    expect(await store().blob('a', layer)).toBeUndefined();
    expect(await store().blob('b', layer)).toEqual({ digest: layer, size: 9 });
    expect(await store().tags('b', { n: 1 })).toEqual({ tags: [], more: false });
  });
}

function referrers(store: () => TagStore): void {
  test('referrers: by subject, in order, filtered by type; the subject may be absent', async () => {
    const annotations = { 'org.example': 'ä "quoted"', __proto__x: '' };
    await store().putManifest('a', three, image({ subject: one, artifactType: 'sbom/x' }), 0);
    await store().putManifest('a', two, image({ subject: one, artifactType: 'sig/x', annotations }), 0);
    await store().putManifest('a', digest(4), image({ subject: two }), 0);
    await store().putManifest('b', digest(5), image({ subject: one }), 0);
    const { mediaType, size } = image();
    expect(await store().referrers('a', one, { n: 5 })).toEqual({
      manifests: [
        { digest: two, mediaType, size, artifactType: 'sig/x', annotations },
        { digest: three, mediaType, size, artifactType: 'sbom/x' },
      ],
      more: false,
    });
    const sboms = await store().referrers('a', one, { n: 5, artifactType: 'sbom/x' });
    expect(sboms.manifests.map((record) => record.digest)).toEqual([three]);
    expect(await store().referrers('nowhere', one, { n: 5 })).toEqual({ manifests: [], more: false });
    await store().deleteManifest('a', three, 0);
    expect((await store().referrers('a', one, { n: 5 })).manifests).toHaveLength(1);
  });

  test('referrers: page by page, filtered or not, each once', async () => {
    const all = Array.from({ length: 7 }, (_, i) => digest(10 + i));
    for (const [i, one_] of all.entries())
      await store().putManifest('a', one_, image({ subject: one, artifactType: i % 2 === 0 ? 'even' : 'odd' }), 0);
    for (const artifactType of [undefined, 'even', 'odd', 'none']) {
      const expected = all.filter(
        (_, i) => artifactType === undefined || artifactType === (i % 2 === 0 ? 'even' : 'odd'),
      );
      for (let n = 1; n <= 8; n++) {
        const listed: Digest[] = [];
        for (let more: boolean | undefined = true; more; ) {
          const page = await store().referrers('a', one, { n, last: listed.at(-1), artifactType });
          expect(page.manifests.length).toBeLessThanOrEqual(n);
          listed.push(...page.manifests.map((record) => record.digest));
          more = page.more;
        }
        expect(listed).toEqual(expected);
      }
    }
    expect(await store().referrers('a', one, { n: 0 })).toEqual({ manifests: [], more: true });
    expect((await store().referrers('a', one, { n: 9, last: 'sha256:' })).manifests).toHaveLength(7);
  });

  test('referrers: a page ends before its annotations make it huge, and none are left out', async () => {
    const large = { large: 'ä'.repeat(referrerAnnotationBytesMax / 4) };
    const huge = { huge: 'ä'.repeat(referrerAnnotationBytesMax) };
    const put = (no: number, annotations: Record<string, string>) =>
      store().putManifest('a', digest(no), image({ subject: one, annotations }), 0);
    for (const no of [2, 3]) await put(no, large);
    await put(4, { small: 'x' });
    await put(5, huge);
    await put(6, { small: 'y' });
    const pages: (readonly ReferrerRecord[])[] = [];
    for (let more: boolean | undefined = true; more; ) {
      const page = await store().referrers('a', one, { n: 1000, last: pages.at(-1)?.at(-1)?.digest });
      pages.push(page.manifests);
      more = page.more;
    }
    expect(pages.map((page) => page.map((record) => record.digest))).toEqual([
      [digest(2)],
      [digest(3), digest(4)],
      [digest(5)],
      [digest(6)],
    ]);
    expect(pages.flat().map((record) => record.annotations)).toEqual([
      large,
      large,
      { small: 'x' },
      huge,
      { small: 'y' },
    ]);
  });
}

function concurrency(store: () => TagStore): void {
  test('what was acknowledged is read, however many write at once', async () => {
    await Promise.all(
      Array.from({ length: 300 }, async (_, i) => {
        const [repo, tag] = [`r${i % 7}`, `t${i}`];
        await store().putManifest(repo, digest(i), image({ tags: [tag] }), 0);
        expect((await store().tag(repo, tag))?.digest).toBe(digest(i));
      }),
    );
    const pages = await Promise.all(Array.from({ length: 7 }, (_, i) => store().tags(`r${i}`, { n: 1000 })));
    expect(pages.reduce((sum, page) => sum + page!.tags.length, 0)).toBe(300);
  });

  test('a closed store has written what was waiting, and takes no more', async () => {
    const write = store().linkBlob('a', layer, { size: 1 });
    await store()[Symbol.asyncDispose]();
    await write;
    await expect(store().linkBlob('a', layer, { size: 1 })).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await expect(store().tag('a', 'x')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });
}

function order(store: () => TagStore): void {
  test('writes take effect in the order in which they were made', async () => {
    await store().putManifest('a', one, image(), 0);
    await store().putManifest('a', two, image(), 0);
    const done: string[] = [];
    const writes = [
      store()
        .putTag('a', 'x', { digest: one })
        .then(() => done.push('one')),
      store()
        .deleteTag('a', 'x')
        .then(() => done.push('gone')),
      store()
        .putTag('a', 'x', { digest: two })
        .then(() => done.push('two')),
    ];
    await Promise.all(writes);
    expect(done).toEqual(['one', 'gone', 'two']);
    expect((await store().tag('a', 'x'))?.digest).toBe(two);
  });
}
