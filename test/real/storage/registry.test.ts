/** The kind registry against distribution: open, with a password, with tokens, with an authority of its own for TLS. */

import { randomBytes, randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { OCI_PATHS } from '../../../core/oci/paths.ts';
import { httpConformance } from '../../../platform/backends/conformance/http.fixtures.ts';
import { repositoryNames } from '../../../platform/backends/conformance/names.fixtures.ts';
import { blobsConformance, tagsConformance } from '../../../platform/backends/conformance.fixtures.ts';
import { bytesOf, never, sourceOf } from '../../../platform/backends/objects.fixtures.ts';
import { registrySchema } from '../../../platform/backends/registry/config.ts';
import { manifestKey, registryKeys, tagKey } from '../../../platform/backends/registry/layout.ts';
import { RegistryBackend } from '../../../platform/backends/registry/registry.ts';
import { realClock } from '../../../platform/net/clock.ts';
import { type MadeImage, madeImage, madeIndex, metricOf, pulled, pushImage, statusOf } from '../../images.fixtures.ts';
import { startAt } from '../cluster.ts';
import { freeBasePort, run, temporary } from '../processes.ts';
import {
  type DistributionOptions,
  type DistributionServer,
  registryLogin,
  startDistribution,
} from './servers/distribution.ts';
import { started } from './servers/server.ts';

const stack = new AsyncDisposableStack();
let server: DistributionServer;
beforeAll(async () => {
  server = await started(stack, startDistribution);
});
afterAll(() => stack.disposeAsync());

const { blobKey } = registryKeys;
const soon = { timeout: 60_000, interval: 250 } as const;

function open(of: DistributionServer, more: object = {}, opening: object = {}): RegistryBackend {
  const settings = registrySchema.parse({ ...of.rule.registry, ...more });
  return new RegistryBackend(settings, { name: 'main', stallMs: 10_000, env: {}, clock: realClock, ...opening });
}

/** Each time a namespace of its own. */
const fresh = (): object => ({ namespace: { to: `t${randomUUID()}` } });
const oneNamespace = fresh();
const cannot = ['conditions', 'records'] as const;

/** Written as origins and an index write it. */
async function written(backend: RegistryBackend, repo: string, { digest, bytes, blobs }: MadeImage): Promise<string> {
  for (const blob of [...blobs, { digest, bytes }])
    await backend.write(blobKey(blob.digest, repo), sourceOf(blob.bytes), never);
  await backend.put(manifestKey(repo, digest), Buffer.from(digest), never);
  return digest;
}

describe('blobs', () =>
  blobsConformance(async () => open(server, fresh()), { cannot, keyOf: (digest) => blobKey(digest, 'library/app') }));
describe('tags', () =>
  tagsConformance(async () => open(server, fresh()), {
    ...{ cannot, keyOf: tagKey, repositories: repositoryNames.filter(({ length }) => length < 200) },
    target: (backend, repo, n) => written(backend as RegistryBackend, repo, madeImage([n * 100])),
  }));
httpConformance({
  server: () => `http://${server.address}`,
  keyOf: (digest) => blobKey(digest, 'library/app'),
  make: async ({ base, ca, env, stallMs }) => {
    const { host, protocol } = new URL(base);
    return open(server, { ...oneNamespace, address: host, plainHttp: protocol === 'http:', ca }, { env, stallMs });
  },
});

test.each<DistributionOptions>([{ auth: 'basic' }, { auth: 'token' }, { auth: 'basic', tls: true }])(
  '%o: what is written is read by others who have the password, and by nobody else',
  async (options) => {
    const guarded = await started(stack, (dir) => startDistribution(dir, options));
    await using backend = open(guarded);
    await backend.probe(never);
    const image = madeImage([9 << 20, 100]);
    await written(backend, 'library/app', image);
    await backend.put(tagKey('library/app', 'v1'), Buffer.from(image.digest), never);
    // Had from the other repository, for which the token is to reach as well.
    await written(backend, 'library/other', image);
    if (options.auth === 'token') {
      expect(guarded.asked).toContain('repository:library/app:pull,push');
      expect(guarded.asked).toContain('repository:library/other:pull,push repository:library/app:pull');
      expect(new Set(guarded.asked).size).toBe(guarded.asked.length);
    }
    const config = join(await temporary(stack, 'docker'), 'config.json');
    const auth = Buffer.from(`${registryLogin.username}:${registryLogin.password}`).toString('base64');
    writeFileSync(config, JSON.stringify({ auths: { [guarded.address]: { auth } } }));
    await using other = open(guarded, { credentials: { dockerConfig: config } });
    const digest = await bytesOf(other.read(tagKey('library/app', 'v1'), { start: 0, end: 71 }, never));
    expect(String(digest)).toBe(image.digest);
    for (const repo of ['library/app', 'library/other'])
      for (const { digest, bytes } of [...image.blobs, image]) {
        const key = blobKey(digest, repo);
        expect(await other.stat(key, never)).toMatchObject({ size: bytes.length });
        expect((await bytesOf(other.read(key, { start: 0, end: bytes.length }, never))).equals(bytes)).toBe(true);
      }
    for (const credentials of [{ ...registryLogin, password: 'wrong' }, undefined]) {
      await using wrong = open(guarded, { credentials });
      const refused = { why: expect.stringMatching(/^(credentials|refused)$/) };
      await expect(wrong.stat(tagKey('library/app', 'v1'), never)).rejects.toMatchObject(refused);
    }
  },
);

test('the list of tags, and of repositories, is in the order of keys', async () => {
  const own = await started(stack, startDistribution);
  await using backend = open(own);
  const image = madeImage([10]);
  const keys: string[] = [];
  for (const repo of ['a/b', 'a-b', 'a', 'a/0']) {
    await written(backend, repo, image);
    for (const tag of ['v10', 'v2', 'V1']) {
      await backend.put(tagKey(repo, tag), Buffer.from(image.digest), never);
      keys.push(tagKey(repo, tag));
    }
  }
  const { objects } = await backend.list('', { max: 100 }, never);
  expect(objects.map(({ key }) => key)).toEqual(keys.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))));
});

test('skopeo has from the registry what was pushed to Shoal, byte by byte; Shoal what was pushed to the registry', {
  timeout: 300_000,
}, async () => {
  const dir = await temporary(stack, 'cluster');
  const backends = join(dir, 'backends.yaml');
  const { registry } = server.rule;
  const own = `t${randomUUID()}`;
  const rules = [
    {
      name: 'mirror',
      repositories: 'mirror/**',
      readOnly: true,
      registry: { ...registry, namespace: { from: 'mirror', to: own } },
    },
    { name: 'main', durability: 'backend', registry: { ...registry, namespace: { to: own } } },
  ];
  writeFileSync(backends, JSON.stringify({ backends: rules }));
  const base = await freeBasePort(2);
  const cluster = await startAt(stack, { dir, base, agents: 2, backends });
  const proxy = { url: () => `http://${cluster.proxy}` };
  const agents = cluster.agents.map((at) => ({ url: () => `http://${at}` }));
  const images = [madeImage([9 << 20, 1000]), madeImage([100, 2 << 20])];
  const index = madeIndex(images);
  for (const image of images) await pushImage(proxy, 'library/app', image);
  await pushImage(proxy, 'library/app', { ...index, blobs: [] }, ['multi']);
  const upstream = `docker://${server.address}/${own}/library/app`;
  const inspect = ['inspect', '--raw', '--tls-verify=false'];
  await vi.waitFor(
    async () => expect(await run('skopeo', [...inspect, `${upstream}:multi`])).toBe(String(Buffer.from(index.bytes))),
    soon,
  );
  for (const image of images)
    expect(await run('skopeo', [...inspect, `${upstream}@${image.digest}`])).toBe(String(Buffer.from(image.bytes)));
  const copy = ['copy', '--all', '--preserve-digests', '--src-tls-verify=false', '--dest-tls-verify=false'];
  await run('skopeo', [...copy, `${upstream}:multi`, `dir:${join(dir, 'copy')}`]);
  // The other way: what somebody copies to the registry, through agents of the cluster.
  await run('skopeo', [...copy, `${upstream}:multi`, `docker://${server.address}/${own}/nginx:1`]);
  for (const agent of agents) {
    expect(String(await pulled(agent, OCI_PATHS.manifest('mirror/nginx', '1')))).toBe(String(Buffer.from(index.bytes)));
    for (const { digest, bytes, blobs } of images) {
      expect((await pulled(agent, OCI_PATHS.manifest('mirror/nginx', digest))).equals(bytes)).toBe(true);
      for (const blob of blobs)
        expect((await pulled(agent, OCI_PATHS.blob('mirror/nginx', blob.digest))).equals(blob.bytes)).toBe(true);
    }
    expect(await statusOf(agent, OCI_PATHS.manifest('mirror/nginx', '2'))).toBe(404);
    expect(await statusOf(agent, OCI_PATHS.manifest('mirror/nothing', '1'))).toBe(404);
  }
  // A push to what is a mirror stays here.
  await pushImage(proxy, 'mirror/nginx', images[0] as MadeImage, ['mine']);
  expect(String(await pulled(agents[0] as (typeof agents)[0], OCI_PATHS.manifest('mirror/nginx', 'mine')))).toBe(
    String(Buffer.from((images[0] as MadeImage).bytes)),
  );
  // What was written just now may be confirmed a moment later.
  await vi.waitFor(
    async () => {
      expect(await metricOf({ url: () => `http://127.0.0.1:${base + 2}` }, 'write_back_waiting')).toBe(0);
    },
    { timeout: 30_000, interval: 250 },
  );
  // While the registry is away what is here is given, and what is not is no 404.
  await server.process.kill();
  await new Promise((resolve) => setTimeout(resolve, 3_500));
  expect(String(await pulled(agents[1] as (typeof agents)[0], OCI_PATHS.manifest('mirror/nginx', '1')))).toBe(
    String(Buffer.from(index.bytes)),
  );
  expect(await statusOf(agents[1] as (typeof agents)[0], OCI_PATHS.manifest('mirror/nginx', '9'))).toBe(503);
  await server.process.start();
});

test('a cluster of Shoal is a registry, too', { timeout: 300_000 }, async () => {
  const cluster = await startAt(stack, {
    dir: await temporary(stack, 'cluster'),
    base: await freeBasePort(1),
    agents: 1,
  });
  const settings = registrySchema.parse({ address: cluster.proxy, plainHttp: true });
  await using backend = new RegistryBackend(settings, { name: 'shoal', stallMs: 10_000, env: {}, clock: realClock });
  await backend.probe(never);
  const image = madeImage([20 << 20, 1000]);
  await written(backend, 'library/app', image);
  await backend.put(tagKey('library/app', 'v1'), Buffer.from(image.digest), never);
  const agent = { url: () => `http://${cluster.agents[0]}` };
  expect((await pulled(agent, OCI_PATHS.manifest('library/app', 'v1'))).equals(image.bytes)).toBe(true);
  for (const { digest, bytes } of image.blobs)
    expect(
      (await bytesOf(backend.read(blobKey(digest, 'library/app'), { start: 0, end: bytes.length }, never))).equals(
        bytes,
      ),
    ).toBe(true);
  expect((await backend.list('', { max: 9 }, never)).objects.map(({ key }) => key)).toEqual([
    tagKey('library/app', 'v1'),
  ]);
  const cut = new AbortController();
  const large = sourceOf(randomBytes(30 << 20));
  setTimeout(() => cut.abort(new Error('enough')), 20);
  await expect(backend.write(blobKey(large.digest, 'library/app'), large, cut.signal)).rejects.toThrow('enough');
  expect(await backend.stat(blobKey(large.digest, 'library/app'), never)).toBeUndefined();
});
