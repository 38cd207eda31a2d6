/** The agent's registry over HTTP where images must be signed: by which door what comes out. */

import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Digest } from '../core/digest.ts';
import { MEDIA } from '../core/oci/media.ts';
import { createHttp, listen } from '../platform/http/server.ts';
import { realClock } from '../platform/net/clock.ts';
import { registerRegistry } from '../platform/registry/routes.ts';
import { payload, SignedImages, signer, tagOf } from '../platform/signatures/signing.fixtures.ts';
import { silentLog } from '../platform/telemetry/log.ts';
import { Metrics } from '../platform/telemetry/metrics.ts';
import { PullLog, Pulls } from './pull.ts';
import { AgentRegistry, type IndexReads } from './registry.ts';
import { SignedRegistry } from './signed.ts';
import { MemorySwarm } from './testing/memory.ts';

const repo = 'team/app';
const ours = signer();
let images: SignedImages;
let stack: AsyncDisposableStack;
let base: string;

beforeEach(async () => {
  stack = new AsyncDisposableStack();
  images = new SignedImages();
  const [log, metrics, clock] = [silentLog(), new Metrics(), realClock];
  const swarm = stack.use(new MemorySwarm());
  const has = { get: (digest: Digest) => images.blobs.get(digest) } as typeof swarm.has;
  Object.assign(swarm, { has });
  const { store } = images;
  const index: IndexReads = {
    tag: (...of) => images.tag(of[0], of[1]),
    referrers: (...of) => images.referrers(of[0], of[1], of[2]),
    manifest: async (name, digest) => store.manifest(name, digest),
    blob: async (name, digest) => store.blob(name, digest),
    catalog: async (page) => store.catalog(page),
    tags: async (name, page) => (await store.tags(name, page)) ?? { tags: [], more: false },
  };
  const history = new PullLog({ log, metrics, clock, cacheBytes: () => 0 });
  const pulls = new Pulls({
    store: swarm.store,
    arena: swarm.arena,
    node: swarm.node,
    tracking: swarm.tracking,
    log,
    history,
    clock,
  });
  const served = new AgentRegistry({ pulls, index, proxy: 'http://proxy:15000' });
  const policies = [
    { name: 'p', repositories: ['team/*'], mode: 'enforce', identity: 'repository', keys: [ours.pem] },
  ] as const;
  const app = createHttp({ role: 'agent', log, metrics, readiness: async () => [] });
  registerRegistry(app, new SignedRegistry({ served, policies, pulls, index, log, metrics, clock }));
  const { port } = stack.use(await listen(app, { host: '127.0.0.1', port: 0 }));
  base = `http://127.0.0.1:${port}/v2`;
});
afterEach(() => stack.disposeAsync());

async function ask(path: string, method = 'GET'): Promise<readonly [status: number, body: string]> {
  const answer = await fetch(`${base}/${path}`, { method });
  return [answer.status, await answer.text()];
}
const text = (digest: Digest): string => Buffer.from(images.blobs.get(digest) ?? []).toString();

test('a manifest that is signed is given by every door, one that is not by none', async () => {
  const signed = await images.image(repo, 'one', ['signed']);
  const unsigned = await images.image(repo, 'two', ['unsigned']);
  await images.sign(repo, signed, ours);
  const doors = (tag: string, digest: Digest) => [`manifests/${tag}`, `manifests/${digest}`, `blobs/${digest}`];
  for (const door of doors('signed', signed)) {
    expect([door, ...(await ask(`${repo}/${door}`))]).toEqual([door, 200, text(signed)]);
    expect([door, ...(await ask(`${repo}/${door}`, 'HEAD'))]).toEqual([door, 200, '']);
  }
  for (const door of doors('unsigned', unsigned)) {
    const [status, body] = await ask(`${repo}/${door}`);
    expect([door, status, JSON.parse(body).errors[0]]).toEqual([
      door,
      403,
      expect.objectContaining({
        code: 'DENIED',
        message: expect.stringContaining(`${repo}@${unsigned} is not signed`),
      }),
    ]);
    if (door.startsWith('manifests')) expect((await ask(`${repo}/${door}`, 'HEAD'))[0]).toBe(403);
  }
  const part = await fetch(`${base}/${repo}/blobs/${unsigned}`, { headers: { range: 'bytes=5-9' } });
  expect(part.status).toBe(403);
});

test('configurations and layers are given as always, in parts as well; other repositories need nothing', async () => {
  const image = await images.image(repo, 'a layer that is no JSON');
  const { config, layers } = JSON.parse(text(image));
  expect(await ask(`${repo}/blobs/${config.digest}`)).toEqual([200, '{}']);
  expect(await ask(`${repo}/blobs/${layers[0].digest}`)).toEqual([200, 'a layer that is no JSON']);
  const json = await images.blob(repo, Buffer.from('{"some":"settings"}'));
  const part = await fetch(`${base}/${repo}/blobs/${json}`, { headers: { range: 'bytes=2-5' } });
  expect([part.status, await part.text()]).toEqual([206, 'some']);
  const other = await images.image('other', 'three', ['1']);
  for (const door of ['manifests/1', `manifests/${other}`, `blobs/${other}`])
    expect([door, ...(await ask(`other/${door}`))]).toEqual([door, 200, text(other)]);
});

test('an index that is signed brings its children; signatures can be read', async () => {
  const child = await images.image(repo, 'arm');
  const index = await images.index(repo, [child], ['multi']);
  const attached = await images.attach(repo, index, [
    await images.signature(repo, ours, payload(index, `h:1/${repo}`)),
  ]);
  expect((await ask(`${repo}/manifests/${child}`))[0]).toBe(403);
  expect(await ask(`${repo}/manifests/multi`, 'HEAD')).toEqual([200, '']);
  expect(await ask(`${repo}/manifests/${child}`)).toEqual([200, text(child)]);
  expect(await ask(`${repo}/manifests/${tagOf(index)}`)).toEqual([200, text(attached)]);
  expect(JSON.parse((await ask(`${repo}/referrers/${index}`))[1]).mediaType).toBe(MEDIA.ociIndex);
});

test('where the index does not answer, a digest is given that is known to be signed', async () => {
  const [known, unknown] = [await images.image(repo, 'one'), await images.image(repo, 'two')];
  for (const digest of [known, unknown]) await images.sign(repo, digest, ours);
  expect((await ask(`${repo}/manifests/${known}`))[0]).toBe(200);
  images.down = true;
  expect((await ask(`${repo}/manifests/${known}`))[0]).toBe(200);
  expect((await ask(`${repo}/manifests/${unknown}`))[0]).toBe(503);
});
