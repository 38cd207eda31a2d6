/** What every tag store must do about writes that have a name; a conformance suite of its own. */

import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ManifestPut, TagVersion } from '../../core/contracts/index-api.ts';
import type { Digest } from '../../core/digest.ts';
import type { WriteName } from './named.ts';
import type { TagStore } from './store.ts';
import type { TagOutcome } from './versions.ts';

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
const newName = (): WriteName => ({ name: randomBytes(16).toString('hex') });
const again = ({ name }: WriteName): WriteName => ({ name, again: true });

/** `other`: another process beside the first; `next`: the one after it, which is closed then. */
export type NamedEngine = {
  readonly store: TagStore;
  readonly other?: () => Promise<TagStore>;
  readonly next?: () => Promise<TagStore>;
};

/** `open`: an empty one. */
export function namedConformance(name: string, open: () => Promise<NamedEngine>): void {
  describe(`writes with names: ${name}`, () => {
    let engine: NamedEngine;
    const stores: TagStore[] = [];
    beforeEach(async () => {
      engine = await open();
      stores.push(engine.store);
      for (const manifest of [one, two]) await engine.store.putManifest('a', manifest, image(), 0);
      await engine.store.linkBlob('a', layer, { size: 9 });
    });
    afterEach(async () => {
      for (const store of stores.splice(0)) await store[Symbol.asyncDispose]();
    });
    const store = (): TagStore => engine.store;

    doneOnce(store);
    noes(store);
    manifestWrites(store);
    const kept = async (other: TagStore | undefined): Promise<TagStore> => {
      if (other !== undefined) stores.push(other);
      return other ?? engine.store;
    };
    atOnce(store, async () => kept(await engine.other?.()));
    elsewhere(store, async () => kept(await (engine.other ?? engine.next)?.()));
  });
}

const on = async (store: TagStore, tag = 'x'): Promise<Digest | undefined> => (await store.tag('a', tag))?.digest;
const versionIn = (outcome: TagOutcome | undefined): TagVersion | undefined =>
  (outcome as { version: TagVersion }).version;

/** Writes after which another one stands. */
const WRITES: Readonly<Record<string, (store: TagStore, of: WriteName) => Promise<unknown>>> = {
  putTag: (store, of) => store.named(of).putTag('a', 'x', { digest: one }),
  deleteTag: (store, of) => store.named(of).deleteTag('a', 'x'),
  'a push': (store, of) => store.named(of).putManifest('a', three, image({ tags: ['x'], blobs: [layer] }), 0),
  'a push of what is there': (store, of) => store.named(of).putManifest('a', one, image({ tags: ['x'] }), 0),
};

function doneOnce(store: () => TagStore): void {
  test.each(Object.entries(WRITES))(
    '%s that is asked for again has its outcome, and undoes nothing',
    async (_, write) => {
      await store().putTag('a', 'x', { digest: two });
      const of = newName();
      const outcome = await write(store(), of);
      expect(outcome).toMatchObject({ version: expect.any(String) });
      const other = await store().putTag('a', 'x', { digest: two });
      // However often, and whether or not it knows that it is not the first.
      for (const tried of [of, again(of), of]) expect(await write(store(), tried)).toEqual(outcome);
      expect(await store().tag('a', 'x')).toMatchObject({ digest: two, version: versionIn(other) });
      // By another name it is another write.
      expect(await write(store(), newName())).not.toEqual(outcome);
      expect(await on(store())).not.toBe(two);
    },
  );

  test('a conditional write that was done is not told as refused when it is asked for again', async () => {
    const [set, moved, gone] = [newName(), newName(), newName()];
    const put = (of: WriteName) => store().named(of).putTag('a', 'x', { digest: one, after: null });
    const first = await put(set);
    expect(await put(again(set))).toEqual(first);
    const after = versionIn(first) as TagVersion;
    const push = () =>
      store()
        .named(moved)
        .putManifest('a', three, image({ tags: ['x'], after }), 0);
    const pushed = await push();
    expect(pushed).toMatchObject({ missing: [], version: expect.any(String) });
    expect(await push()).toEqual(pushed);
    const remove = () => store().named(gone).deleteTag('a', 'x', pushed.version);
    const removed = await remove();
    expect(removed).toMatchObject({ version: expect.any(String) });
    expect(await remove()).toEqual(removed);
  });

  test('what was removed by a name, and came again, is not removed again', async () => {
    await store().putManifest('a', one, image({ tags: ['x'] }), 0);
    const [manifest, blob] = [newName(), newName()];
    expect(await store().named(manifest).deleteManifest('a', one, 0)).toBe(true);
    expect(await store().named(blob).unlinkBlob('a', layer, 0)).toBe(true);
    await store().putManifest('a', one, image({ tags: ['x'] }), 0);
    await store().linkBlob('a', layer, { size: 9 });
    for (const tried of [again, (of: WriteName) => of]) {
      expect(await store().named(tried(manifest)).deleteManifest('a', one, 0)).toBe(true);
      expect(await store().named(tried(blob)).unlinkBlob('a', layer, 0)).toBe(true);
    }
    expect([await on(store()), await store().blob('a', layer)]).toEqual([one, { digest: layer, size: 9 }]);
    expect(await store().named(newName()).deleteManifest('a', one, 0)).toBe(true);
    expect(await on(store())).toBeUndefined();
  });

  test('names are told apart, of the same write and of different ones', async () => {
    const names = Array.from({ length: 20 }, newName);
    const outcomes: unknown[] = [];
    for (const [i, of] of names.entries())
      outcomes.push(
        await store()
          .named(of)
          .putTag('a', 'x', { digest: i % 2 ? one : two }),
      );
    expect(new Set(outcomes.map((outcome) => JSON.stringify(outcome))).size).toBe(names.length);
    for (const [i, of] of names.entries())
      expect(await store().named(again(of)).putTag('a', 'x', { digest: one })).toEqual(outcomes[i]);
  });
}

function noes(store: () => TagStore): void {
  test('a no to what may have been tried before is the last word: no late try comes after it', async () => {
    const names = Array.from({ length: 6 }, newName) as [
      WriteName,
      WriteName,
      WriteName,
      WriteName,
      WriteName,
      WriteName,
    ];
    const tries = {
      absent: (of: WriteName) => store().named(of).deleteTag('a', 'x'),
      taken: (of: WriteName) => store().named(of).putTag('a', 'y', { digest: one, after: null }),
      pushed: (of: WriteName) =>
        store()
          .named(of)
          .putManifest('a', one, image({ tags: ['y'], after: null }), 0),
      lacking: (of: WriteName) =>
        store()
          .named(of)
          .putManifest('a', one, image({ tags: ['x'], blobs: [digest(101)] }), 0),
      unknown: (of: WriteName) => store().named(of).putTag('a', 'x', { digest: three }),
      gone: (of: WriteName) => store().named(of).deleteManifest('a', three, 0),
    };
    const taken = await store().putTag('a', 'y', { digest: two });
    const no = { changed: versionIn(taken) };
    const all = Object.values(tries);
    const told = [
      ...[undefined, no, { missing: [], changed: { tag: 'y', version: no.changed } }],
      ...[{ missing: [digest(101)] }, undefined, false],
    ];
    for (const [i, tried] of all.entries()) expect(await tried(again(names[i] as WriteName))).toEqual(told[i]);
    // Now each of them could be done.
    await store().linkBlob('a', digest(101), { size: 1 });
    await store().putManifest('a', three, image({ tags: ['x'] }), 0);
    await store().deleteTag('a', 'y');
    const before = [await store().tag('a', 'x'), await store().tag('a', 'y'), await store().manifest('a', three)];
    for (const [i, tried] of all.entries()) expect(await tried(names[i] as WriteName)).toEqual(told[i]);
    expect([await store().tag('a', 'x'), await store().tag('a', 'y'), await store().manifest('a', three)]).toEqual(
      before,
    );
    expect(await tries.absent(newName())).toMatchObject({ version: expect.any(String) });
    expect(await tries.lacking(newName())).toMatchObject({ missing: [], version: expect.any(String) });
    expect(await tries.taken(newName())).toMatchObject({ version: expect.any(String) });
    expect(await tries.unknown(newName())).toMatchObject({ version: expect.any(String) });
    expect(await tries.gone(newName())).toBe(true);
  });

  test('a blob that was not there is not unlinked by a late try', async () => {
    const of = newName();
    expect(await store().named(again(of)).unlinkBlob('a', digest(101), 0)).toBe(false);
    await store().linkBlob('a', digest(101), { size: 1 });
    expect(await store().named(of).unlinkBlob('a', digest(101), 0)).toBe(false);
    expect(await store().blob('a', digest(101))).toMatchObject({ size: 1 });
  });

  test('a no to a first try is not remembered: nothing is written by it, and what is asked again may be done', async () => {
    const of = newName();
    expect(await store().named(of).deleteTag('a', 'x')).toBeUndefined();
    await store().putTag('a', 'x', { digest: one });
    expect(await store().named(of).deleteTag('a', 'x')).toMatchObject({ version: expect.any(String) });
  });

  test('an absent tag of which only a no is remembered is absent in every way', async () => {
    await store().named(again(newName())).deleteTag('a', 'x');
    expect(await store().tag('a', 'x')).toBeUndefined();
    expect((await store().tags('a', { n: 9 }))?.tags).toEqual([]);
    expect(await store().putTag('a', 'x', { digest: one, after: null })).toMatchObject({ version: expect.any(String) });
  });
}

function manifestWrites(store: () => TagStore): void {
  test('a push of several tags that is asked for again moves none of them', async () => {
    const of = newName();
    const push = (tried: WriteName) =>
      store()
        .named(tried)
        .putManifest('a', one, image({ tags: ['x', 'y', 'z'] }), 0);
    const outcome = await push(of);
    await store().putTag('a', 'y', { digest: two });
    await store().deleteTag('a', 'z');
    expect(await push(again(of))).toEqual(outcome);
    expect([await on(store(), 'x'), await on(store(), 'y'), await on(store(), 'z')]).toEqual([one, two, undefined]);
  });

  test('a push whose manifest was deleted since does not bring it back', async () => {
    const of = newName();
    const push = (tried: WriteName) =>
      store()
        .named(tried)
        .putManifest('a', three, image({ tags: ['x'] }), 0);
    const outcome = await push(of);
    await store().deleteManifest('a', three, 0);
    expect(await push(again(of))).toEqual(outcome);
    expect([await on(store()), await store().manifest('a', three)]).toEqual([undefined, undefined]);
  });

  test.each(['new', 'there'])(
    'a manifest without tags (%s) that was deleted since is not brought back by a late try',
    async (before) => {
      if (before === 'there') await store().putManifest('a', three, image({ blobs: [layer] }), 0);
      const of = newName();
      const push = (tried: WriteName) =>
        store()
          .named(tried)
          .putManifest('a', three, image({ blobs: [layer] }), 0);
      expect(await push(of)).toEqual({ missing: [] });
      expect(await store().manifest('a', three)).toMatchObject({ digest: three });
      expect(await store().deleteManifest('a', three, 0)).toBe(true);
      for (const tried of [again(of), of]) expect(await push(tried)).toEqual({ missing: [] });
      expect(await store().manifest('a', three)).toBeUndefined();
      expect(await push(newName())).toEqual({ missing: [] });
      expect(await store().manifest('a', three)).toMatchObject({ digest: three });
    },
  );

  test('a no to a manifest without tags is the last word, be it there or not', async () => {
    const lacking = (of: WriteName, manifest: Digest) =>
      store()
        .named(of)
        .putManifest('a', manifest, image({ blobs: [digest(101)] }), 0);
    const [fresh, known] = [newName(), newName()];
    for (const [of, manifest] of [[fresh, three] as const, [known, one] as const])
      expect(await lacking(again(of), manifest)).toEqual({ missing: [digest(101)] });
    expect([await store().manifest('a', three), (await store().manifest('a', one))?.digest]).toEqual([undefined, one]);
    await store().linkBlob('a', digest(101), { size: 1 });
    expect(await lacking(fresh, three)).toEqual({ missing: [digest(101)] });
    expect(await lacking(known, one)).toEqual({ missing: [digest(101)] });
    expect(await store().manifest('a', three)).toBeUndefined();
    expect(await lacking(newName(), three)).toEqual({ missing: [] });
  });

  test('a push with a condemned manifest is done once it is proved, by another name', async () => {
    const of = newName();
    await store().putManifest('b', three, image(), 0);
    await store().deleteManifest('b', three, 0);
    const { condemned } = await store().condemn([three], { nowMs: 10, unlinkedMs: 1 });
    expect(condemned).toEqual([three]);
    const put = (tried: WriteName, proof?: number) =>
      store()
        .named(tried)
        .putManifest('a', three, image({ tags: ['x'], ...(proof === undefined ? {} : { proof }) }), 0);
    const { unproved } = await put(again(of));
    expect(unproved).toEqual(expect.any(Number));
    expect(await put(of, unproved)).toMatchObject({ unproved });
    expect(await put(newName(), unproved)).toMatchObject({ missing: [], version: expect.any(String) });
  });
}

function atOnce(store: () => TagStore, another: () => Promise<TagStore>): void {
  test('of tries of one write at once, in one process and in two, one is done', async () => {
    const other = await another();
    for (let turn = 0; turn < 10; turn++)
      for (const write of Object.values(WRITES)) {
        await store().putTag('a', 'x', { digest: two });
        const of = newName();
        const stores = turn % 2 ? [store(), store()] : [store(), other];
        const outcomes = await Promise.all(stores.map((each, i) => write(each, i === 0 ? of : again(of))));
        expect(outcomes[1]).toEqual(outcomes[0]);
        const { version } = outcomes[0] as { version: TagVersion };
        const now = await store().tag('a', 'x');
        if (now !== undefined) expect(now.version).toBe(version);
      }
  });
}

function elsewhere(store: () => TagStore, another: () => Promise<TagStore>): void {
  test('another process, or the one after it, knows what was done', async () => {
    await store().putTag('a', 'x', { digest: two });
    const [of, no] = [newName(), newName()];
    const outcome = await store().named(of).putTag('a', 'x', { digest: one });
    expect(await store().named(again(no)).deleteTag('a', 'y')).toBeUndefined();
    await store().putTag('a', 'x', { digest: two });
    await store().putTag('a', 'y', { digest: two });
    const other = await another();
    expect(await other.named(again(of)).putTag('a', 'x', { digest: one })).toEqual(outcome);
    expect(await other.named(no).deleteTag('a', 'y')).toBeUndefined();
    expect([await on(other, 'x'), await on(other, 'y')]).toEqual([two, two]);
  });
}
