/** What every tag store must do about digests without a link; part of the conformance suite. */

import { expect, test } from 'vitest';
import type { ManifestPut } from '../../core/contracts/index-api.ts';
import type { Digest } from '../../core/digest.ts';
import { condemnedMs, type TagStore } from './store.ts';

const digest = (no: number): Digest => `sha256:${no.toString(16).padStart(64, '0')}` as Digest;
const image = (more: Partial<ManifestPut> = {}): ManifestPut => ({
  mediaType: 'm/x',
  size: 500,
  tags: [],
  blobs: [],
  manifests: [],
  ...more,
});
const [one, two, three, layer] = [digest(1), digest(2), digest(3), digest(100)] as const;

const hourMs = 3_600_000;

const at = (nowMs: number) => ({ nowMs, unlinkedMs: hourMs });

const asking =
  (store: () => TagStore) =>
  async (nowMs: number, ...digests: Digest[]): Promise<readonly Digest[]> =>
    (await store().condemn(digests, at(nowMs))).condemned;

/** The generation that a link of it has to prove. */
async function generation(store: TagStore, of: Digest): Promise<number> {
  const asked = await store.linkBlob('z', of, { size: 9 });
  expect(asked).toBeTypeOf('number');
  return asked as number;
}

export function unlinked(store: () => TagStore): void {
  const condemn = asking(store);

  test('a digest is condemned once its last link is gone for as long as that', async () => {
    await store().linkBlob('a', layer, { size: 9 });
    await store().mount('b', layer, 'a');
    expect(await condemn(hourMs, layer)).toEqual([]);
    await store().unlinkBlob('a', layer, 2 * hourMs);
    expect(await store().condemn([layer], at(9 * hourMs))).toMatchObject({ condemned: [], waiting: 0 });
    await store().unlinkBlob('b', layer, 9 * hourMs);
    expect(await store().condemn([layer, layer], at(10 * hourMs - 1))).toMatchObject({ condemned: [], waiting: 1 });
    expect(await store().condemn([layer, layer], at(10 * hourMs))).toMatchObject({ condemned: [layer], waiting: 0 });
  });

  test('which digests have no link is told, and nothing changes by the question', async () => {
    await store().linkBlob('a', layer, { size: 9 });
    await store().putManifest('a', one, image({ blobs: [layer], subject: two }), 0);
    await store().unlinkBlob('a', layer, 0);
    expect((await store().unlinked([three, layer, two, one])).unlinked).toEqual([three]);
    await store().deleteManifest('a', one, 0);
    const { index, unlinked } = await store().unlinked([one, three, layer]);
    expect(unlinked).toEqual([one, three, layer]);
    // `three` was never condemned by being asked about.
    expect(await store().condemn([three, layer], at(hourMs))).toEqual({ index, condemned: [layer], waiting: 1 });
  });

  test('one that never had a link waits from when it was first asked about; a link in between begins anew', async () => {
    expect(await condemn(5, layer, one)).toEqual([]);
    await store().linkBlob('a', layer, { size: 9 });
    await store().unlinkBlob('a', layer, hourMs);
    expect(await condemn(hourMs + 5, layer, one)).toEqual([one]);
    expect(await condemn(2 * hourMs, layer)).toEqual([layer]);
  });

  test('records of manifests, what they refer to, and their subjects are links', async () => {
    await store().linkBlob('a', layer, { size: 9 });
    await store().putManifest('a', two, image(), 0);
    await store().putManifest('a', one, image({ tags: ['1'], blobs: [layer], manifests: [two], subject: three }), 0);
    const all = [layer, one, two, three];
    expect(await condemn(0, ...all)).toEqual([]);
    await store().unlinkBlob('a', layer, 0);
    await store().deleteManifest('a', two, 0);
    await store().deleteTag('a', '1');
    expect(await store().condemn(all, at(9 * hourMs))).toMatchObject({ condemned: [], waiting: 0 });
    await store().deleteManifest('a', one, 9 * hourMs);
    expect(await store().condemn(all, at(10 * hourMs - 1))).toMatchObject({ condemned: [], waiting: 4 });
    expect(await condemn(10 * hourMs, ...all)).toEqual(all);
  });

  test('a manifest that is put again and refers to less gives up the rest', async () => {
    for (const blob of [layer, digest(101)]) await store().linkBlob('a', blob, { size: 9 });
    await store().putManifest('a', one, image({ blobs: [layer, digest(101)], subject: three }), 0);
    for (const blob of [layer, digest(101)]) await store().unlinkBlob('a', blob, 0);
    await store().linkBlob('a', layer, { size: 9 });
    await store().putManifest('a', one, image({ blobs: [layer] }), hourMs);
    const all = [layer, digest(101), three];
    expect(await condemn(2 * hourMs - 1, ...all)).toEqual([]);
    expect(await condemn(2 * hourMs, ...all)).toEqual([digest(101), three]);
  });
}

export function condemned(store: () => TagStore): void {
  const condemn = asking(store);

  test('what is condemned is linked with a proof only, of the generation in which it was told last', async () => {
    expect(await condemn(0, layer)).toEqual([]);
    expect(await condemn(hourMs, layer)).toEqual([layer]);
    const first = await generation(store(), layer);
    expect(await store().blob('z', layer)).toBeUndefined();
    expect(await store().mount('b', layer, 'z')).toBeUndefined();
    // Another origin is told: what was proved before may be gone.
    expect(await condemn(hourMs, layer)).toEqual([layer]);
    expect(await store().linkBlob('a', layer, { size: 9, proof: first })).not.toBe(first);
    expect(await store().blob('a', layer)).toBeUndefined();
    const second = await generation(store(), layer);
    expect(second).toBeGreaterThan(first);
    expect(await store().linkBlob('a', layer, { size: 9, proof: second })).toBeUndefined();
    expect(await store().blob('a', layer)).toEqual({ digest: layer, size: 9 });
    expect(await condemn(9 * hourMs, layer)).toEqual([]);
    expect(await store().linkBlob('b', layer, { size: 9 })).toBeUndefined();
    // Revived, it has its hour again.
    for (const repo of ['a', 'b']) await store().unlinkBlob(repo, layer, 9 * hourMs);
    expect(await condemn(9 * hourMs, layer)).toEqual([]);
    expect(await store().linkBlob('b', layer, { size: 9 })).toBeUndefined();
  });

  test('the same of a manifest; a refused one changes nothing', async () => {
    await store().putManifest('a', one, image({ tags: ['1'] }), 0);
    await store().deleteManifest('a', one, 0);
    expect(await condemn(hourMs, one)).toEqual([one]);
    const put = image({ tags: ['2'] });
    const refused = await store().putManifest('a', one, put, hourMs);
    expect(refused).toEqual({ missing: [], unproved: expect.any(Number) });
    expect(await store().tag('a', '2')).toBeUndefined();
    expect(await store().manifest('a', one)).toBeUndefined();
    expect(await store().putManifest('a', one, { ...put, proof: (refused.unproved as number) - 1 }, hourMs)).toEqual(
      refused,
    );
    expect(await store().putManifest('a', one, { ...put, proof: refused.unproved }, hourMs)).toEqual({
      missing: [],
      version: expect.any(String),
    });
    expect((await store().tag('a', '2'))?.digest).toBe(one);
  });

  test('who only refers to a condemned digest keeps it from being told again, but does not prove it', async () => {
    expect(await condemn(0, one, two)).toEqual([]);
    expect(await condemn(hourMs, one)).toEqual([one]);
    await store().putManifest('a', three, image({ subject: one, manifests: [two], sparse: true } as object), hourMs);
    expect(await condemn(9 * hourMs, one, two)).toEqual([]);
    await generation(store(), one);
    expect(await store().linkBlob('a', two, { size: 9 })).toBeUndefined();
  });

  test('nobody was told of it for a week: it needs no proof any more', async () => {
    expect(await condemn(0, layer)).toEqual([]);
    expect(await condemn(hourMs, layer)).toEqual([layer]);
    await condemn(hourMs + condemnedMs, one);
    await generation(store(), layer);
    await condemn(hourMs + condemnedMs + 1, one);
    expect(await store().linkBlob('a', layer, { size: 9 })).toBeUndefined();
  });

  test('a clock that was put back does not keep a digest for ever', async () => {
    expect(await condemn(99 * hourMs, layer)).toEqual([]);
    expect(await condemn(hourMs, layer)).toEqual([]);
    expect(await condemn(2 * hourMs, layer)).toEqual([layer]);
  });
}
