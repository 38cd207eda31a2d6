/** Buckets as others left them, read without any import: Kraken's, in either of its layouts, and a registry's. */

import { afterEach, describe, expect, test } from 'vitest';
import type { Digest } from '../../core/digest.ts';
import { chosenKeys } from '../../platform/backends/keys.ts';
import type { KeyLayout } from '../../platform/backends/layout.ts';
import { MemoryBackend } from '../../platform/backends/memory.ts';
import { sourceOf } from '../../platform/backends/objects.fixtures.ts';
import { linkBytes } from './records.ts';
import { depth, digestOfBytes, type Image, image, imageIndex, push, site } from './testing.fixtures.ts';

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

function layoutOf(name: keyof typeof layouts): KeyLayout {
  const { blobs, links } = chosenKeys(layouts[name]);
  return { ...blobs, links };
}

/** As Kraken fills it: blobs and tags, and nothing else. */
async function filled(layout: KeyLayout, tags: Readonly<Record<string, Image>>, more: readonly Image[] = []) {
  const backend = stack.use(new MemoryBackend('main'));
  for (const { blobs, bytes } of [...Object.values(tags), ...more])
    for (const blob of [...blobs, bytes])
      await backend.write(layout.blobKey(digestOfBytes(blob)), sourceOf(blob), never);
  for (const [name, { digest }] of Object.entries(tags)) {
    const key = layout.links.linkKey({ repo: 'a', kind: 'tag', name }) as string;
    await backend.put(key, linkBytes(digest), never);
  }
  return backend;
}

async function keysOf(backend: MemoryBackend): Promise<string[]> {
  return (await backend.list('', { max: 1000 }, never)).objects.map(({ key }) => key);
}

describe.each(Object.keys(layouts) as (keyof typeof layouts)[])('%s', (name) => {
  const layout = layoutOf(name);

  test('a tag counts, though nothing links to its manifest; so do the manifests of an index', async () => {
    const backend = await filled(layout, { x: both, y: three }, [one, two]);
    const before = await keysOf(backend);
    const a = await site(stack, backend, { layout });
    expect(await a.answering.tag('a', 'y')).toMatchObject({ digest: three.digest, size: three.bytes.length });
    expect((await a.answering.tag('a', 'x'))?.digest).toBe(both.digest);
    for (const { digest, bytes } of [both, one, two])
      expect(await a.answering.manifest('a', digest)).toMatchObject({ size: bytes.length });
    expect(await a.answering.blob('a', digestOfBytes(one.blobs[0] as Buffer))).toBeDefined();
    expect(await keysOf(backend)).toEqual(before);
  });

  test('a manifest by its digest alone: as Kraken has it where there are no links, by its link where there are', async () => {
    const backend = await filled(layout, { y: three }, [one]);
    const a = await site(stack, backend, { layout });
    const found = await a.answering.manifest('a', one.digest);
    if (name === 'registry') expect(found).toBeUndefined();
    else expect(found).toMatchObject({ size: one.bytes.length });
    // A layer is no manifest, and what is nowhere is not there: both are 404, not 503.
    expect(await a.answering.manifest('a', digestOfBytes(one.blobs[1] as Buffer))).toBeUndefined();
    expect(await a.answering.manifest('a', `sha256:${'0'.repeat(64)}` as Digest)).toBeUndefined();
  });

  test('an index lacks one of its manifests: that one is not there, the others are', async () => {
    const backend = await filled(layout, { x: both }, [one]);
    const a = await site(stack, backend, { layout });
    expect((await a.answering.tag('a', 'x'))?.digest).toBe(both.digest);
    expect(await a.answering.manifest('a', one.digest)).toBeDefined();
    expect(await a.answering.manifest('a', two.digest)).toBeUndefined();
  });

  test('a tag without its manifest, and a manifest of other bytes, are errors with the key', async () => {
    const backend = await filled(layout, { x: one, y: two });
    await backend.remove(layout.blobKey(one.digest), never);
    await backend.put(layout.blobKey(two.digest), two.bytes.subarray(1), never);
    const a = await site(stack, backend, { layout });
    await expect(a.answering.tag('a', 'x')).rejects.toThrow(
      `main: ${layout.blobKey(one.digest)} is not there: the bytes of the manifest were not written back: push it again`,
    );
    await expect(a.answering.tag('a', 'y')).rejects.toThrow(`main: ${layout.blobKey(two.digest)} has other bytes`);
  });

  test('a push writes what its owner would, and records of ours', async () => {
    const backend = await filled(layout, { y: three });
    const before = await keysOf(backend);
    const a = await site(stack, backend, { layout });
    for (const blob of [...one.blobs, one.bytes])
      await backend.write(layout.blobKey(digestOfBytes(blob)), sourceOf(blob), never);
    await push(a.answering, 'a', one, ['y', 'z']);
    await expect.poll(() => depth(a), soon).toBe(0);
    await a.answering.deleteTag('a', 'z');
    await expect.poll(() => depth(a), soon).toBe(0);
    const added = (await keysOf(backend)).filter((key) => !before.includes(key));
    const written = added.filter((key) => !key.includes('_shoal/') && layout.digestOf(key) === undefined);
    const tag = layout.links.linkKey({ repo: 'a', kind: 'tag', name: 'z' }) as string;
    const revision = { repo: 'a', kind: 'manifest', name: one.digest } as const;
    const layers = one.blobs.map((blob) => ({ repo: 'a', kind: 'blob', name: digestOfBytes(blob) }) as const);
    const links = [revision, ...layers].flatMap((of) => layout.links.linkKey(of) ?? []);
    expect(written.toSorted()).toEqual([tag, ...links].toSorted());
    expect(links.length).toBe(name === 'registry' ? 3 : 0);
    expect(before.every((key) => !key.includes('_shoal/'))).toBe(true);
    // Another index on an empty disk has all of it: the tag, its deletion, the blobs.
    const b = await site(stack, backend, { layout });
    await b.reconcile({ apply: true, keys: 500 }, never);
    expect((await b.store.tag('a', 'y'))?.digest).toBe(one.digest);
    expect(await b.store.tagState('a', 'z')).toEqual(await a.store.tagState('a', 'z'));
    for (const blob of one.blobs) expect(await b.store.blob('a', digestOfBytes(blob))).toBeDefined();
  });
});
