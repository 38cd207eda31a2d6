/** The agent's registry and admin interface over real HTTP; cache, swarm and index in memory. */

import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { AgentStatus } from '../core/contracts/agent.ts';
import type { Digest } from '../core/digest.ts';
import { MEDIA } from '../core/oci/media.ts';
import { createHttp, listen } from '../platform/http/server.ts';
import { realClock } from '../platform/net/clock.ts';
import { registerRegistry } from '../platform/registry/routes.ts';
import { silentLog } from '../platform/telemetry/log.ts';
import { Metrics } from '../platform/telemetry/metrics.ts';
import { addAdminRoutes } from './admin.ts';
import { PullLog, Pulls } from './pull.ts';
import { AgentRegistry } from './registry.ts';
import { MemoryIndex, MemorySwarm } from './testing/memory.ts';

const repo = 'library/app';
const unknown = `sha256:${'e'.repeat(64)}`;
const manifest = Buffer.from(
  JSON.stringify({
    schemaVersion: 2,
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: unknown, size: 2 },
    layers: [],
  }),
);
const pieceBytes = 256 * 1024;

let swarm: MemorySwarm;
let index: MemoryIndex;
let history: PullLog;
let stack: AsyncDisposableStack;
let base: string;
const lingerMs = 50;

beforeEach(async () => {
  stack = new AsyncDisposableStack();
  index = new MemoryIndex();
  const log = silentLog();
  const metrics = new Metrics();
  history = new PullLog({ log, metrics, clock: realClock, cacheBytes: () => 0 });
  swarm = stack.use(new MemorySwarm({ lingerMs, watcher: history }));
  const { store, node, tracking, arena } = swarm;
  const pulls = new Pulls({ store, arena, node, tracking, log, history, clock: realClock });
  const app = createHttp({ role: 'agent', log, metrics, readiness: () => Promise.resolve([]) });
  registerRegistry(app, new AgentRegistry({ pulls, index, proxy: 'http://proxy:15000' }));
  const preload = () => ({ docker: '/none', containerd: '/none', registry: 'none:1' });
  addAdminRoutes(app, {
    pulls,
    index,
    blobs: () => store.blobs(),
    get: store.get,
    status: () => ({}) as AgentStatus,
    open: true,
    preload,
  });
  const { port } = stack.use(await listen(app, { host: '127.0.0.1', port: 0 }));
  base = `http://127.0.0.1:${port}`;
});
afterEach(() => stack.disposeAsync());

function tagged(tag: string): Digest {
  const digest = swarm.add(manifest);
  const record = { digest, mediaType: MEDIA.ociManifest, size: manifest.length };
  index.tagged.set(`${repo}:${tag}`, record);
  index.held.set(`${repo}@${digest}`, record);
  return digest;
}
const codeOf = async (response: Response): Promise<string> =>
  ((await response.json()) as { errors: { code: string }[] }).errors[0]?.code ?? '';
const bytesOf = async (response: Response): Promise<Buffer> => Buffer.from(await response.arrayBuffer());

test('a manifest by tag and by digest, GET and HEAD', async () => {
  const digest = tagged('1');
  for (const reference of ['1', digest]) {
    for (const method of ['GET', 'HEAD']) {
      const response = await fetch(`${base}/v2/${repo}/manifests/${reference}`, { method });
      expect(response.status).toBe(200);
      expect(response.headers.get('content-type')).toBe(MEDIA.ociManifest);
      expect(response.headers.get('docker-content-digest')).toBe(digest);
      expect(response.headers.get('content-length')).toBe(String(manifest.length));
      expect(await bytesOf(response)).toEqual(method === 'GET' ? manifest : Buffer.alloc(0));
    }
  }
});

test('HEAD downloads nothing', async () => {
  const digest = tagged('1');
  const blob = swarm.add(randomBytes(1000));
  await fetch(`${base}/v2/${repo}/manifests/1`, { method: 'HEAD' });
  await fetch(`${base}/v2/${repo}/manifests/${digest}`, { method: 'HEAD' });
  const head = await fetch(`${base}/v2/${repo}/blobs/${blob}`, { method: 'HEAD' });
  expect([head.status, head.headers.get('content-length')]).toEqual([200, '1000']);
  expect(swarm.pulled).toEqual([]);
});

test('without an index a tag is 503 with Retry-After, a digest still answers', async () => {
  const digest = tagged('1');
  index.down = true;
  const byTag = await fetch(`${base}/v2/${repo}/manifests/1`);
  expect([byTag.status, await codeOf(byTag)]).toEqual([503, 'UNAVAILABLE']);
  expect(byTag.headers.get('retry-after')).not.toBeNull();
  const byDigest = await fetch(`${base}/v2/${repo}/manifests/${digest}`);
  expect(byDigest.headers.get('content-type')).toBe(MEDIA.ociManifest);
  expect(await bytesOf(byDigest)).toEqual(manifest);
});

test('unknown tags, manifests and blobs are 404 with their code', async () => {
  tagged('1');
  for (const [path, code] of [
    [`${repo}/manifests/2`, 'MANIFEST_UNKNOWN'],
    [`${repo}/manifests/${unknown}`, 'MANIFEST_UNKNOWN'],
    [`${repo}/blobs/${unknown}`, 'BLOB_UNKNOWN'],
    [`${repo}/blobs/sha256:abc`, 'DIGEST_INVALID'],
    [`other/tags/list`, 'NAME_UNKNOWN'],
  ] as const) {
    const response = await fetch(`${base}/v2/${path}`);
    expect([path, await codeOf(response)]).toEqual([path, code]);
  }
  expect((await fetch(`${base}/v2/${repo}/blobs/${unknown}`, { method: 'HEAD' })).status).toBe(404);
});

test('a manifest of another repository is not served, though its blob is known', async () => {
  const digest = tagged('1');
  const response = await fetch(`${base}/v2/other/manifests/${digest}`);
  expect([response.status, await codeOf(response)]).toEqual([404, 'MANIFEST_UNKNOWN']);
});

test('what was pushed a moment after it was asked for is asked for once more', async () => {
  const digest = tagged('1');
  const layer = swarm.add(randomBytes(10));
  index.blobs.set(`${repo}@${layer}`, 10);
  for (const [path, blob] of [
    [`manifests/1`, digest],
    [`manifests/${digest}`, digest],
    [`blobs/${layer}`, layer],
  ] as const) {
    swarm.cache.clear();
    const bytes = swarm.has.get(blob) as Uint8Array;
    swarm.has.delete(blob);
    swarm.pulled = [];
    const asked = fetch(`${base}/v2/${repo}/${path}`);
    await expect.poll(() => swarm.pulled).toEqual([blob]);
    swarm.has.set(blob, bytes);
    expect([path, (await asked).status]).toEqual([path, 200]);
  }
});

test('with no tracker a blob is 503, unless the cache has it', async () => {
  const bytes = randomBytes(5000);
  const digest = swarm.add(bytes);
  swarm.down = true;
  const cold = await fetch(`${base}/v2/${repo}/blobs/${digest}`);
  expect([cold.status, await codeOf(cold)]).toEqual([503, 'UNAVAILABLE']);
  swarm.cached(digest, bytes, 'all');
  expect(await bytesOf(await fetch(`${base}/v2/${repo}/blobs/${digest}`))).toEqual(bytes);
});

test('HEAD of a blob asks the index where no tracker answers', async () => {
  const digest = swarm.add(randomBytes(10));
  swarm.down = true;
  index.blobs.set(`${repo}@${digest}`, 10);
  const head = await fetch(`${base}/v2/${repo}/blobs/${digest}`, { method: 'HEAD' });
  expect(head.headers.get('content-length')).toBe('10');
});

test('a blob streams while it still arrives, and a range waits for its pieces only', async () => {
  const bytes = randomBytes(5 * pieceBytes + 99);
  const digest = swarm.add(bytes);
  swarm.stopAt = 2;
  const response = await fetch(`${base}/v2/${repo}/blobs/${digest}`);
  const reader = response.body?.getReader() as ReadableStreamDefaultReader<Uint8Array>;
  const got: Uint8Array[] = [];
  let at = 0;
  while (at < 2 * pieceBytes) {
    const { value } = await reader.read();
    got.push(value as Uint8Array);
    at += value?.length ?? 0;
  }
  const range = await fetch(`${base}/v2/${repo}/blobs/${digest}`, { headers: { range: `bytes=5-${pieceBytes + 4}` } });
  expect([range.status, range.headers.get('content-range')]).toEqual([
    206,
    `bytes 5-${pieceBytes + 4}/${bytes.length}`,
  ]);
  expect((await bytesOf(range)).equals(bytes.subarray(5, pieceBytes + 5))).toBe(true);
  swarm.arrive(Number.POSITIVE_INFINITY);
  for (let next = await reader.read(); next.value !== undefined; next = await reader.read()) got.push(next.value);
  expect(Buffer.concat(got).equals(bytes)).toBe(true);
  await expect.poll(() => history.list()).toHaveLength(1);
  expect(history.list()[0]).toMatchObject({ digest, bytes: bytes.length, bytesFromPeers: bytes.length });
});

test('a client that leaves ends the pull that only it wanted, after the linger', async () => {
  const digest = swarm.add(randomBytes(3 * pieceBytes));
  swarm.stopAt = 1;
  const abort = new AbortController();
  const response = await fetch(`${base}/v2/${repo}/blobs/${digest}`, { signal: abort.signal });
  expect(response.status).toBe(200);
  expect(swarm.stopped).toEqual([]);
  abort.abort();
  await expect.poll(() => swarm.stopped).toEqual([digest]);
  expect(swarm.arena.freeBytes('reader')).toBe(swarm.arena.shareBytes('reader'));
});

test.each([
  'docker/20.10.24+dfsg1 go/go1.19.8 os/linux arch/amd64 UpstreamClient(Docker-Client/28.2.2 \\(linux\\))',
  'skopeo/1.9.3',
  'containers/5.23.1 (github.com/containers/image)',
  'Buildah/1.28.2',
  'crane/v0.22.1 go-containerregistry/v0.22.1',
])('to %s, which asks HEAD of a blob only to push it, every blob is unknown; it may read all', async (agent) => {
  const digest = swarm.add(randomBytes(1000));
  const url = `${base}/v2/${repo}/blobs/${digest}`;
  const headers = { 'user-agent': agent };
  expect((await fetch(url, { method: 'HEAD', headers })).status).toBe(404);
  expect((await fetch(url, { headers })).status).toBe(200);
  tagged('1');
  expect((await fetch(`${base}/v2/${repo}/manifests/1`, { method: 'HEAD', headers })).status).toBe(200);
  const begun = await fetch(`${base}/v2/${repo}/blobs/uploads/`, { method: 'POST', headers });
  expect(begun.status).toBe(405);
  expect(await begun.text()).toContain('http://proxy:15000');
});

test.each(['go-containerregistry/v0.22.1', 'containerd/1.6.20', 'Go-http-client/1.1', 'oras/1.3', ''])(
  'to %j, which may read by HEAD, a blob is there',
  async (agent) => {
    const digest = swarm.add(randomBytes(1000));
    const options = { method: 'HEAD', headers: { 'user-agent': agent } };
    expect((await fetch(`${base}/v2/${repo}/blobs/${digest}`, options)).status).toBe(200);
  },
);

test('writes are refused, and the answer names the proxy', async () => {
  for (const [method, path] of [
    ['POST', `${repo}/blobs/uploads/`],
    ['PUT', `${repo}/manifests/1`],
    ['DELETE', `${repo}/manifests/1`],
    ['DELETE', `${repo}/blobs/${unknown}`],
  ] as const) {
    const response = await fetch(`${base}/v2/${path}`, { method });
    const { errors } = (await response.json()) as { errors: { code: string; message: string }[] };
    expect([method, response.status, errors[0]?.code]).toEqual([method, 405, 'UNSUPPORTED']);
    expect(errors[0]?.message).toContain('http://proxy:15000');
    expect(response.headers.get('allow')).toBe('GET, HEAD');
  }
});

test('tags in pages, the catalogue, referrers', async () => {
  const digest = tagged('a');
  tagged('b');
  tagged('c');
  const first = await fetch(`${base}/v2/${repo}/tags/list?n=2`);
  expect(await first.json()).toEqual({ name: repo, tags: ['a', 'b'] });
  const link = /<([^>]+)>; rel="next"/.exec(first.headers.get('link') ?? '')?.[1] as string;
  const second = await fetch(base + link);
  expect([await second.json(), second.headers.get('link')]).toEqual([{ name: repo, tags: ['c'] }, null]);
  expect(await (await fetch(`${base}/v2/_catalog`)).json()).toEqual({ repositories: [repo] });
  const referrers = await fetch(`${base}/v2/${repo}/referrers/${digest}?artifactType=a/b`);
  expect(referrers.headers.get('content-type')).toBe(MEDIA.ociIndex);
  expect(referrers.headers.get('oci-filters-applied')).toBe('artifactType');
  const body = { schemaVersion: 2, manifests: [{ digest, artifactType: 'a/b' }, { digest }] };
  expect(await referrers.json()).toMatchObject(body);
  const paged = await fetch(`${base}/v2/${repo}/referrers/${digest}?artifactType=a/b&n=1`);
  expect(((await paged.json()) as { manifests: [] }).manifests).toHaveLength(1);
  const path = `/v2/${repo}/referrers/${digest}?artifactType=a%2Fb&n=1&last=${encodeURIComponent(digest)}`;
  expect(paged.headers.get('link')).toBe(`<${path}>; rel="next"`);
  expect((await fetch(base + path)).headers.get('link')).toBeNull();
  expect((await fetch(`${base}/v2/`)).status).toBe(200);
});

test("the admin interface: cache, plain digests, Kraken's paths", async () => {
  const bytes = randomBytes(4 * pieceBytes);
  const digest = swarm.add(bytes);
  swarm.cached(digest, bytes, [0]);
  expect(await (await fetch(`${base}/v1/blobs`)).json()).toEqual({
    blobs: [{ digest, size: bytes.length, complete: false, share: 0.25 }],
  });
  expect((await bytesOf(await fetch(`${base}/v1/blobs/${digest}/data`))).equals(bytes)).toBe(true);
  const hex = digest.slice('sha256:'.length);
  const part = await fetch(`${base}/namespace/any%2Fns/blobs/${hex}`, { headers: { range: 'bytes=10-19' } });
  expect((await bytesOf(part)).equals(bytes.subarray(10, 20))).toBe(true);
  const manifestDigest = tagged('1');
  expect(await (await fetch(`${base}/tags/${encodeURIComponent(`${repo}:1`)}`)).text()).toBe(manifestDigest);
  expect((await fetch(`${base}/tags/nothing`)).status).toBe(400);
  expect((await fetch(`${base}/v1/blobs/${digest}`, { method: 'DELETE' })).status).toBe(204);
  expect(swarm.dropped).toEqual([digest]);
  expect((await fetch(`${base}/v1/blobs/${digest}`, { method: 'DELETE' })).status).toBe(404);
  expect((await fetch(`${base}/blobs/${hex}`, { method: 'DELETE' })).status).toBe(200);
});

test('the repository that a client names goes along with what is asked for it', async () => {
  const bytes = randomBytes(10);
  const digest = swarm.add(bytes);
  const manifest = swarm.add(Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: MEDIA.ociIndex })));
  const record = { digest: manifest, mediaType: MEDIA.ociIndex, size: 5 };
  index.tagged.set('team/app:1', record);
  index.held.set(`team/app@${manifest}`, record);
  await fetch(`${base}/v2/team/app/blobs/${digest}`, { method: 'HEAD', headers: { 'user-agent': 'x' } });
  await bytesOf(await fetch(`${base}/v2/team/app/blobs/${digest}`));
  swarm.cache.clear();
  await bytesOf(await fetch(`${base}/v2/team/app/manifests/1`));
  swarm.cache.clear();
  await bytesOf(await fetch(`${base}/v2/team/app/manifests/${manifest}`));
  expect(new Set(swarm.askedIn)).toEqual(new Set(['team/app']));
  expect(swarm.askedIn.length).toBeGreaterThanOrEqual(3);
  // By digest alone, nobody names one.
  await bytesOf(await fetch(`${base}/v1/blobs/${swarm.add(randomBytes(11))}/data`));
  expect(swarm.askedIn.at(-1)).toBeUndefined();
});
