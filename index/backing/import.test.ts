/** Buckets that Kraken or a registry filled, brought into an index: what is broken, what is nobody's, what stays. */

import { afterEach, describe, expect, test } from 'vitest';
import { type ReconcileReply, type ReconcileStep, reconcileKeysMax } from '../../core/contracts/reconcile.ts';
import type { Backend } from '../../platform/backends/backend.ts';
import { FaultyBackend } from '../../platform/backends/faulty.fixtures.ts';
import { chosenKeys } from '../../platform/backends/keys.ts';
import type { KeyLayout } from '../../platform/backends/layout.ts';
import { MemoryBackend } from '../../platform/backends/memory.ts';
import { sourceOf } from '../../platform/backends/objects.fixtures.ts';
import { linkBytes } from './records.ts';
import { depth, digestOfBytes, type Image, image, imageIndex, push, type Site, site } from './testing.fixtures.ts';

let stack = new AsyncDisposableStack();
afterEach(async () => {
  await stack.disposeAsync();
  stack = new AsyncDisposableStack();
});

const never = new AbortController().signal;
const soon = { timeout: 20_000 };
const [one, two, three] = [image('one'), image('two'), image('three')];
const both = imageIndex([one, two]);
const layouts = { identity: 'identity', docker_tag: { tags: 'docker_tag' }, registry: 'registry' } as const;
const named = (name: keyof typeof layouts): KeyLayout => {
  const { blobs, links } = chosenKeys(layouts[name]);
  return { ...blobs, links };
};
const registry = named('registry');

async function hold(backend: Backend, layout: KeyLayout, images: readonly Image[]): Promise<void> {
  for (const { blobs, bytes } of images)
    for (const blob of [...blobs, bytes])
      await backend.write(layout.blobKey(digestOfBytes(blob)), sourceOf(blob), never);
}

async function tag(backend: Backend, layout: KeyLayout, at: string, { digest }: Pick<Image, 'digest'>): Promise<void> {
  const [repo = '', name = ''] = at.split(':');
  await backend.put(layout.links.linkKey({ repo, kind: 'tag', name }) as string, linkBytes(digest), never);
}

async function filled(layout: KeyLayout, tags: Readonly<Record<string, Image>>, more: readonly Image[] = []) {
  const backend = stack.use(new FaultyBackend(new MemoryBackend('main')));
  await hold(backend, layout, [...Object.values(tags), ...more]);
  for (const [at, of] of Object.entries(tags)) await tag(backend, layout, at, of);
  return backend;
}

type Sums = {
  changes: string[];
  broken: string[];
  foreign: string[];
  refused: unknown[];
  looked: number;
  tags: number;
};

/** All steps, of `keys` each. */
async function imported(to: Site, asked: Partial<ReconcileStep> & { overwrite?: boolean } = {}): Promise<Sums> {
  const sums: Sums = { changes: [], broken: [], foreign: [], refused: [], looked: 0, tags: 0 };
  const { overwrite = false, ...more } = asked;
  let from = asked.from;
  do {
    const step = { apply: true, keys: reconcileKeysMax, import: { backend: 'main', overwrite }, ...more, from };
    const reply: ReconcileReply = await to.reconcile(step, never);
    sums.changes.push(...reply.changes.map(({ kind, repo, name, how }) => `${kind} ${repo}:${name} ${how}`));
    sums.broken.push(...reply.broken.map(({ kind, name, why }) => `${kind} ${name}: ${why}`));
    sums.foreign.push(...(reply.foreign?.names ?? []));
    sums.refused.push(...(reply.refused ?? []));
    sums.looked += reply.looked;
    sums.tags += reply.tags ?? 0;
    from = reply.next;
  } while (from !== undefined);
  return sums;
}

const keysOf = async (backend: Backend): Promise<string[]> =>
  (await backend.list('', { max: 1000 }, never)).objects.map(({ key }) => key);

describe.each(Object.keys(layouts) as (keyof typeof layouts)[])('%s', (name) => {
  const layout = named(name);

  test.each([1, 4, 500])('%i keys at a time: a dry run says what comes, and nothing is written there', async (keys) => {
    const backend = await filled(layout, { 'a:x': both, 'a:y': three, 'a/b:z': one }, [one, two]);
    const before = await keysOf(backend);
    const a = await site(stack, backend, { layout, shared: true });
    const dry = await imported(a, { apply: false, keys });
    expect(await a.store.catalog({ n: 9 })).toEqual({ repositories: [], more: false });
    const done = await imported(a, { keys });
    expect(done).toEqual(dry);
    expect(done).toMatchObject({ broken: [], foreign: [], refused: [], looked: before.length, tags: 3 });
    expect(done.changes.toSorted()).toEqual(['tag a/b:z added', 'tag a:x added', 'tag a:y added']);
    for (const { digest, blobs } of [one, two, both]) {
      expect(await a.store.manifest('a', digest)).toBeDefined();
      for (const blob of blobs) expect(await a.store.blob('a', digestOfBytes(blob))).toBeDefined();
    }
    expect(await a.store.tags('a', { n: 9 })).toEqual({ tags: ['x', 'y'], more: false });
    // Again: nothing is left to do.
    expect(await imported(a, { keys })).toEqual({ ...done, changes: [] });
    expect([await depth(a), await keysOf(backend)]).toEqual([0, before]);
  });

  test('tags without manifests, manifests without layers or with shorter ones, are named and left out', async () => {
    const tags = { 'a:gone': one, 'a:fine': two, 'a:holed': three, 'a:cut': image('four'), 'a:all': both };
    const backend = await filled(layout, tags);
    await backend.remove(layout.blobKey(one.digest), never);
    await backend.remove(layout.blobKey(digestOfBytes(three.blobs[1] as Buffer)), never);
    const short = layout.blobKey(digestOfBytes(image('four').blobs[1] as Buffer));
    await backend.put(short, Buffer.from('short'), never);
    const a = await site(stack, backend, { layout, shared: true });
    const [dry, done] = [await imported(a, { apply: false }), await imported(a)];
    expect(done).toEqual(dry);
    expect(done.broken.toSorted()).toEqual([
      expect.stringMatching(/^tag all: main: .*, one of its manifests, is not there: push it again$/),
      expect.stringContaining(`tag cut: main: ${short} has 5 bytes, not the 13 that a manifest says: push its image`),
      expect.stringContaining(`tag gone: main: ${layout.blobKey(one.digest)} is not there: the bytes of the manifest`),
      expect.stringMatching(/^tag holed: main: .* is not there: push its image again, or bring the object back$/),
    ]);
    // The index lacks one of its images only: it came, and is told all the same.
    expect(done.changes.toSorted()).toEqual(['tag a:all added', 'tag a:fine added']);
    expect((await imported(a)).broken.toSorted()).toEqual(done.broken.toSorted());
    await hold(backend, layout, [one, three, image('four')]);
    expect(await imported(a)).toMatchObject({ broken: [] });
    expect((await a.store.tags('a', { n: 9 }))?.tags).toEqual(['all', 'cut', 'fine', 'gone', 'holed']);
  });

  test('tags that are here stay, unless they are to be overwritten; what came from there follows it', async () => {
    const backend = await filled(layout, { 'a:x': one, 'a:y': one });
    const a = await site(stack, backend, { layout, shared: true });
    await imported(a);
    await hold(backend, layout, [two, three]);
    await push(a.answering, 'a', three, ['x']);
    await expect.poll(() => depth(a), soon).toBe(0);
    for (const at of ['a:x', 'a:y']) await tag(backend, layout, at, two);
    // Kraken knows nothing of our records; ours is the later word on x.
    const kept = (await imported(a)).changes.filter((change) => change.startsWith('tag'));
    expect(kept).toEqual(['tag a:y moved']);
    expect((await a.store.tag('a', 'x'))?.digest).toBe(three.digest);
  });
});

test('overwritten, a tag here is what the source says, as a write of its own; once', async () => {
  const backend = await filled(registry, { 'a:x': one, 'a:y': one });
  // What was pushed here has not got there, and will not while the source has another word for it.
  const a = await site(stack, backend, { layout: registry, shared: true });
  await imported(a);
  backend.fail({ on: 'put', what: 'unavailable', times: Number.POSITIVE_INFINITY });
  await hold(backend, registry, [three]);
  await push(a.answering, 'a', three, ['x']);
  const same = await imported(a);
  expect(same.changes).toEqual([]);
  expect(await imported(a, { overwrite: true, apply: false })).toMatchObject({ changes: ['tag a:x moved'] });
  expect((await a.store.tag('a', 'x'))?.digest).toBe(three.digest);
  expect((await imported(a, { overwrite: true })).changes).toEqual(['tag a:x moved']);
  expect((await a.store.tag('a', 'x'))?.digest).toBe(one.digest);
  expect((await imported(a, { overwrite: true })).changes).toEqual([]);
  backend.heal();
  await expect.poll(() => depth(a), soon).toBe(0);
  expect((await imported(a)).changes).toEqual([]);
});

test('what no scheme made is counted and named, what a registry or we keep beside is not; only of one repository, nothing', async () => {
  const backend = await filled(registry, { 'a:x': one });
  const root = 'docker/registry/v2/repositories/a';
  const hex = one.digest.slice('sha256:'.length);
  for (const key of [
    `${root}/_manifests/tags/x/index/sha256/${hex}/link`,
    `${root}/_uploads/7/startedat`,
    '_shoal/probe',
    '.shoal/x',
  ])
    await backend.put(key, Buffer.from('x'), never);
  const odd = ['README.md', 'a:v1', `docker/registry/v2/blobs/sha256/00/${hex}/data`, `${root}/_other/x`];
  for (const key of odd) await backend.put(key, Buffer.from('x'), never);
  const a = await site(stack, backend, { layout: registry, shared: true });
  const found = await imported(a, { apply: false });
  expect(found.foreign.toSorted()).toEqual(odd.toSorted());
  expect(found.changes).toEqual(['tag a:x added']);
  expect((await imported(a, { repositories: 'a' })).foreign).toEqual([`${root}/_other/x`]);
});

test('10,001 objects of which no scheme made one: that one is named, all tags come', { timeout: 120_000 }, async () => {
  const layout = named('identity');
  const backend = await filled(layout, { 'a/0:v0': one });
  const { objects } = await backend.list('', { max: 9 }, never);
  for (let no = 1; no < 10_001 - objects.length; no++) await tag(backend, layout, `a/${no % 97}:v${no}`, one);
  await backend.put('a/50:v1:odd', Buffer.from('x'), never);
  const a = await site(stack, backend, { layout, shared: true });
  const tags = 10_000 - one.blobs.length - 1;
  for (const apply of [false, true]) {
    const { changes, ...more } = await imported(a, { apply });
    expect(more).toEqual({ looked: 10_001, tags, broken: [], refused: [], foreign: ['a/50:v1:odd'] });
    expect(changes).toHaveLength(tags);
  }
  expect((await a.store.catalog({ n: 1000 })).repositories).toHaveLength(97);
});

test('an index of 5,000 manifests that are not there costs no request for each of them, and is told', async () => {
  const layout = named('identity');
  const manifests = Array.from({ length: 5_000 }, (_, no) => image(`absent ${no}`));
  const backend = await filled(layout, { 'a:x': one, 'a:vast': imageIndex([one, ...manifests, two]) });
  const a = await site(stack, backend, { layout, shared: true });
  const { changes, broken } = await imported(a);
  expect(changes.toSorted()).toEqual(['tag a:vast added', 'tag a:x added']);
  expect(broken).toEqual([
    expect.stringMatching(/^tag vast: .* \(and 99 more; what it names beyond was not looked for\)$/),
  ]);
  expect(backend.calls.length).toBeLessThan(250);
  // What was not looked for is had by whoever asks for it.
  await hold(backend, layout, [two]);
  expect(await a.answering.manifest('a', two.digest)).toMatchObject({ digest: two.digest });
});

test('what the list has just told is not asked for: two requests for a tag, beside the pages', async () => {
  const tags = Object.fromEntries(Array.from({ length: 40 }, (_, no) => [`a:v${no}`, image(`image ${no}`)]));
  const backend = await filled(registry, tags);
  const a = await site(stack, backend, { layout: registry, shared: true });
  expect((await imported(a)).changes).toHaveLength(40);
  const per = (['stat', 'read', 'list'] as const).map((operation) => backend.count(operation) / 40);
  expect(per).toEqual([0, 2, 2 / 40]);
});

test('a repository that rests elsewhere by the rules is refused, and named; a pattern takes a part', async () => {
  const backend = await filled(registry, { 'a:x': one, 'b:x': one, 'c/d:x': one });
  const a = await site(stack, backend, { layout: registry, shared: true, patterns: ['a', 'c/**'] });
  expect(await imported(a, { repositories: 'c/*' })).toMatchObject({ changes: ['tag c/d:x added'], refused: [] });
  expect(await imported(a)).toMatchObject({ changes: ['tag a:x added'], refused: [{ repo: 'b' }] });
});

test('asked for what cannot be: another backend, a place of another import, a rule that does not say `shared`', async () => {
  const backend = await filled(registry, { 'a:x': one });
  const a = await site(stack, backend, { layout: registry });
  const step = (more: Partial<ReconcileStep>) =>
    a.reconcile({ apply: true, keys: 9, import: { backend: 'main', overwrite: false }, ...more }, never);
  const refused = (text: string) => ({ code: 'REQUEST_INVALID', message: expect.stringContaining(text) });
  await expect(step({})).rejects.toMatchObject(refused('say in the rule main whether others write there as well'));
  expect((await step({ apply: false })).changes).toHaveLength(1);
  await expect(step({ import: { backend: 'x', overwrite: false } })).rejects.toMatchObject(refused('one of main'));
  await expect(step({ from: 'other:x', apply: false })).rejects.toMatchObject(refused('begin anew'));
});

test('a backend that fails fails the step, which may be made again', async () => {
  const backend = await filled(registry, { 'a:x': one, 'a:y': two });
  const a = await site(stack, backend, { layout: registry, shared: true });
  backend.fail({ on: 'read', what: 'unavailable', times: Number.POSITIVE_INFINITY });
  await expect(imported(a)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  backend.heal();
  expect((await imported(a)).changes.length).toBeGreaterThan(0);
  expect((await a.store.tags('a', { n: 9 }))?.tags).toEqual(['x', 'y']);
});
