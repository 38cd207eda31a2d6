/** What is deleted here by its digest, at a registry: it goes with all that named it, and nothing that is needed there. */

import { afterEach, expect, test } from 'vitest';
import { MEDIA } from '../../core/oci/media.ts';
import { FakeRegistry } from '../../platform/backends/registry/fake.fixtures.ts';
import { type Image, image, imageIndex } from '../backing/testing.fixtures.ts';
import { follower } from './testing.fixtures.ts';

let stack = new AsyncDisposableStack();
afterEach(async () => {
  await stack.disposeAsync();
  stack = new AsyncDisposableStack();
});

const soon = { timeout: 40_000, interval: 20 };
const [one, two] = [image('one'), image('two')];
const signed = (of: Image): Image =>
  image(`of ${of.digest}`, {
    subject: { mediaType: MEDIA.ociManifest, digest: of.digest, size: of.bytes.length },
    artifactType: 'application/vnd.example.signature',
  });

async function world(deletes = true) {
  const hub = stack.use(await FakeRegistry.start());
  const remotes = { hub: { url: hub.url, kind: 'registry', stall: '1s' } };
  const at = await follower(stack, { remotes, rules: [{ to: 'hub', deletes }] });
  const done = () => expect.poll(() => at.depth(), soon).toBe(0);
  return { hub, at, done, there: hub.repo('a') };
}

const put = (there: Awaited<ReturnType<typeof world>>['there'], tag: string, of: Image): void => {
  there.manifests.set(of.digest, Buffer.from(of.bytes));
  there.tags.set(tag, of.digest);
};

test.each([true, false])('an image with its tags, where the registry deletes tags: %s', async (deletesTags) => {
  const { hub, at, done, there } = await world();
  hub.deletesTags = deletesTags;
  await at.push('a', one, ['1', 'latest']);
  await at.push('a', two, ['2']);
  await done();
  await at.store.deleteManifest('a', one.digest, Date.now());
  await done();
  expect([...there.tags.keys()]).toEqual(['2']);
  expect([...there.manifests.keys()]).toEqual([two.digest]);
});

test('a signature, which is then listed no more by its subject', async () => {
  const { at, done, there } = await world();
  const signature = signed(one);
  await at.push('a', one, ['1']);
  await at.push('a', signature);
  await done();
  const listed = () => JSON.parse(String(there.manifests.get(there.tags.get(one.digest.replace(':', '-')) ?? '')));
  expect(listed().manifests).toMatchObject([{ digest: signature.digest }]);
  await at.store.deleteManifest('a', signature.digest, Date.now());
  await done();
  expect(listed().manifests).toEqual([]);
  expect(there.manifests.has(signature.digest)).toBe(false);
  expect(there.tags.get('1')).toBe(one.digest);
});

test('what the registry has under a tag of its own, or in an index of its own, stays', async () => {
  const { at, done, there } = await world();
  for (const of of [one, two]) await at.push('a', of, [of === one ? '1' : '2']);
  await done();
  put(there, 'theirs', one);
  put(there, 'platforms', imageIndex([two]));
  for (const of of [one, two]) await at.store.deleteManifest('a', of.digest, Date.now());
  await done();
  expect([...there.tags.keys()].sort()).toEqual(['platforms', 'theirs']);
  for (const of of [one, two]) expect(there.manifests.has(of.digest)).toBe(true);
  expect(await at.told('shoal_replications_total{remote="hub",how="needed"}')).toBe(2);
});

test('an index and its images, deleted at once: all of them go', async () => {
  const { at, done, there } = await world();
  const all = imageIndex([one, two]);
  for (const of of [one, two]) await at.push('a', of);
  await at.push('a', all, ['1']);
  await done();
  for (const of of [all, one, two]) await at.store.deleteManifest('a', of.digest, Date.now());
  await done();
  expect([[...there.tags.keys()], [...there.manifests.keys()]]).toEqual([[], []]);
});

test('pushed again before it was deleted there, it stays; without `deletes` nothing goes', async () => {
  const { hub, at, done, there } = await world();
  await at.push('a', one, ['1']);
  await done();
  hub.misdeed = () => ({ status: 503 });
  await at.store.deleteManifest('a', one.digest, Date.now());
  await at.push('a', one, ['2']);
  hub.misdeed = () => undefined;
  at.lanes.get('remote:hub')?.wake();
  await done();
  expect([[...there.tags.keys()], there.manifests.has(one.digest)]).toEqual([['2'], true]);
  const kept = await world(false);
  await kept.at.push('a', one, ['1']);
  await kept.done();
  await kept.at.store.deleteManifest('a', one.digest, Date.now());
  await kept.done();
  expect(kept.there.tags.get('1')).toBe(one.digest);
});
