/** An index in front of a registry: which keeps nothing that tells an old tag from a new one, and blobs by repository. */

import { afterEach, expect, test } from 'vitest';
import type { Backend } from '../../platform/backends/backend.ts';
import { sourceOf } from '../../platform/backends/objects.fixtures.ts';
import { backedAsRegistry, keyedAsRegistry } from '../../platform/backends/registry/keys.fixtures.ts';
import { manifestKey, registryKeys, tagKey } from '../../platform/backends/registry/layout.ts';
import { linkBytes } from './records.ts';
import { depth, digestOfBytes, type Image, image, imageIndex, push, type Site, site } from './testing.fixtures.ts';
import { freshMs } from './through.ts';

let stack = new AsyncDisposableStack();
afterEach(async () => {
  await stack.disposeAsync();
  stack = new AsyncDisposableStack();
});

const never = new AbortController().signal;
const soon = { timeout: 20_000 };
const [one, two] = [image('one'), image('two')];
const { blobKey } = registryKeys;

async function world(readOnly = false) {
  const upstream = stack.use(keyedAsRegistry('up'));
  const backed = backedAsRegistry(upstream, { durability: 'origins', required: false, readOnly });
  return { upstream, at: await site(stack, upstream, { backed }) };
}

/** As somebody pushes to the registry itself. */
async function pushedThere(upstream: Backend, repo: string, of: Image, tag?: string): Promise<void> {
  for (const blob of [...of.blobs, of.bytes])
    await upstream.write(blobKey(digestOfBytes(blob), repo), sourceOf(blob), never);
  await upstream.put(manifestKey(repo, of.digest), linkBytes(of.digest), never);
  if (tag !== undefined) await upstream.put(tagKey(repo, tag), linkBytes(of.digest), never);
}

const tagOf = async (at: Site, tag: string) => (await at.answering.tag('a', tag))?.digest;

test('what was pushed is named there once its blobs are in that repository, and in no other', async () => {
  const { upstream, at } = await world();
  for (const blob of [...one.blobs, one.bytes])
    await upstream.write(blobKey(digestOfBytes(blob), 'other'), sourceOf(blob), never);
  await push(at.answering, 'a', one, ['x']);
  await expect.poll(async () => (await at.store.due('up', 0, 9)).length + (await depth(at)), soon).toBeGreaterThan(0);
  expect(await upstream.stat(tagKey('a', 'x'), never)).toBeUndefined();
  for (const blob of [...one.blobs, one.bytes])
    await upstream.write(blobKey(digestOfBytes(blob), 'a'), sourceOf(blob), never);
  await expect.poll(() => depth(at), soon).toBe(0);
  expect(await upstream.stat(tagKey('a', 'x'), never)).toBeDefined();
  // Nothing of ours but what a registry knows.
  for (const { key } of (await upstream.list('', { max: 99 }, never)).objects) expect(key).not.toMatch(/_shoal/);
});

test('a tag of there is read through with its manifests, follows it, and goes when the registry says that it is gone', async () => {
  const { upstream, at } = await world(true);
  const all = imageIndex([one, two]);
  for (const of of [one, two]) await pushedThere(upstream, 'a', of);
  await pushedThere(upstream, 'a', all, 'x');
  expect(await tagOf(at, 'x')).toBe(all.digest);
  expect(await at.answering.manifest('a', one.digest)).toMatchObject({ digest: one.digest });
  await upstream.put(tagKey('a', 'x'), linkBytes(two.digest), never);
  await expect.poll(() => tagOf(at, 'x'), soon).toBe(two.digest);
  upstream.fail({ on: 'any', what: 'unavailable', times: Number.POSITIVE_INFINITY });
  await new Promise((resolve) => setTimeout(resolve, freshMs));
  expect(await tagOf(at, 'x')).toBe(two.digest);
  upstream.heal();
  await upstream.remove(tagKey('a', 'x'), never);
  await expect.poll(() => tagOf(at, 'x'), { timeout: 30_000 }).toBeUndefined();
  await upstream.put(tagKey('a', 'x'), linkBytes(one.digest), never);
  await expect.poll(() => tagOf(at, 'x'), soon).toBe(one.digest);
}, 60_000);

test('a tag that was pushed here and has moved there since follows; one that waits, or was deleted here, does not', async () => {
  const { upstream, at } = await world();
  for (const of of [one, two]) await pushedThere(upstream, 'a', of);
  await push(at.answering, 'a', one, ['x', 'gone']);
  await expect.poll(() => depth(at), soon).toBe(0);
  await upstream.put(tagKey('a', 'x'), linkBytes(two.digest), never);
  await expect.poll(() => tagOf(at, 'x'), soon).toBe(two.digest);
  // And what is written here after that is written there.
  await at.answering.putTag('a', 'x', { digest: one.digest });
  expect(await tagOf(at, 'x')).toBe(one.digest);
  await expect.poll(() => depth(at), soon).toBe(0);
  expect(await tagOf(at, 'x')).toBe(one.digest);
  await at.answering.deleteTag('a', 'gone');
  await expect.poll(() => depth(at), soon).toBe(0);
  await new Promise((resolve) => setTimeout(resolve, freshMs));
  expect(await tagOf(at, 'gone')).toBeUndefined();
  expect(await upstream.stat(tagKey('a', 'gone'), never)).toBeDefined();
  // A tag that was pushed here stays, whatever is removed there.
  await upstream.remove(tagKey('a', 'x'), never);
  await new Promise((resolve) => setTimeout(resolve, freshMs));
  expect(await tagOf(at, 'x')).toBe(one.digest);
}, 60_000);

test('an empty index has all tags of it again by a reconcile, and none of the deletions', async () => {
  const { upstream, at } = await world();
  for (const of of [one, two]) await pushedThere(upstream, 'a', of);
  await push(at.answering, 'a', one, ['x', 'gone']);
  await push(at.answering, 'a', two, ['y']);
  await at.answering.deleteTag('a', 'gone');
  await expect.poll(() => depth(at), soon).toBe(0);
  const backed = backedAsRegistry(upstream, { durability: 'origins', required: false });
  const empty = await site(stack, upstream, { backed });
  const { changes, broken } = await empty.reconcile({ apply: true, keys: 500 }, never);
  const tags = changes.filter(({ kind }) => kind === 'tag').map(({ name }) => name);
  expect({ tags: tags.sort(), broken }).toEqual({ tags: ['gone', 'x', 'y'], broken: [] });
  expect(await empty.store.tags('a', { n: 9 })).toEqual({ tags: ['gone', 'x', 'y'], more: false });
});

test('a push to what is only read stays here, whatever is there', async () => {
  const { upstream, at } = await world(true);
  for (const of of [one, two]) await pushedThere(upstream, 'a', of, 'x');
  await push(at.answering, 'a', one, ['x', 'y']);
  expect(await tagOf(at, 'x')).toBe(one.digest);
  expect(await tagOf(at, 'y')).toBe(one.digest);
  expect(await depth(at)).toBe(0);
  await new Promise((resolve) => setTimeout(resolve, freshMs));
  expect(await tagOf(at, 'x')).toBe(one.digest);
  expect(await tagOf(at, 'y')).toBe(one.digest);
}, 60_000);

test('a repository that the registry does not answer for is left alone, and the others are answered; several in a row are all of it', async () => {
  const { upstream, at } = await world(true);
  await pushedThere(upstream, 'a', one, 'x');
  const ask = (repo: string, tag = 'x') => at.answering.tag(repo, tag);
  const unavailable = { code: 'UNAVAILABLE' };
  upstream.fail({ on: 'any', what: 'unavailable', key: 'bad', times: Number.POSITIVE_INFINITY });
  for (const tag of ['x', 'y', 'z']) await expect(ask('bad', tag)).rejects.toMatchObject(unavailable);
  expect(upstream.count('stat', 'bad')).toBe(1);
  expect((await ask('a'))?.digest).toBe(one.digest);
  for (const repo of ['bad2', 'bad3', 'bad4', 'bad5']) await expect(ask(repo)).rejects.toMatchObject(unavailable);
  expect(upstream.count('stat', 'bad4')).toBe(1);
  expect(upstream.count('stat', 'bad5')).toBe(0);
});
