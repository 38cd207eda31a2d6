/** What a registry may get wrong: each is an error that says what, and nothing of it counts. */

import { createHash, randomBytes } from 'node:crypto';
import { afterEach, describe, expect, test } from 'vitest';
import { type Digest, parseDigest } from '../../../core/digest.ts';
import { OCI_PATHS } from '../../../core/oci/paths.ts';
import { bytesOf, never, sourceOf } from '../objects.fixtures.ts';
import { type FakeCall, FakeRegistry, type Misdeed } from './fake.fixtures.ts';
import { registryKeys, tagKey } from './layout.ts';
import type { RegistryBackend } from './registry.ts';

let stack = new AsyncDisposableStack();
afterEach(async () => {
  await stack.disposeAsync();
  stack = new AsyncDisposableStack();
});

const digestOfBytes = (bytes: Uint8Array): Digest =>
  parseDigest(`sha256:${createHash('sha256').update(bytes).digest('hex')}`) as Digest;
const blob = randomBytes(1000);
const manifest = Buffer.from('{"schemaVersion":2}');
const [blobAt, manifestAt] = [blob, manifest].map((bytes) => registryKeys.blobKey(digestOfBytes(bytes), 'app')) as [
  string,
  string,
];
const tag = tagKey('app', 'v1');
const html = { 'content-type': 'text/html; charset=utf-8' };
const page = '<html><head><title>Sign in</title></head></html>';

async function world() {
  const fake = stack.use(await FakeRegistry.start());
  const repo = fake.repo('app');
  repo.blobs.set(digestOfBytes(blob), blob);
  repo.manifests.set(digestOfBytes(manifest), manifest);
  repo.tags.set('v1', digestOfBytes(manifest));
  return { fake, backend: stack.use(fake.backend({}, 500)) };
}

type Act = (backend: RegistryBackend) => Promise<unknown>;
const acts = {
  'stat of a blob': (backend) => backend.stat(blobAt, never),
  'read of a blob': (backend) => bytesOf(backend.read(blobAt, { start: 0, end: 1000 }, never)),
  'stat of a tag': (backend) => backend.stat(tag, never),
  'read of a manifest': async (backend) => {
    await backend.stat(tag, never);
    return await bytesOf(backend.read(manifestAt, { start: 0, end: manifest.length }, never));
  },
  write: (backend) => backend.write(registryKeys.blobKey(digestOfBytes(manifest), 'b'), sourceOf(manifest), never),
  list: (backend) => backend.list('', { max: 9 }, never),
  probe: (backend) => backend.probe(never),
} as const satisfies Record<string, Act>;
type ActName = keyof typeof acts;

describe.each(Object.keys(acts) as ActName[])('%s', (name) => {
  const act: Act = acts[name];

  test.each([200, 404])('a page of HTML with status %i is no answer of a registry', async (status) => {
    const { fake, backend } = await world();
    fake.misdeed = () => ({ status, headers: html, body: page });
    await expect(act(backend)).rejects.toMatchObject({
      why: 'unavailable',
      message: expect.stringMatching(/HTML|registry/),
    });
  });

  test('what hangs is left, and who is throttled is told for how long', async () => {
    const { fake, backend } = await world();
    fake.misdeed = () => 'hang';
    await expect(act(backend)).rejects.toMatchObject({ why: 'stalled' });
    fake.misdeed = () => ({
      status: 429,
      headers: { 'retry-after': '3600' },
      body: '{"errors":[{"code":"TOOMANYREQUESTS"}]}',
    });
    await expect(act(backend)).rejects.toMatchObject({ why: 'throttled', afterMs: 3_600_000 });
    fake.misdeed = () => ({ status: 403, body: '{"errors":[{"code":"DENIED"}]}' });
    await expect(act(backend)).rejects.toMatchObject({ why: 'refused' });
  });
});

const other = `sha256:${'0'.repeat(64)}`;
const of =
  (what: RegExp, misdeed: Misdeed, method?: string) =>
  ({ path, method: asked }: FakeCall): Misdeed =>
    what.test(path) && (method === undefined || method === asked) ? misdeed : undefined;

const lies: readonly (readonly [string, ActName, (call: FakeCall) => Misdeed, object])[] = [
  [
    'a manifest of another digest',
    'read of a manifest',
    of(/manifests\/sha256/, { status: 200, body: '{"other":1}' }),
    { why: 'damaged', message: expect.stringContaining('gives a manifest of sha256:') },
  ],
  [
    'a manifest above 4 MiB',
    'read of a manifest',
    of(/manifests\/sha256/, { status: 200, body: Buffer.alloc(4 * 2 ** 20 + 1, 32) }),
    { why: 'refused', message: expect.stringContaining('more than 4194304 bytes') },
  ],
  [
    'a digest that is none',
    'read of a manifest',
    of(/manifests\/v1/, { status: 200, headers: { 'docker-content-digest': 'md5:1' }, body: '{}' }),
    { why: 'damaged', message: expect.stringContaining('names a digest that is none') },
  ],
  [
    'a blob of another digest',
    'stat of a blob',
    of(/blobs/, { status: 200, headers: { 'docker-content-digest': other }, body: blob }),
    { why: 'damaged', message: expect.stringContaining('mixes blobs up') },
  ],
  [
    'fewer bytes than it has',
    'read of a blob',
    of(/blobs/, { status: 200, body: blob.subarray(0, 500) }),
    { why: 'damaged', message: expect.stringContaining('fewer bytes') },
  ],
  [
    'another part of it',
    'read of a blob',
    of(/blobs/, { status: 206, headers: { 'content-range': 'bytes 7-999/1000' }, body: blob.subarray(7) }),
    { why: 'damaged', message: expect.stringContaining('from byte 7 on') },
  ],
  [
    'an upload that has nowhere to go',
    'write',
    of(/uploads/, { status: 202 }, 'POST'),
    { why: 'unavailable', message: expect.stringContaining('without saying where') },
  ],
  [
    'pages that do not end',
    'list',
    of(/_catalog/, {
      status: 200,
      headers: { link: `<${OCI_PATHS.catalog}?last=app>; rel="next"` },
      body: '{"repositories":["app"]}',
    }),
    { why: 'damaged', message: expect.stringContaining('pages that do not go on') },
  ],
  ['no JSON', 'list', of(/_catalog/, { status: 200, body: 'repositories: app' }), { why: 'unavailable' }],
  [
    'a repository that is to be made first',
    'write',
    of(/uploads/, { status: 404, body: '{"errors":[{"code":"NAME_UNKNOWN"}]}' }),
    { why: 'refused', message: expect.stringContaining('make the repository there') },
  ],
  [
    'no uploads at all',
    'write',
    of(/uploads/, { status: 405, body: '{"errors":[{"code":"UNSUPPORTED"}]}' }),
    { why: 'unsupported', message: expect.stringContaining('readOnly: true') },
  ],
];
test.each(lies)('%s: %s fails, and says so', async (_, name, misdeed, expected) => {
  const { fake, backend } = await world();
  fake.misdeed = misdeed;
  await expect((acts[name] as Act)(backend)).rejects.toMatchObject({ name: 'BackendError', ...expected });
});

test('an upload goes on at the registry itself, whatever scheme it believes to have, and nowhere else', async () => {
  const { fake, backend } = await world();
  for (const places of ['absolute', `https://${fake.address}`]) {
    fake.places = places;
    await acts.write(backend);
    fake.repo('b').blobs.clear();
  }
  fake.places = 'http://elsewhere.test';
  await expect(acts.write(backend)).rejects.toMatchObject({
    why: 'refused',
    message: expect.stringContaining('goes on at http://elsewhere.test: it is to name its own address'),
  });
});

test('a registry that tells no digest of a tag is asked for the manifest; one without HEAD as well', async () => {
  const { fake, backend } = await world();
  fake.misdeed = of(/manifests\/v1/, { status: 200, body: manifest });
  expect((await backend.stat(tag, never))?.version).toBe(digestOfBytes(manifest));
  fake.misdeed = ({ method }) => (method === 'HEAD' ? { status: 405 } : undefined);
  expect((await backend.stat(tag, never))?.version).toBe(digestOfBytes(manifest));
  expect(await backend.stat(blobAt, never)).toMatchObject({ size: 1000 });
});

test('a 404 without a word counts where the registry shows that it is one', async () => {
  const { fake, backend } = await world();
  fake.misdeed = ({ path }) =>
    path === OCI_PATHS.base ? undefined : { status: 404, headers: { 'content-type': 'text/plain' } };
  expect(await backend.stat(blobAt, never)).toBeUndefined();
});
