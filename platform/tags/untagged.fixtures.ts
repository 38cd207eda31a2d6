/** What every tag store must do about manifests without a tag (untagged.ts), run against each that knows of them. */

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ManifestPut } from '../../core/contracts/index-api.ts';
import type { Digest } from '../../core/digest.ts';
import type { OutboxOptions } from './outbox.ts';
import type { RetiringTagStore } from './untagged.ts';

const digest = (no: number): Digest => `sha256:${no.toString(16).padStart(64, '0')}` as Digest;
const image = (more: Partial<ManifestPut> = {}): ManifestPut => ({
  ...{ mediaType: 'm/x', size: 500, tags: [], blobs: [], manifests: [] },
  ...more,
});
const [one, two, three, four, layer] = [digest(1), digest(2), digest(3), digest(4), digest(100)] as const;
const ageMs = 7 * 24 * 3_600_000;
const target = { name: 'main', kinds: ['blob', 'manifest', 'tag'] } as const;

type Open = (outbox: OutboxOptions) => Promise<RetiringTagStore>;

let nowMs = 0;
let store: RetiringTagStore;

export function untaggedConformance(name: string, open: Open): void {
  describe(`manifests without a tag: ${name}`, () => {
    beforeEach(async () => {
      nowMs = 1_000_000_000;
      store = await open({ targetsOf: () => [target], nowMs: () => nowMs });
    });
    afterEach(() => store[Symbol.asyncDispose]());

    since();
    needed();
    together();
    done();
  });
}

const put = (of: Digest, more: Partial<ManifestPut> = {}) => store.putManifest('a', of, image(more), nowMs);
const isThere = async (of: Digest): Promise<boolean> => (await store.manifest('a', of)) !== undefined;
const page = (last?: Digest, n = 99) => store.untagged.lookUntagged({ repo: 'a', last, n, beforeMs: nowMs - ageMs });
const retire = (...all: Digest[]) => store.untagged.retire('a', all, { beforeMs: nowMs - ageMs, nowMs });

/** A look, as retention goes about it: notes what it finds. */
async function looked() {
  const found = await page();
  await store.untagged.noteUntagged('a', found, nowMs);
  return found;
}

function since(): void {
  test('it counts from the first look that finds it without a tag, and goes when it is old enough', async () => {
    await put(one, { tags: ['1'] });
    await put(two, { tags: ['2'] });
    expect(await looked()).toEqual({ last: undefined, fresh: [], tagged: [], due: [], waiting: 0 });
    await store.putTag('a', '1', { digest: two });
    expect(await looked()).toMatchObject({ fresh: [one], due: [], waiting: 1 });
    expect(await looked()).toMatchObject({ fresh: [], due: [], waiting: 1 });
    nowMs += ageMs - 1;
    expect(await page()).toMatchObject({ due: [], waiting: 1 });
    expect(await retire(one, two)).toEqual([]);
    nowMs += 1;
    expect(await page()).toMatchObject({ due: [one], waiting: 0 });
    expect(await retire(one, two, three)).toEqual([one]);
    expect([await isThere(one), await isThere(two)]).toEqual([false, true]);
  });

  test('one that nobody has looked at goes at no time, nor does a look change anything by itself', async () => {
    await put(one);
    nowMs += 9 * ageMs;
    expect(await page()).toMatchObject({ fresh: [one], due: [], waiting: 1 });
    expect(await page()).toMatchObject({ fresh: [one], due: [], waiting: 1 });
    expect(await retire(one)).toEqual([]);
  });

  test.each([
    ['a tag that comes, and goes again', () => put(two, { tags: ['2'] }).then(() => moved())],
    ['a push', () => put(one)],
    ['a push with a tag, which is deleted', () => put(one, { tags: ['1'] }).then(() => store.deleteTag('a', '1'))],
  ])('%s has it begin anew', async (_, act) => {
    await put(one);
    await looked();
    nowMs += ageMs;
    await act();
    expect(await retire(one)).toEqual([]);
    expect((await looked()).fresh).toContain(one);
    nowMs += ageMs;
    expect(await retire(one)).toEqual([one]);
  });

  test('so does who asks for it; of one that is not there he is told so', async () => {
    await put(one);
    await looked();
    nowMs += ageMs;
    expect(await store.untagged.askedFor('a', one, nowMs)).toBe(true);
    expect(await store.untagged.askedFor('a', two, nowMs)).toBe(false);
    expect(await store.untagged.askedFor('b', one, nowMs)).toBe(false);
    nowMs += ageMs - 1;
    expect(await retire(one)).toEqual([]);
    nowMs += 1;
    expect(await retire(one)).toEqual([one]);
    expect(await store.untagged.askedFor('a', one, nowMs)).toBe(false);
  });

  test('one that was deleted and comes again counts anew', async () => {
    await put(one);
    await looked();
    nowMs += ageMs;
    await store.deleteManifest('a', one, nowMs);
    await put(one);
    expect(await retire(one)).toEqual([]);
    expect(await looked()).toMatchObject({ fresh: [one], due: [] });
  });

  test('all that is noted is forgotten, a few at a time', async () => {
    for (const of of [one, two, three]) await put(of);
    await looked();
    nowMs += ageMs;
    for (let turn = 0; turn < 9 && (await store.untagged.forgetUntagged(2)); turn++);
    expect(await page()).toMatchObject({ fresh: [one, two, three], due: [] });
    expect(await retire(one, two, three)).toEqual([]);
  });

  test('a page has so many, and goes on after the last one', async () => {
    for (const of of [one, two, three]) await put(of);
    expect(await page(undefined, 2)).toMatchObject({ fresh: [one, two], last: two });
    expect(await page(two, 2)).toMatchObject({ fresh: [three], last: undefined });
    expect(await store.untagged.lookUntagged({ repo: 'none', n: 2, beforeMs: 0 })).toMatchObject({ fresh: [] });
  });
}

/** A tag comes onto `one`, and goes back. */
async function moved(): Promise<void> {
  await store.putTag('a', '2', { digest: one });
  await store.putTag('a', '2', { digest: two });
}

/** Noted, and older than any rule. */
async function old(): Promise<void> {
  await looked();
  nowMs += ageMs;
}

function needed(): void {
  test('what an index with a tag has stays, whatever it is asked', async () => {
    await put(one);
    await put(two, { manifests: [one], tags: ['1'] });
    await old();
    expect(await page()).toMatchObject({ due: [], waiting: 0 });
    expect(await retire(one, two)).toEqual([]);
  });

  test('what refers to a manifest that is there stays with it, and so does what refers to that', async () => {
    await put(one, { tags: ['1'] });
    await put(two, { subject: one });
    await put(three, { subject: two });
    await old();
    expect(await page()).toMatchObject({ due: [], waiting: 0 });
    expect(await retire(three, two, one)).toEqual([]);
  });

  test('what a manifest with a tag has as its subject stays; one that refers to what was never there does not', async () => {
    await put(one);
    await put(two, { subject: one, tags: ['sbom'] });
    await put(three, { subject: digest(9) });
    await old();
    expect(await page()).toMatchObject({ due: [three] });
    expect(await retire(one, two, three)).toEqual([three]);
  });

  test('what another repository has is no reason', async () => {
    await put(one);
    await store.putManifest('b', one, image({ tags: ['1'] }), nowMs);
    await store.putManifest('b', two, image({ manifests: [one], tags: ['2'] }), nowMs);
    await old();
    expect(await retire(one)).toEqual([one]);
    expect((await store.tag('b', '1'))?.digest).toBe(one);
  });

  test('an index is put that has it, or it goes: never both', async () => {
    for (let turn = 0; turn < 20; turn++) {
      const [child, index] = [digest(1_000 + turn), digest(2_000 + turn)];
      await put(child);
      await old();
      const begun = turn % 2 === 0 ? retire(child) : undefined;
      const [written, gone] = await Promise.all([
        put(index, { manifests: [child], tags: [`${turn}`] }),
        begun ?? retire(child),
      ]);
      expect([written.missing.length, gone.length, await isThere(child)]).toEqual(
        gone.length === 0 ? [0, 0, true] : [1, 1, false],
      );
    }
  });
}

function together(): void {
  test('what only an index had, and what refers to it, goes once the index has', async () => {
    await put(one);
    await put(two, { manifests: [one] });
    await put(three, { subject: two });
    await put(four, { subject: one });
    await old();
    expect(await retire(one, three, four)).toEqual([]);
    expect(await retire(two)).toEqual([two]);
    expect(await page()).toMatchObject({ due: [one, three] });
    expect(await retire(four, one, three, four)).toEqual([one, three, four]);
  });

  test('what an index had that somebody deletes counts from then on', async () => {
    await put(one);
    await put(two, { manifests: [one], tags: ['1'] });
    await put(three, { subject: two });
    await old();
    await store.deleteManifest('a', two, nowMs);
    expect(await page()).toMatchObject({ due: [], waiting: 2 });
    nowMs += ageMs - 1;
    expect(await retire(one, three)).toEqual([]);
    nowMs += 1;
    expect(await retire(one, three)).toEqual([one, three]);
  });
}

function done(): void {
  test('it goes as by a DELETE: targets are told, what it has is counted no more, its blobs are idle from then on', async () => {
    await store.linkBlob('a', layer, { size: 9 });
    await put(one, { blobs: [layer] });
    await old();
    expect(await store.idleSince('a', layer)).toBeUndefined();
    expect(await retire(one)).toEqual([one]);
    const rows = await store.due('main', Number.MAX_SAFE_INTEGER, 10);
    expect(rows.map(({ kind, name, digest: on }) => [kind, name, on])).toContainEqual(['manifest', one, null]);
    expect((await store.used({ n: 9 })).repositories).toEqual([{ repo: 'a', bytes: 9, tags: 0, manifests: 0 }]);
    expect(await store.idleSince('a', layer)).toBe(nowMs);
  });
}
