/** A registry as a backend, against one in memory: blobs, manifests, tags, lists, uploads that are cut, and what it may get wrong. */

import { createHash, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { type Digest, parseDigest } from '../../../core/digest.ts';
import type { Backend, ObjectSource } from '../backend.ts';
import { blobsConformance, tagsConformance } from '../conformance.fixtures.ts';
import { bytesOf, never, sourceOf } from '../objects.fixtures.ts';
import { FakeRegistry } from './fake.fixtures.ts';
import { manifestKey, registryKeys, tagKey } from './layout.ts';
import type { RegistryBackend } from './registry.ts';

let stack = new AsyncDisposableStack();
afterEach(async () => {
  await stack.disposeAsync();
  stack = new AsyncDisposableStack();
});

const digestOfBytes = (bytes: Uint8Array): Digest =>
  parseDigest(`sha256:${createHash('sha256').update(bytes).digest('hex')}`) as Digest;
const { blobKey } = registryKeys;

async function world(settings: object = {}, stallMs?: number) {
  const fake = stack.use(await FakeRegistry.start());
  return { fake, backend: stack.use(fake.backend(settings, stallMs)) };
}

/** Blobs of an image written as origins write them, its manifest among them; then its link. */
async function pushed(backend: Backend, repo: string, n = 1, link = true): Promise<{ digest: Digest; bytes: Buffer }> {
  const blobs = [Buffer.from(`{"n":${n}}`), Buffer.from(`layer ${n}`)];
  const [config, layer] = blobs.map((bytes) => ({
    mediaType: 'a/b',
    digest: digestOfBytes(bytes),
    size: bytes.length,
  }));
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, config, layers: [layer] }));
  const digest = digestOfBytes(bytes);
  for (const blob of [...blobs, bytes]) await backend.write(blobKey(digestOfBytes(blob), repo), sourceOf(blob), never);
  if (link) await backend.put(manifestKey(repo, digest), Buffer.from(digest), never);
  return { digest, bytes };
}

const whole = async (backend: Backend, key: string): Promise<Buffer | undefined> => {
  const found = await backend.stat(key, never);
  return found && (await bytesOf(backend.read(key, { start: 0, end: found.size, version: found.version }, never)));
};

const cannot = ['conditions', 'records'] as const;
/** The fake goes with the backend that a suite closes. */
async function made(settings: object = {}): Promise<RegistryBackend> {
  const fake = await FakeRegistry.start();
  const backend = fake.backend(settings);
  const close = backend[Symbol.asyncDispose].bind(backend);
  backend[Symbol.asyncDispose] = async () => {
    await close();
    await fake[Symbol.asyncDispose]();
  };
  return backend;
}
describe('conformance, blobs', () =>
  blobsConformance(() => made(), { cannot, keyOf: (digest) => blobKey(digest, 'library/app') }));
describe('conformance, blobs in chunks of a mapped namespace', () =>
  blobsConformance(() => made({ chunk: '5MiB', namespace: { from: 'a', to: 'b/c' } }), {
    cannot,
    keyOf: (digest) => blobKey(digest, 'a/app'),
  }));
describe('conformance, tags', () =>
  tagsConformance(() => made(), {
    ...{ cannot, keyOf: tagKey },
    target: async (backend, repo, n) => (await pushed(backend, repo, n)).digest,
  }));

test('manifests are put as their bytes are, with what they refer to there, and then are no blobs', async () => {
  const { fake, backend } = await world({ namespace: { from: 'mirror', to: 'library' } });
  const one = await pushed(backend, 'mirror/app');
  const { manifests, blobs } = fake.repo('library/app');
  expect(manifests.get(one.digest)?.equals(one.bytes)).toBe(true);
  blobs.delete(one.digest);
  expect((await whole(backend, blobKey(one.digest, 'mirror/app')))?.equals(one.bytes)).toBe(true);
  expect(await backend.stat(manifestKey('mirror/app', one.digest), never)).toEqual({ size: 71, version: one.digest });
  const image = { mediaType: 'application/vnd.oci.image.manifest.v1+json', digest: one.digest, size: one.bytes.length };
  const mediaType = 'application/vnd.oci.image.index.v1+json';
  const index = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, manifests: [image] }));
  const digest = digestOfBytes(index);
  await backend.write(blobKey(digest, 'mirror/app'), sourceOf(index), never);
  await backend.put(tagKey('mirror/app', 'all'), Buffer.from(digest), never);
  expect(String(await whole(backend, tagKey('mirror/app', 'all')))).toBe(digest);
  const lacking = await pushed(backend, 'mirror/other', 2, false);
  fake.repo('library/other').blobs.delete(digestOfBytes(Buffer.from('layer 2')));
  const put = backend.put(manifestKey('mirror/other', lacking.digest), Buffer.from(lacking.digest), never);
  await expect(put).rejects.toMatchObject({ why: 'refused', message: expect.stringContaining('lacks a blob') });
});

test('one manifest is put under several tags in turn, so that none is read while its link is rewritten', async () => {
  const { fake, backend } = await world();
  const { digest } = await pushed(backend, 'app');
  fake.repo('app').blobs.delete(digest);
  const other = stack.use(fake.backend());
  fake.rewriteMs = 30;
  fake.asked.length = 0;
  const tags = ['v1', 'v2', 'v3'];
  await Promise.all(tags.map((tag) => other.put(tagKey('app', tag), Buffer.from(digest), never)));
  expect([...fake.repo('app').tags.keys()]).toEqual(tags);
  // Each has been answered before the next one begins.
  const puts = fake.asked.flatMap((one, at) => (one.startsWith('PUT') ? [at] : []));
  expect(puts.map((at) => at - (puts[0] ?? 0))).toEqual([0, 2, 4]);
});

test('a read through is a HEAD of the tag and one GET of its manifest; a blob is looked up without being read', async () => {
  const { fake, backend } = await world();
  const { digest, bytes } = await pushed(backend, 'app');
  await backend.put(tagKey('app', 'v1'), Buffer.from(digest), never);
  const other = stack.use(fake.backend());
  fake.asked.length = 0;
  expect(String(await whole(other, tagKey('app', 'v1')))).toBe(digest);
  expect((await whole(other, blobKey(digest, 'app')))?.equals(bytes)).toBe(true);
  expect(fake.asked).toEqual(['HEAD /v2/app/manifests/v1', `GET /v2/app/manifests/${digest}`]);
  fake.asked.length = 0;
  const layer = digestOfBytes(Buffer.from('layer 1'));
  expect(await other.stat(blobKey(layer, 'app'), never)).toEqual({ size: 7, digest: layer, version: layer });
  expect(fake.asked).toEqual([`HEAD /v2/app/blobs/${layer}`]);
});

test('what another repository there has is mounted, not sent', async () => {
  const { fake, backend } = await world();
  const source = sourceOf(randomBytes(100_000));
  await backend.write(blobKey(source.digest, 'one'), source, never);
  const unread: ObjectSource = { ...source, read: () => expect.fail('it is there already') };
  await backend.write(blobKey(source.digest, 'two'), unread, never);
  expect(fake.repo('two').blobs.has(source.digest)).toBe(true);
  fake.misdeed = ({ query }) => (query.has('mount') ? { status: 405 } : undefined);
  await backend.write(blobKey(source.digest, 'three'), source, never);
  expect(fake.repo('three').blobs.has(source.digest)).toBe(true);
});

test('an upload that is cut goes on where the registry stands; one that is ended is given up there', async () => {
  const { fake, backend } = await world();
  const bytes = randomBytes(20_000_000);
  const source = sourceOf(bytes);
  const cuts = [3_000_000, 9_000_000];
  fake.misdeed = ({ method }) => (method === 'PATCH' && cuts.length > 0 ? { cut: cuts.shift() ?? 0 } : undefined);
  await backend.write(blobKey(source.digest, 'app'), source, never);
  expect(fake.repo('app').blobs.get(source.digest)?.equals(bytes)).toBe(true);
  expect(fake.count('PATCH')).toBe(3);
  expect(fake.uploads.size).toBe(0);
  const other = sourceOf(randomBytes(9_000_000));
  const abort = new AbortController();
  fake.misdeed = ({ method }) => {
    if (method === 'PATCH') setTimeout(() => abort.abort(new Error('enough')), 10);
    return method === 'PATCH' ? 'hang' : undefined;
  };
  await expect(backend.write(blobKey(other.digest, 'app'), other, abort.signal)).rejects.toThrow('enough');
  expect(fake.count('DELETE /v2/app/blobs/uploads/')).toBe(1);
  expect(fake.uploads.size).toBe(0);
});

test.each([true, false])(
  'ranges: %s; from a storage that gets nothing of what the registry is shown',
  async (ranges) => {
    const { fake, backend } = await world({ credentials: { username: 'u', password: 'p' } });
    fake.ranges = ranges;
    fake.wants = ({ headers }) => (headers.authorization === undefined ? 'Basic realm="x"' : undefined);
    const source = sourceOf(randomBytes(1_000_000));
    const bytes = await bytesOf(source.read(0, source.size, never));
    const key = blobKey(source.digest, 'app');
    await backend.write(key, source, never);
    const part = () => bytesOf(backend.read(key, { start: 1_000, end: 900_000 }, never));
    expect(bytes.subarray(1_000, 900_000).equals(await part())).toBe(true);
    const seen: unknown[] = [];
    const storage = createServer((request, response) => {
      seen.push(request.headers.authorization ?? `${request.method} ${request.headers.range}`);
      // As what is signed for a GET: a HEAD is refused.
      if (request.method === 'HEAD') return void response.writeHead(403).end();
      const range = ranges && request.headers.range === 'bytes=1000-899999';
      const head = { 'content-range': `bytes 1000-899999/1000000` };
      response.writeHead(range ? 206 : 200, range ? head : { 'content-length': 1_000_000 });
      response.end(range ? bytes.subarray(1_000, 900_000) : bytes);
    });
    await new Promise<void>((resolve) => storage.listen(0, '127.0.0.1', resolve));
    stack.defer(() => void storage.close());
    fake.storage = `http://127.0.0.1:${(storage.address() as AddressInfo).port}`;
    expect(bytes.subarray(1_000, 900_000).equals(await part())).toBe(true);
    expect(await backend.stat(key, never)).toMatchObject({ size: 1_000_000 });
    expect(seen).toEqual(['GET bytes=1000-899999', 'HEAD undefined', 'GET bytes=0-0']);
  },
);

test('tags and repositories are listed in the order of their keys, by pages, whatever order and pages the registry has', async () => {
  const { fake, backend } = await world({ namespace: { from: '', to: 'team' } });
  for (const [repo, tags] of Object.entries({
    'z/a': ['v2', 'v10', 'V1'],
    a: ['x'],
    'a-b': ['x'],
    'a/0': ['y'],
    'a/b': ['w'],
  }))
    for (const tag of tags) fake.repo(`team/${repo}`).tags.set(tag, 'sha256:x');
  fake.repo('other/x').tags.set('x', 'sha256:x');
  const all = [
    'a-b/_tags/x',
    'a/0/_tags/y',
    'a/_tags/x',
    'a/b/_tags/w',
    'z/a/_tags/V1',
    'z/a/_tags/v10',
    'z/a/_tags/v2',
  ];
  for (const max of [1, 3, 100]) {
    const keys: string[] = [];
    for (let after: string | undefined; ; ) {
      const page: Awaited<ReturnType<Backend['list']>> = await backend.list('', { after, max }, never);
      keys.push(...page.objects.map(({ key }) => key));
      after = page.next;
      if (after === undefined) break;
    }
    expect(keys).toEqual(all);
  }
  const [under] = registryKeys.links.under('z/a');
  expect((await backend.list(under ?? '', { max: 9 }, never)).objects.length).toBe(3);
  expect((await backend.list('nowhere/_', { max: 9 }, never)).objects).toEqual([]);
  fake.misdeed = ({ path }) =>
    path === '/v2/_catalog' ? { status: 404, body: '{"errors":[{"code":"UNSUPPORTED"}]}' } : undefined;
  await expect(stack.use(fake.backend()).list('', { max: 1 }, never)).rejects.toMatchObject({ why: 'unsupported' });
});
