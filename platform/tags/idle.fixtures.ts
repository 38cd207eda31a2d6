/** What every tag store must do about links that nobody needs any more (idle.ts), run against each implementation. */

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ManifestPut } from '../../core/contracts/index-api.ts';
import type { Digest } from '../../core/digest.ts';
import type { OutboxOptions } from './outbox.ts';
import type { TagStore } from './store.ts';
import type { OutboxTarget } from './targets.ts';

const digest = (no: number): Digest => `sha256:${no.toString(16).padStart(64, '0')}` as Digest;
const image = (more: Partial<ManifestPut> = {}): ManifestPut => ({
  ...{ mediaType: 'm/x', size: 500, tags: [], blobs: [], manifests: [] },
  ...more,
});
const [one, two, three, layer, other] = [digest(1), digest(2), digest(3), digest(100), digest(101)] as const;
const graceMs = 3_600_000;
const target: OutboxTarget = { name: 'main', kinds: ['blob', 'manifest', 'tag'] };

type Open = (outbox: OutboxOptions) => Promise<TagStore>;

let nowMs = 0;
let store: TagStore;

/** `open`: an empty one, for those targets and by that clock, as far as it has any. */
export function idleConformance(name: string, open: Open): void {
  describe(`idle links: ${name}`, () => {
    beforeEach(async () => {
      nowMs = 1_000_000;
      store = await open({ targetsOf: () => [target], nowMs: () => nowMs });
    });
    afterEach(() => store[Symbol.asyncDispose]());

    goes();
    stays();
    kept();
    meets();
    told();
  });
}

/** All that is due goes; which of the digests origins may remove then. A bucket looks first, so it is asked twice. */
async function collected(...digests: Digest[]): Promise<readonly Digest[]> {
  for (;;) if (!(await store.expire({ beforeMs: nowMs - graceMs, n: 2 })).more) break;
  return (await store.condemn(digests, { nowMs, unlinkedMs: graceMs, idle: {} })).condemned;
}

/** The first look: where an engine has no list of idle links, a grace begins with it. */
async function looked(...digests: Digest[]): Promise<void> {
  expect(await collected(...digests)).toEqual([]);
}

const isLinked = async (repo: string, of: Digest): Promise<boolean> => (await store.blob(repo, of)) !== undefined;

function goes(): void {
  test('a blob that no manifest refers to leaves every repository once its grace is over', async () => {
    await store.linkBlob('a', layer, { size: 9 });
    await store.mount('b', layer, 'a');
    await looked(layer);
    nowMs += graceMs - 1;
    expect(await collected(layer)).toEqual([]);
    expect(await isLinked('a', layer)).toBe(true);
    nowMs += 1;
    expect(await collected(layer)).toEqual([layer]);
    for (const repo of ['a', 'b']) expect(await isLinked(repo, layer)).toBe(false);
    // Who pushes it again proves it, as anybody does.
    const generation = (await store.linkBlob('a', layer, { size: 9 })) as number;
    expect(generation).toBeTypeOf('number');
    expect(await store.linkBlob('a', layer, { size: 9, proof: generation })).toBeUndefined();
    expect(await isLinked('a', layer)).toBe(true);
  });

  test('a link, and a mount, that a late try makes once more are ones that nobody needs, and go as any', async () => {
    const tries = async (): Promise<void> => {
      expect(await store.linkBlob('a', layer, { size: 9 })).toBeUndefined();
      expect(await store.mount('b', layer, 'a')).toEqual({ digest: layer, size: 9 });
    };
    await tries();
    // However often: it is one link each.
    await tries();
    for (const repo of ['a', 'b']) expect(await store.unlinkBlob(repo, layer, nowMs)).toBe(true);
    for (const repo of ['a', 'b']) expect(await isLinked(repo, layer)).toBe(false);
    await tries();
    for (const repo of ['a', 'b']) expect(await isLinked(repo, layer)).toBe(true);
    await looked(layer);
    nowMs += graceMs;
    expect(await collected(layer)).toEqual([layer]);
    for (const repo of ['a', 'b']) expect(await isLinked(repo, layer)).toBe(false);
  });

  test('what a manifest referred to leaves once the manifest is gone for a grace, and the manifest with it', async () => {
    for (const blob of [layer, other]) await store.linkBlob('a', blob, { size: 9 });
    await store.putManifest('a', one, image({ tags: ['1'], blobs: [layer, other] }), nowMs);
    await store.putManifest('a', two, image({ blobs: [other] }), nowMs);
    nowMs += 99 * graceMs;
    await looked(layer, other, one, two);
    await store.deleteManifest('a', one, nowMs);
    await looked(layer, other, one, two);
    nowMs += graceMs - 1;
    expect(await collected(layer, other, one, two)).toEqual([]);
    nowMs += 1;
    expect(await collected(layer, other, one, two)).toEqual([layer, one]);
    expect(await isLinked('a', layer)).toBe(false);
    expect(await isLinked('a', other)).toBe(true);
  });

  test('a manifest that is put again and refers to less gives up the rest, a grace later', async () => {
    for (const blob of [layer, other]) await store.linkBlob('a', blob, { size: 9 });
    await store.putManifest('a', one, image({ blobs: [layer, other] }), nowMs);
    nowMs += 9 * graceMs;
    await store.putManifest('a', one, image({ blobs: [other], size: 501 }), nowMs);
    await looked(layer, other);
    nowMs += graceMs;
    expect(await collected(layer, other)).toEqual([layer]);
  });
}

function stays(): void {
  test('what a manifest refers to stays, as do the manifest, its children and subject', async () => {
    await store.linkBlob('a', layer, { size: 9 });
    await store.putManifest('a', two, image({ blobs: [layer] }), nowMs);
    await store.putManifest('a', one, image({ manifests: [two], subject: three }), nowMs);
    for (let turn = 0; turn < 3; turn++) {
      nowMs += 2 * graceMs;
      expect(await collected(layer, one, two, three)).toEqual([]);
    }
    expect(await isLinked('a', layer)).toBe(true);
  });

  test('a push that is spared the upload, since it was asked for, has its grace again; so has a mount', async () => {
    await store.linkBlob('a', layer, { size: 9 });
    await looked(layer);
    nowMs += graceMs - 1;
    expect(await store.use('a', layer, nowMs)).toBe(true);
    expect(await store.use('b', layer, nowMs)).toBe(false);
    await looked(layer);
    nowMs += graceMs - 1;
    expect(await collected(layer)).toEqual([]);
    expect(await store.mount('b', layer, 'a')).toEqual({ digest: layer, size: 9 });
    await looked(layer);
    nowMs += graceMs - 1;
    expect(await collected(layer)).toEqual([]);
    expect(await isLinked('a', layer)).toBe(true);
    nowMs += 1;
    expect(await collected(layer)).toEqual([layer]);
  });

  test('a push of a blob that is there already has its grace again', async () => {
    await store.linkBlob('a', layer, { size: 9 });
    await looked(layer);
    nowMs += graceMs - 1;
    await store.linkBlob('a', layer, { size: 9 });
    await looked(layer);
    nowMs += graceMs - 1;
    expect(await collected(layer)).toEqual([]);
  });

  test('a link that is deleted is a reason to keep the others for a grace', async () => {
    await store.linkBlob('a', layer, { size: 9 });
    await store.linkBlob('b', layer, { size: 9 });
    await looked(layer);
    nowMs += graceMs - 1;
    await store.unlinkBlob('b', layer, nowMs);
    await looked(layer);
    nowMs += 1;
    expect(await collected(layer)).toEqual([]);
    nowMs += graceMs - 1;
    expect(await collected(layer)).toEqual([layer]);
  });
}

function kept(): void {
  test('what a repository is to keep stays, wherever else it was', async () => {
    const keeps = (repo: string): boolean => repo === 'kept';
    for (const repo of ['kept', 'other']) await store.linkBlob(repo, layer, { size: 9 });
    await store.linkBlob('other', other, { size: 9 });
    for (let turn = 0; turn < 3; turn++) {
      await store.expire({ beforeMs: nowMs - graceMs, n: 9, keeps });
      const at = { nowMs, unlinkedMs: graceMs, idle: { keeps } };
      expect((await store.condemn([layer, other], at)).condemned).toEqual(turn === 0 ? [] : [other]);
      nowMs += 2 * graceMs;
    }
    expect(await isLinked('kept', layer)).toBe(true);
  });
}

function meets(): void {
  test('a manifest is put, or its blob goes: never both', async () => {
    for (let turn = 0; turn < 20; turn++) {
      const [blob, manifest] = [digest(1_000 + turn), digest(2_000 + turn)];
      await store.linkBlob('a', blob, { size: 9 });
      await looked(blob);
      nowMs += graceMs;
      const [put, gone] = await Promise.all([
        store.putManifest('a', manifest, image({ blobs: [blob] }), nowMs),
        collected(blob),
      ]);
      expect([put.missing.length, gone.length, await isLinked('a', blob)]).toEqual(
        put.missing.length === 0 ? [0, 0, true] : [1, 1, false],
      );
    }
  });

  test('somebody is told that the blob is there, or it goes: never both', async () => {
    for (let turn = 0; turn < 20; turn++) {
      const blob = digest(3_000 + turn);
      await store.linkBlob('a', blob, { size: 9 });
      await looked(blob);
      nowMs += graceMs;
      const [gone, used] = await Promise.all([collected(blob), store.use('a', blob, nowMs)]);
      expect([used, gone.length]).toEqual(used ? [true, 0] : [false, 1]);
    }
  });
}

function told(): void {
  test('what would go is told, and nothing changes by the question', async () => {
    await store.linkBlob('a', layer, { size: 9 });
    await store.linkBlob('a', other, { size: 9 });
    await store.putManifest('a', one, image({ blobs: [other] }), nowMs);
    await looked(layer, other, one, three);
    expect(await store.idleSince('a', other)).toBeUndefined();
    expect(await store.idleSince('a', layer)).toBe(1_000_000);
    expect(await store.idleSince('b', layer)).toBeUndefined();
    expect(await store.uselessSince([layer, other, one, three], nowMs - 1)).toEqual([]);
    expect(await store.uselessSince([layer, other, one, three], nowMs)).toEqual([layer, three]);
    expect(await isLinked('a', layer)).toBe(true);
  });
}

/** Of engines that have a list of idle links. */
export function idleLists(name: string, open: Open): void {
  test(`idle links: ${name}: they are counted, and go the oldest first`, async () => {
    let nowMs = 1_000;
    await using store = await open({ targetsOf: () => [target], nowMs: () => nowMs });
    for (const no of [1, 2, 3]) {
      await store.linkBlob('a', digest(no), { size: no });
      nowMs += 10;
    }
    expect(await store.idleCounts(1_010)).toEqual({ idle: 3, due: 2, dueBytes: 3 });
    expect(await store.expire({ beforeMs: 1_010, n: 1 })).toEqual({ links: 1, bytes: 1, more: true });
    expect(await store.blob('a', digest(1))).toBeUndefined();
    expect(await store.idleCounts(1_010)).toEqual({ idle: 2, due: 1, dueBytes: 2 });
    expect(await store.expire({ beforeMs: nowMs, n: 9, keeps: (repo) => repo === 'a' })).toEqual({
      ...{ links: 0, bytes: 0, more: false },
    });
    expect(await store.idleSince('a', digest(2))).toBe(nowMs);
    const rows = await store.due('main', Number.MAX_SAFE_INTEGER, 10);
    expect(rows.map(({ kind, name: of, digest: on }) => [kind, of, on])).toContainEqual(['blob', digest(1), null]);
  });
}
