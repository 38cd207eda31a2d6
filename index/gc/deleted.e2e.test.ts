/** Index, proxy and origin as real processes, with a backend that is this cluster's alone: what was deleted goes from there. */

import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { entryUrl } from '../../platform/lifecycle/entry.ts';
import { Cluster } from '../../platform/testing/cluster.ts';
import { freePort } from '../../platform/testing/ports.ts';

const ephemeral = { host: '127.0.0.1', port: 0 };
const imageType = 'application/vnd.oci.image.manifest.v1+json';
const repo = 'team/app';
const long = { timeout: 60_000 };

let cluster: Cluster;
let proxy: string;
let index: string;
let directory: string;

beforeAll(async () => {
  cluster = await Cluster.make();
  directory = cluster.dataOf('bucket');
  await mkdir(directory, { recursive: true });
  const backends = [{ name: 'main', file: { directory }, delete: true }];
  const port = await freePort();
  const origins = [`http://127.0.0.1:${port}`];
  const started = await cluster.start(entryUrl('../main.ts', import.meta.url), 'index', {
    ...{ role: 'index', listen: ephemeral, data: cluster.dataOf('index'), keepUnlinked: '1s', origins, backends },
    gc: { grace: '2s', every: '1s' },
  });
  index = started.url('api');
  await cluster.start(entryUrl('../../origin/main.ts', import.meta.url), 'origin', {
    ...{ role: 'origin', listen: { ...ephemeral, port }, peer: ephemeral, data: cluster.dataOf('origin') },
    ...{ trackers: ['http://127.0.0.1:1'], disk: { budget: '1GB' }, index: [index], origins, backends },
  });
  const settings = { role: 'proxy', listen: ephemeral, index: [index], origins };
  proxy = (await cluster.start(entryUrl('../../proxy/main.ts', import.meta.url), 'proxy', settings)).url('registry');
}, 180_000);
afterAll(() => cluster?.[Symbol.asyncDispose]());

const digestOf = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
const call = (method: string, path: string, init: RequestInit = {}): Promise<Response> =>
  fetch(proxy + path, { method, ...init });
const fileOf = (digest: string): string => {
  const hex = digest.slice('sha256:'.length);
  return join(directory, 'docker/registry/v2/blobs/sha256', hex.slice(0, 2), hex, 'data');
};
const inBackend = (digest: string): boolean => existsSync(fileOf(digest));

/** The manifest's digest. */
async function push(reference: string, blobs: readonly Uint8Array[]): Promise<string> {
  for (const bytes of blobs) {
    const answer = await call('POST', `/v2/${repo}/blobs/uploads/?digest=${digestOf(bytes)}`, { body: bytes.slice() });
    expect([answer.status, await answer.text()]).toEqual([201, '']);
  }
  const [config, ...layers] = blobs.map((bytes) => ({ mediaType: 'a/b', digest: digestOf(bytes), size: bytes.length }));
  const body = JSON.stringify({ schemaVersion: 2, mediaType: imageType, config, layers });
  const answer = await call('PUT', `/v2/${repo}/manifests/${reference}`, {
    body,
    headers: { 'content-type': imageType },
  });
  expect([answer.status, await answer.text()]).toEqual([201, '']);
  return answer.headers.get('docker-content-digest') as string;
}

test('a deleted image leaves the backend but for what another one has, and is there again once it is pushed again', async () => {
  const [shared, ...own] = [5_000, 50_000, 60_000].map((size) => randomBytes(size));
  const all = [shared as Buffer, ...own];
  const manifest = await push('v1', all);
  const kept = await push('v2', [shared as Buffer]);
  const [goes, stays] = [
    [manifest, ...own.map(digestOf)],
    [kept, digestOf(shared as Buffer)],
  ];
  for (const digest of [...goes, ...stays]) await expect.poll(() => inBackend(digest), long).toBe(true);
  expect((await call('DELETE', `/v2/${repo}/manifests/${manifest}`)).status).toBe(202);
  for (const digest of goes) await expect.poll(() => inBackend(digest), long).toBe(false);
  expect(stays.map(inBackend)).toEqual([true, true]);

  expect(await push('v3', all)).toBe(manifest);
  for (const digest of goes) await expect.poll(() => inBackend(digest), long).toBe(true);
  for (const bytes of all) {
    const got = await call('GET', `/v2/${repo}/blobs/${digestOf(bytes)}`);
    expect(digestOf(new Uint8Array(await got.arrayBuffer()))).toBe(digestOf(bytes));
    expect(digestOf(await readFile(fileOf(digestOf(bytes))))).toBe(digestOf(bytes));
  }
  const said = await (await fetch(`${index}/metrics`)).text();
  expect(Number(/^shoal_gc_backend_deleted_total\S* (\d+)$/m.exec(said)?.[1])).toBeGreaterThanOrEqual(goes.length);
}, 150_000);
