/** What is pinned, by the index as it is and as it was, and what no want of room takes because of it. */

import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { ApiError } from '../../../core/contracts/errors.ts';
import { pinsMax } from '../../../core/contracts/pins.ts';
import { type Digest, digestOf } from '../../../core/digest.ts';
import { MEDIA } from '../../../core/oci/media.ts';
import { unitBytes } from '../../../core/piece.ts';
import { bytesOnDisk } from '../../store/layout.ts';
import { type Blob, blobOf, TestStores } from '../../store/store.fixtures.ts';
import { silentLog } from '../../telemetry/log.ts';
import { closureOf } from './closure.ts';
import type { FetchPinned } from './fetching.ts';
import { PinSet, Pins, type PinsIndex, pinnedMax } from './pins.ts';

const stores = new TestStores();
let open: Pins[] = [];
beforeAll(() => stores.start());
afterEach(async () => {
  for (const pins of open) await pins[Symbol.asyncDispose]();
  open = [];
  await stores.after();
});
afterAll(() => stores.stop());

const eventually = { timeout: 60_000, interval: 20 };
const [a, b, c, d] = [1, 2, 3, 4].map((seed) => blobOf(2 * unitBytes, seed)) as [Blob, Blob, Blob, Blob];

/** Manifests by digest, tags by `repo:tag`. */
class Images {
  readonly manifests = new Map<Digest, Uint8Array>();
  readonly tags = new Map<string, Digest>();
  away = false;

  #put(value: object): { mediaType: string; digest: Digest; size: number } {
    const bytes = Buffer.from(JSON.stringify(value));
    const digest = digestOf('sha256', createHash('sha256').update(bytes).digest('hex'));
    this.manifests.set(digest, bytes);
    return { mediaType: (value as { mediaType: string }).mediaType, digest, size: bytes.length };
  }

  image(...blobs: Blob[]) {
    const [config, ...layers] = blobs.map(({ digest, meta }) => ({
      mediaType: MEDIA.ociLayer,
      digest,
      size: meta.length,
    }));
    return this.#put({ schemaVersion: 2, mediaType: MEDIA.ociManifest, config, layers });
  }

  list(manifests: readonly object[]) {
    return this.#put({ schemaVersion: 2, mediaType: MEDIA.ociIndex, manifests });
  }

  readonly read = async (_repo: string, { digest }: { digest: Digest }): Promise<Uint8Array> => {
    const bytes = this.manifests.get(digest);
    if (bytes === undefined) throw new ApiError('BLOB_UNKNOWN', `no origin holds ${digest}`);
    return bytes;
  };

  readonly index: PinsIndex = {
    tag: async (repo, tag) => {
      if (this.away) throw new ApiError('UNAVAILABLE', 'no index answers');
      const digest = this.tags.get(`${repo}:${tag}`);
      return digest && { digest, mediaType: '', size: this.manifests.get(digest)?.length ?? 0 };
    },
    catalog: async ({ last }) => {
      const repositories = [...new Set([...this.tags.keys()].map((name) => name.split(':')[0] as string))].toSorted();
      const next = repositories.find((name) => last === undefined || name > last);
      return { repositories: next === undefined ? [] : [next], more: next !== undefined };
    },
    tags: async (repo) => {
      const names = [...this.tags.keys()].filter((name) => name.startsWith(`${repo}:`));
      return { tags: names.map((name) => name.split(':')[1] as string), more: false };
    },
  };
}

function begin(
  images: Images,
  pins: readonly string[],
  o: { dir: string; here?: readonly Blob[]; budgetBytes?: number; fetch?: FetchPinned },
) {
  const set = new PinSet(pins);
  const here = (digest: Digest) => [...(o.here ?? [])].find((blob) => blob.digest === digest)?.meta.length;
  const { index, read } = images;
  const parts = { index, read, here, architecture: 'amd64', log: silentLog(), lookMs: 10, configured: pins };
  const one = new Pins(set, { budgetBytes: 1e9, ...o, ...parts, here });
  open.push(one);
  return { set, pins: one };
}

async function directory(): Promise<string> {
  const dir = stores.directory();
  await stores.open(dir);
  return dir;
}

test('an image is its manifest, config and layers; of an index, for one platform', async () => {
  const images = new Images();
  const [ours, theirs] = [images.image(a, b), images.image(a, c)];
  const platform = (architecture: string) => ({ platform: { os: 'linux', architecture } });
  const root = images.list([
    { ...ours, ...platform('amd64') },
    { ...theirs, ...platform('arm64') },
  ]);
  const digests = async (architecture: string | undefined) =>
    (await closureOf({ repo: 'x', root, architecture }, images.read)).map(({ digest }) => digest).toSorted();
  const mine = [root.digest, ours.digest, a.digest, b.digest];
  expect(await digests('amd64')).toEqual(mine.toSorted());
  expect(await digests(undefined)).toEqual([...mine, theirs.digest, c.digest].toSorted());
});

test('a tag, a pattern and a digest are pinned; each says whether all of it is here, and what lacks', async () => {
  const images = new Images();
  const image = images.image(a, b);
  images.tags.set('library/app:1', image.digest);
  images.tags.set('tools/x:1', images.image(c, a).digest);
  images.tags.set('tools/y/z:1', images.image(d, a).digest);
  const { set, pins } = begin(images, ['library/app:1', 'tools/*', d.digest], { dir: await directory(), here: [a, d] });
  await vi.waitFor(() => expect([b, c].map(({ digest }) => set.has(digest))).toEqual([true, true]), eventually);
  const [app, tools, one] = pins.status();
  expect(app).toEqual({
    ...{ pin: 'library/app:1', complete: false, blobs: 3, bytes: image.size + 4 * unitBytes },
    ...{ lacking: 2, lackingBytes: image.size + 2 * unitBytes },
  });
  expect(tools).toMatchObject({ blobs: 3, complete: false });
  expect(one).toEqual({ pin: d.digest, complete: true, blobs: 1, bytes: 2 * unitBytes, lacking: 0, lackingBytes: 0 });
  expect(pins.problems()).toEqual([]);
});

test('a tag that is written anew pins its new image; a deleted one, or an index that is away, what was found last', async () => {
  const images = new Images();
  images.tags.set('library/app:1', images.image(a, b).digest);
  const dir = await directory();
  const { set, pins } = begin(images, ['library/app:1'], { dir });
  await vi.waitFor(() => expect(set.has(b.digest)).toBe(true), eventually);
  images.tags.set('library/app:1', images.image(a, c).digest);
  await vi.waitFor(() => expect([set.has(b.digest), set.has(c.digest)]).toEqual([false, true]), eventually);
  images.tags.clear();
  await vi.waitFor(() => expect(pins.status()[0]?.problem).toContain('there is no library/app:1'), eventually);
  images.away = true;
  await vi.waitFor(() => expect(pins.status()[0]?.problem).toContain('no index answers'), eventually);
  expect(set.has(c.digest)).toBe(true);
  await pins[Symbol.asyncDispose]();
  // A restart, and the index is still away.
  const again = begin(images, ['library/app:1'], { dir });
  await vi.waitFor(() => expect(again.set.has(c.digest)).toBe(true), eventually);
  expect(again.pins.status()[0]).toMatchObject({ complete: false });
});

test('pins that do not fit in the budget are said to; too many blobs are not taken', async () => {
  const images = new Images();
  images.tags.set('library/app:1', images.image(a, b).digest);
  const many = Array.from({ length: pinnedMax + 1 }, (_, n) => ({
    ...a,
    digest: `sha256:${n.toString(16).padStart(64, '0')}` as Digest,
  }));
  images.tags.set('library/huge:1', images.image(...many).digest);
  const { set, pins } = begin(images, ['library/app:1', 'library/huge:1'], {
    dir: await directory(),
    budgetBytes: 3 * unitBytes,
  });
  await vi.waitFor(() => expect(set.has(b.digest)).toBe(true), eventually);
  await vi.waitFor(() => expect(pins.status()[1]?.problem).toContain(`more than ${pinnedMax} blobs`), eventually);
  expect([pins.status()[1]?.blobs, set.has(many[7]?.digest as Digest)]).toEqual([0, false]);
  expect(pins.problems()).toEqual([expect.stringContaining('more than the budget')]);
});

test('neither want of room nor age takes what is pinned; when nothing else can go a pull passes through', async () => {
  const set = new PinSet([a.digest]);
  const budgetBytes = 2 * bytesOnDisk(a.meta) + 10;
  const stays = (digest: Digest): boolean => set.has(digest);
  const store = await stores.open(stores.directory(), { budgetBytes, stays, eviction: { ttiMs: 1 } });
  for (const blob of [a, b, c]) await stores.pull(store, blob);
  expect([a, b, c].map(({ digest }) => store.get(digest) !== undefined)).toEqual([true, false, true]);
  await store.room.letGo([a.digest, c.digest]);
  expect([a, c].map(({ digest }) => store.get(digest) !== undefined)).toEqual([true, false]);
  const both = new PinSet([a.digest, b.digest]);
  const full = await stores.open(stores.directory(), { budgetBytes, stays: (digest) => both.has(digest) });
  for (const blob of [a, b]) await stores.pull(full, blob);
  expect((await full.create(d.digest, d.meta, d.hashes)).window).toBeDefined();
  expect([a, b].map(({ digest }) => full.get(digest)?.complete)).toEqual([true, true]);
});

test('pins are added to a running process and removed, over restarts; those of the configuration are not', async () => {
  const images = new Images();
  images.tags.set('library/app:1', images.image(a, b).digest);
  const dir = await directory();
  const { set, pins } = begin(images, [d.digest], { dir });
  await expect(pins.add('no pin!')).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
  await pins.add('library/app:1');
  await pins.add('library/app:1');
  await vi.waitFor(() => expect(set.has(b.digest)).toBe(true), eventually);
  await pins.add(c.digest);
  expect(set.has(c.digest)).toBe(true);
  await expect(pins.remove(d.digest)).rejects.toThrow('is of the configuration: remove it there');
  await expect(pins.remove('library/other:1')).rejects.toThrow('is no pin here');
  await pins[Symbol.asyncDispose]();
  const again = begin(images, [], { dir });
  await vi.waitFor(
    () => expect([b, c, d].map(({ digest }) => again.set.has(digest))).toEqual([true, true, false]),
    eventually,
  );
  await again.pins.remove('library/app:1');
  expect([again.set.has(b.digest), again.pins.status().map(({ pin }) => pin)]).toEqual([false, [c.digest]]);
  await again.pins[Symbol.asyncDispose]();
  const last = begin(images, [], { dir });
  await vi.waitFor(() => expect(last.pins.status().map(({ pin }) => pin)).toEqual([c.digest]), eventually);
  const many = Array.from({ length: pinsMax }, (_, no) => `library/app:${no}`);
  const full = begin(images, many, { dir: await directory() });
  await expect(full.pins.add('library/app:one-more')).rejects.toThrow(`there are ${pinsMax} pins already`);
});

test('a file of pins that is damaged is told and costs the pins that were added, and no start', async () => {
  const dir = await directory();
  writeFileSync(join(dir, 'pins-added'), '{"not": "a list"');
  const { pins } = begin(new Images(), [d.digest], { dir });
  await pins.add(c.digest);
  expect(pins.status().map(({ pin }) => pin)).toEqual([d.digest, c.digest]);
  expect(JSON.parse(readFileSync(join(dir, 'pins-added'), 'utf8'))).toEqual([c.digest]);
});

test('what lacks of an image is fetched, also of a tag that is written anew; no pattern is, and nothing that does not fit', async () => {
  const images = new Images();
  const first = images.image(a, b);
  images.tags.set('library/app:1', first.digest);
  images.tags.set('tools/x:1', images.image(d, a).digest);
  const here: Blob[] = [a];
  const all = [a, b, c, d];
  const fetched: string[] = [];
  const fetch: FetchPinned = async ({ digest, repo }) => {
    if (fetched.length === 0) fetched.push('fails first');
    else fetched.push(`${repo} ${digest}`);
    if (fetched.length === 1) throw new Error('nobody answers');
    const bytes = images.manifests.get(digest);
    here.push(
      all.find((blob) => blob.digest === digest) ?? { ...a, digest, meta: { ...a.meta, length: bytes?.length ?? 0 } },
    );
  };
  const { pins } = begin(images, ['library/app:1', 'tools/*'], { dir: await directory(), here, fetch });
  await vi.waitFor(() => expect(pins.status()[0]).toMatchObject({ complete: true }), eventually);
  const second = images.image(c);
  images.tags.set('library/app:1', second.digest);
  await vi.waitFor(() => expect(fetched).toContain(`library/app ${c.digest}`), eventually);
  expect(fetched).toContain(`library/app ${second.digest}`);
  expect(fetched.some((line) => line.includes(d.digest) || line.includes(a.digest))).toBe(false);
  const small = begin(images, ['library/app:1'], { dir: await directory(), budgetBytes: 1_000, fetch });
  fetched.length = 0;
  await vi.waitFor(() => expect(small.pins.problems()).toHaveLength(1), eventually);
  expect(fetched).toEqual([]);
});
