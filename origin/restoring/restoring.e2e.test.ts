/** Two origins and an index over a directory, as real processes: all their disks are lost, and nobody reads anything. */

import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { INDEX } from '../../core/contracts/index-api.ts';
import { ORIGIN } from '../../core/contracts/origin.ts';
import type { ReconcileReply } from '../../core/contracts/reconcile.ts';
import { type Digest, digestOf } from '../../core/digest.ts';
import { entryUrl } from '../../platform/lifecycle/entry.ts';
import { Cluster, type Process } from '../../platform/testing/cluster.ts';
import { freePort } from '../../platform/testing/ports.ts';

const host = '127.0.0.1';
const repo = 'kept/app';
const json = { 'content-type': 'application/json' };
const patient = { timeout: 60_000, interval: 200 };
const mediaType = 'application/vnd.oci.image.manifest.v1+json';

let cluster: Cluster;
let urls: string[];
let index: string;
let backends: object[];
const running: Process[] = [];

beforeAll(async () => {
  cluster = await Cluster.make();
  const ports = await Promise.all([0, 0, 0].map(() => freePort()));
  const [first, ...origins] = ports.map((port) => `http://${host}:${port}`);
  index = first as string;
  urls = origins;
  await mkdir(cluster.dataOf('bucket'));
  backends = [{ name: 'main', file: { directory: cluster.dataOf('bucket') } }];
}, 180_000);
afterAll(() => cluster?.[Symbol.asyncDispose]());

const listen = (url: string) => ({ host, port: Number(new URL(url).port) });

async function startIndex(): Promise<void> {
  const data = cluster.dataOf('index');
  const settings = { role: 'index', listen: listen(index), data, backends };
  running.push(await cluster.start(entryUrl('../../index/main.ts', import.meta.url), 'index', settings));
}

async function startOrigin(no: number): Promise<void> {
  const settings = {
    role: 'origin',
    listen: listen(urls[no] as string),
    peer: { host, port: 0 },
    data: cluster.dataOf(`origin-${no}`),
    trackers: ['http://127.0.0.1:1'],
    index: [index],
    origins: urls,
    members: { grace: '1s' },
    repair: { every: '3s' },
    backends,
  };
  running.push(await cluster.start(entryUrl('../main.ts', import.meta.url), `origin-${no}`, settings));
}

async function upload(no: number, bytes: Uint8Array): Promise<Digest> {
  const id = randomUUID();
  const url = urls[no] as string;
  const digest = digestOf('sha256', createHash('sha256').update(bytes).digest('hex'));
  await fetch(url + ORIGIN.begin.path({ id }), { method: 'POST', body: '{}', headers: json });
  await fetch(url + ORIGIN.append.path({ id, offset: 0 }), { method: 'PATCH', body: bytes.slice() });
  expect((await fetch(url + ORIGIN.commit.path({ id, digest, repo }), { method: 'PUT' })).status).toBe(200);
  return digest;
}

async function put(path: string, body: object): Promise<void> {
  const answer = await fetch(index + path, { method: 'PUT', body: JSON.stringify(body), headers: json });
  expect([answer.status, answer.ok ? '' : await answer.text()]).toEqual([answer.ok ? answer.status : 200, '']);
}

/** Of size, pushed and linked by a manifest under a tag. */
async function pushed(): Promise<Digest[]> {
  const blobs: Digest[] = [];
  for (const [no, size] of [5, 20_000, 300_000, 2_000_000].entries()) {
    const digest = await upload(no % 2, randomBytes(size));
    await put(INDEX.linkBlob.path({ name: repo, digest }), { size });
    blobs.push(digest);
  }
  const layers = blobs.map((digest) => ({ mediaType: 'application/octet-stream', digest, size: 1 }));
  const manifest = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, config: layers[0], layers }));
  const digest = await upload(0, manifest);
  const about = { mediaType, size: manifest.length, tags: ['v1'], blobs, manifests: [] };
  await put(INDEX.putManifest.path({ name: repo, digest }), about);
  return [...blobs, digest];
}

/** Nothing is owed to the backend, by the origins or by the index. */
async function written(): Promise<void> {
  await vi.waitFor(async () => {
    for (const url of [...urls, index]) {
      const text = await (await fetch(`${url}/metrics`)).text();
      const waiting = text.split('\n').filter((line) => /^shoal_write_back_waiting/.test(line));
      for (const line of waiting) expect(line).toMatch(/ 0$/);
    }
  }, patient);
}

const holds = async (url: string, digest: Digest): Promise<boolean> =>
  (await fetch(url + ORIGIN.info.path({ digest, proof: 'sample' }))).status === 200;

test('all disks are lost: after a reconcile the origins have what is linked again, copies and all, without a reader', async () => {
  await startIndex();
  await Promise.all([0, 1].map(startOrigin));
  const blobs = await pushed();
  const stray = await upload(0, randomBytes(40_000));
  await written();
  for (const process of running.splice(0)) await process.stop('SIGKILL');
  for (const name of ['index', 'origin-0', 'origin-1']) await rm(cluster.dataOf(name), { recursive: true });
  await startIndex();
  const asked = { apply: true, keys: 500 };
  const answer = await fetch(index + INDEX.reconcile.path({}), {
    method: 'POST',
    body: JSON.stringify(asked),
    headers: json,
  });
  const { next, broken } = (await answer.json()) as ReconcileReply;
  expect([answer.status, next, broken]).toEqual([200, undefined, []]);
  await Promise.all([0, 1].map(startOrigin));
  await vi.waitFor(async () => {
    const missing: string[] = [];
    for (const digest of blobs)
      for (const url of urls) if (!(await holds(url, digest))) missing.push(`${url} ${digest}`);
    expect(missing).toEqual([]);
  }, patient);
  // What nothing links to stays where it is.
  for (const url of urls) expect(await holds(url, stray)).toBe(false);
}, 240_000);
