/** An index that lost everything gets it back from the bucket, and one that lags catches up; what is broken is told. */

import { afterEach, expect, test } from 'vitest';
import { type ReconcileReply, type ReconcileStep, reconcileKeysMax } from '../../core/contracts/reconcile.ts';
import { Backends, backedBy } from '../../platform/backends/backends.ts';
import { FaultyBackend } from '../../platform/backends/faulty.fixtures.ts';
import { registryLayout } from '../../platform/backends/layout.ts';
import { MemoryBackend } from '../../platform/backends/memory.ts';
import { sourceOf } from '../../platform/backends/objects.fixtures.ts';
import { Reconciler } from './reconcile.ts';
import { linkBytes } from './records.ts';
import {
  depth,
  digestOfBytes,
  type Image,
  image,
  imageIndex,
  push,
  type Site,
  site,
  writeBlobs,
} from './testing.fixtures.ts';

let stack = new AsyncDisposableStack();
afterEach(async () => {
  await stack.disposeAsync();
  stack = new AsyncDisposableStack();
});

const never = new AbortController().signal;
const bucket = (): FaultyBackend => stack.use(new FaultyBackend(new MemoryBackend('main')));
const soon = { timeout: 20_000 };
const [one, two] = [image('one'), image('two')];
const { links, blobKey } = registryLayout;

async function pushed(backend: FaultyBackend, to: Site, of: Image, at: { repo?: string; tags?: string[] } = {}) {
  await writeBlobs(backend, of);
  await push(to.answering, at.repo ?? 'a', of, at.tags);
  await expect.poll(() => depth(to), soon).toBe(0);
}

/** All steps, of `keys` each. */
async function reconciled(of: Site, asked: Partial<ReconcileStep> = {}) {
  const sums = { steps: 0, looked: 0, changes: [] as ReconcileReply['changes'][number][], broken: [] as string[] };
  for (let from = asked.from, more = true; more; ) {
    const reply = await of.reconcile({ apply: true, keys: reconcileKeysMax, ...asked, from }, never);
    sums.steps += 1;
    sums.looked += reply.looked;
    sums.changes.push(...reply.changes);
    sums.broken.push(...reply.broken.map(({ kind, name, why }) => `${kind} ${name}: ${why}`));
    from = reply.next;
    more = from !== undefined;
  }
  return sums;
}

/** Everything that an index knows of these repositories. */
async function stateOf(of: Site, repos: readonly string[]) {
  const state: unknown[] = [];
  for (const repo of repos) {
    const { tags } = (await of.store.tags(repo, { n: 1000 })) ?? { tags: [] };
    for (const tag of tags) state.push([repo, tag, await of.store.tag(repo, tag)]);
    for (const { digest, blobs } of [one, two, imageIndex([one, two])]) {
      state.push(await of.store.manifest(repo, digest), await of.store.referrers(repo, digest, { n: 10 }));
      for (const blob of blobs) state.push(await of.store.blob(repo, digestOfBytes(blob)));
    }
  }
  return state;
}

async function filled(backend: FaultyBackend): Promise<Site> {
  const a = await site(stack, backend);
  for (const of of [one, two]) await pushed(backend, a, of, { tags: ['single'] });
  await pushed(backend, a, imageIndex([one, two]), { tags: ['all', 'latest', 'gone'] });
  const subject = { mediaType: 'x', digest: one.digest, size: one.bytes.length };
  await pushed(backend, a, image('sbom', { subject, artifactType: 'sbom/x', annotations: { k: 'v' } }));
  await pushed(backend, a, one, { repo: 'a/0/b', tags: ['x'] });
  await a.answering.linkBlob('a', digestOfBytes(two.blobs[0] as Buffer), { size: (two.blobs[0] as Buffer).length });
  await a.answering.deleteTag('a', 'gone');
  await expect.poll(() => depth(a), soon).toBe(0);
  return a;
}

test.each([1, 7, reconcileKeysMax])(
  'into an empty index, %i keys at a time: all of it, what was deleted stays deleted',
  async (keys) => {
    const backend = bucket();
    const a = await filled(backend);
    const b = await site(stack, backend);
    const dry = await reconciled(b, { apply: false, keys });
    expect(await b.store.catalog({ n: 10 })).toEqual({ repositories: [], more: false });
    const done = await reconciled(b, { keys });
    expect(done).toEqual(dry);
    expect(done.broken).toEqual([]);
    expect(
      done.changes
        .filter(({ kind }) => kind === 'tag')
        .map(({ name, how }) => `${name} ${how}`)
        .sort(),
    ).toEqual([...['all added', 'latest added', 'single added', 'x added']]);
    expect(await stateOf(b, ['a', 'a/0/b'])).toEqual(await stateOf(a, ['a', 'a/0/b']));
    expect(await b.store.tagState('a', 'gone')).toEqual(await a.store.tagState('a', 'gone'));
    expect(await reconciled(b, { keys })).toMatchObject({ changes: [], broken: [], looked: done.looked });
    // What came from the bucket is not written to it, and what is written next comes after all of it.
    expect(await depth(b)).toBe(0);
    await b.answering.putTag('a', 'all', { digest: one.digest });
    await expect.poll(() => depth(b), soon).toBe(0);
    await expect.poll(async () => (await a.answering.tag('a', 'all'))?.digest, soon).toBe(one.digest);
  },
);

test('one that lags: moved, added, removed; what is newer here, or waits, stays', async () => {
  const backend = bucket();
  const a = await filled(backend);
  const b = await site(stack, backend);
  await reconciled(b);
  await a.answering.putTag('a', 'single', { digest: one.digest });
  await a.answering.putTag('a', 'new', { digest: two.digest });
  await a.answering.deleteTag('a', 'all');
  await a.answering.deleteTag('a', 'latest');
  await a.answering.deleteManifest('a', imageIndex([one, two]).digest, 0);
  await expect.poll(() => depth(a), soon).toBe(0);
  backend.fail({ on: 'put', what: 'unavailable', times: Number.POSITIVE_INFINITY });
  await b.answering.putTag('a', 'latest', { digest: two.digest });
  const { changes, broken } = await reconciled(b);
  expect(broken).toEqual([]);
  expect(changes.map(({ kind, name, how }) => `${kind} ${kind === 'tag' ? name : ''} ${how}`).sort()).toEqual([
    ...['manifest  removed', 'tag all removed', 'tag new added', 'tag single moved'],
  ]);
  expect((await b.store.tag('a', 'latest'))?.digest).toBe(two.digest);
  expect((await b.store.tag('a', 'single'))?.digest).toBe(one.digest);
  expect(await b.store.manifest('a', imageIndex([one, two]).digest)).toBeUndefined();
  backend.heal();
  await expect.poll(() => depth(b), soon).toBe(0);
});

test('what is broken is named, and the rest comes: bytes missing, other bytes, a blob missing, a record that is none', async () => {
  const backend = bucket();
  const a = await site(stack, backend);
  for (const of of [one, two, image('three')])
    await pushed(backend, a, of, { tags: [of === one ? 'lost' : of === two ? 'wrong' : 'fine'] });
  await backend.remove(blobKey(one.digest), never);
  await backend.write(blobKey(two.digest), sourceOf(Buffer.from('other')), never);
  await backend.remove(blobKey(digestOfBytes(image('three').blobs[1] as Buffer)), never);
  await backend.put(links.linkKey({ repo: 'a', kind: 'tag', name: 'odd' }), Buffer.from('what?'), never);
  await backend.put(`${links.under()}a/_uploads/x/data`, Buffer.from('x'), never);
  const b = await site(stack, backend);
  const { changes, broken } = await reconciled(b);
  expect(broken.sort()).toEqual([
    expect.stringMatching(/^blob sha256:.* is not there: the blob was not written back$/),
    expect.stringMatching(
      /^manifest sha256:.*(is not there: the bytes of the manifest|has other bytes than its digest)/,
    ),
    expect.stringMatching(
      /^manifest sha256:.*(is not there: the bytes of the manifest|has other bytes than its digest)/,
    ),
    expect.stringMatching(
      /^tag lost: main: .* is not there: the bytes of the manifest were not written back: push it again$/,
    ),
    expect.stringMatching(/^tag odd: main: .* is no digest: push it again$/),
    expect.stringMatching(/^tag wrong: main: .* has other bytes than its digest says: write it anew$/),
  ]);
  expect(changes.filter(({ kind }) => kind === 'tag').map(({ name }) => name)).toEqual(['fine']);
  expect(await b.store.tags('a', { n: 9 })).toEqual({ tags: ['fine'], more: false });
});

test('a pattern of repositories; a bucket that a registry wrote; a backend that does not answer, and where to go on', async () => {
  const backend = bucket();
  await filled(backend);
  await backend.put(links.linkKey({ repo: 'old', kind: 'manifest', name: one.digest }), linkBytes(one.digest), never);
  await backend.put(links.linkKey({ repo: 'old', kind: 'tag', name: 'v' }), linkBytes(one.digest), never);
  const b = await site(stack, backend);
  const some = await reconciled(b, { repositories: 'old' });
  expect(some.looked).toBe(2);
  expect(await b.store.catalog({ n: 9 })).toEqual({ repositories: ['old'], more: false });
  expect((await b.store.tag('old', 'v'))?.digest).toBe(one.digest);
  await reconciled(b, { repositories: 'a/**' });
  expect(await b.store.catalog({ n: 9 })).toEqual({ repositories: ['a/0/b', 'old'], more: false });
  const first = await b.reconcile({ apply: true, keys: 5 }, never).then(({ next }) => next);
  backend.fail({ on: 'stat', what: 'unavailable' });
  const step = (): Promise<ReconcileReply> => b.reconcile({ apply: true, keys: 5, from: first }, never);
  await expect(step()).rejects.toMatchObject({ code: 'UNAVAILABLE', message: expect.stringContaining('backend main') });
  await expect(b.reconcile({ apply: true, keys: 5, from: 'other:x' }, never)).rejects.toMatchObject({
    code: 'REQUEST_INVALID',
  });
  expect((await reconciled(b, { from: first })).broken).toEqual([]);
  expect((await b.store.catalog({ n: 9 })).repositories).toEqual(['a', 'a/0/b', 'old']);
});

test('a backend that hangs, at its list or at an object, fails the step in a while, by its name', async () => {
  const backend = bucket();
  const { store } = await filled(backend);
  const backed = backedBy(backend, { durability: 'origins', required: false });
  const backends = new Backends([{ patterns: ['**'], backed }]);
  const reconciler = new Reconciler({ store, backends, nowMs: Date.now, silentMs: 300 });
  const step = () => reconciler.step({ apply: false, keys: reconcileKeysMax }, never);
  for (const on of ['list', 'read'] as const) {
    backend.fail({ on, what: 'hang' });
    await expect(step()).rejects.toThrow(/^backend main cannot be read: nothing of it answered for 0\.3 s/);
  }
  expect((await step()).looked).toBeGreaterThan(0);
});
