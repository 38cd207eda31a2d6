/** Index, proxy and origin as real processes: what nobody refers to any more goes by itself, and nothing else. */

import { createHash, randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { entryUrl } from '../../platform/lifecycle/entry.ts';
import { Cluster } from '../../platform/testing/cluster.ts';
import { freePort } from '../../platform/testing/ports.ts';

const ephemeral = { host: '127.0.0.1', port: 0 };
const graceMs = 3_000;
const imageType = 'application/vnd.oci.image.manifest.v1+json';
const repo = 'team/app';

let cluster: Cluster;
let proxy: string;
let index: string;
let origin: string;

beforeAll(async () => {
  cluster = await Cluster.make();
  const started = await cluster.start(entryUrl('../../index/main.ts', import.meta.url), 'index', {
    ...{ role: 'index', listen: ephemeral, data: cluster.dataOf('index'), keepUnlinked: '1s' },
    gc: { grace: `${graceMs}ms`, every: '1s' },
  });
  index = started.url('api');
  const port = await freePort();
  const origins = [`http://127.0.0.1:${port}`];
  const held = await cluster.start(entryUrl('../main.ts', import.meta.url), 'origin', {
    ...{ role: 'origin', listen: { ...ephemeral, port }, peer: ephemeral, data: cluster.dataOf('origin') },
    ...{ trackers: ['http://127.0.0.1:1'], disk: { budget: '1GB' }, index: [index], origins },
  });
  origin = held.url('api');
  const settings = { role: 'proxy', listen: ephemeral, index: [index], origins };
  proxy = (await cluster.start(entryUrl('../../proxy/main.ts', import.meta.url), 'proxy', settings)).url('registry');
}, 180_000);
afterAll(() => cluster?.[Symbol.asyncDispose]());

const digestOf = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
const call = (method: string, path: string, init: RequestInit = {}): Promise<Response> =>
  fetch(proxy + path, { method, ...init });

async function pushBlob(bytes: Uint8Array): Promise<string> {
  const answer = await call('POST', `/v2/${repo}/blobs/uploads/?digest=${digestOf(bytes)}`, { body: bytes.slice() });
  expect([answer.status, await answer.text()]).toEqual([201, '']);
  return digestOf(bytes);
}

async function putManifest(reference: string, blobs: readonly Uint8Array[]): Promise<Response> {
  const [config, ...layers] = blobs.map((bytes) => ({ mediaType: 'a/b', digest: digestOf(bytes), size: bytes.length }));
  const body = JSON.stringify({ schemaVersion: 2, mediaType: imageType, config, layers });
  return await call('PUT', `/v2/${repo}/manifests/${reference}`, { body, headers: { 'content-type': imageType } });
}

const onOrigin = async (digest: string): Promise<boolean> =>
  (await fetch(`${origin}/v1/blobs/${digest}`, { method: 'HEAD' })).status === 200;
const asked = async (method: string, url: string, apply?: boolean) => {
  const json =
    apply === undefined ? {} : { body: JSON.stringify({ apply }), headers: { 'content-type': 'application/json' } };
  return (await (await fetch(url, { method, ...json })).json()) as Record<string, number | boolean>;
};

test('a deleted image leaves the origin with its layers, but for those that another one has', async () => {
  const [shared, ...own] = [randomBytes(5_000), randomBytes(50_000), randomBytes(60_000)];
  for (const bytes of [shared as Buffer, ...own]) await pushBlob(bytes);
  const image = await putManifest('v1', [shared as Buffer, ...own]);
  expect(image.status).toBe(201);
  const manifest = image.headers.get('docker-content-digest') as string;
  expect((await putManifest('v2', [shared as Buffer])).status).toBe(201);
  await sleep(2 * graceMs);
  for (const bytes of own) expect(await onOrigin(digestOf(bytes))).toBe(true);
  expect((await call('DELETE', `/v2/${repo}/manifests/${manifest}`)).status).toBe(202);

  expect(await asked('POST', `${index}/v1/gc/steps`, false)).toMatchObject({ links: 0, idle: 2, due: 0 });
  for (const digest of [manifest, ...own.map(digestOf)])
    await expect.poll(() => onOrigin(digest), { timeout: 30_000 }).toBe(false);
  expect(await onOrigin(digestOf(shared as Buffer))).toBe(true);
  expect((await call('GET', `/v2/${repo}/blobs/${digestOf(shared as Buffer)}`)).status).toBe(200);
  // The registry says so as well, and takes it again.
  expect((await call('HEAD', `/v2/${repo}/blobs/${digestOf(own[0] as Buffer)}`)).status).toBe(404);
  await pushBlob(own[0] as Buffer);
  expect(await onOrigin(digestOf(own[0] as Buffer))).toBe(true);
}, 90_000);

test('what a pusher was told of stays for a grace, so that its manifest finds it', async () => {
  const bytes = randomBytes(40_000);
  const digest = await pushBlob(bytes);
  for (let turn = 0; turn < 4; turn++) {
    await sleep(graceMs * 0.6);
    expect((await call('HEAD', `/v2/${repo}/blobs/${digest}`)).status).toBe(200);
  }
  expect((await putManifest('v3', [bytes])).status).toBe(201);
  await sleep(2 * graceMs);
  expect(await onOrigin(digest)).toBe(true);
}, 180_000);

test('who comes too late is told what to push again', async () => {
  const bytes = randomBytes(30_000);
  const digest = await pushBlob(bytes);
  await expect.poll(() => onOrigin(digest), { timeout: 30_000 }).toBe(false);
  const late = await putManifest('v4', [bytes]);
  expect([late.status, await late.text()]).toEqual([404, expect.stringContaining(`does not hold ${digest}: push it`)]);
  await pushBlob(bytes);
  expect((await putManifest('v4', [bytes])).status).toBe(201);
}, 180_000);

test('an operator is told what would go, and has it go', async () => {
  const answer = await asked('POST', `${origin}/v1/gc`, false);
  expect(answer).toMatchObject({ apply: false });
  await expect.poll(async () => (await asked('GET', `${origin}/v1/gc`))['running']).toBe(false);
  const metrics = await (await fetch(`${origin}/metrics`)).text();
  expect(Number(/^shoal_gc_removed_total\S* (\d+)$/m.exec(metrics)?.[1])).toBeGreaterThanOrEqual(4);
  expect(metrics).toContain('shoal_gc_last_seconds');
});
