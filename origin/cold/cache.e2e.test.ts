/** A real origin with a small disk over a directory: it is a cache in front of it, and two clusters may share that. */

import { createHash, randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ORIGIN } from '../../core/contracts/origin.ts';
import { ORIGIN_ADMIN } from '../../core/contracts/origin-admin.ts';
import { type Digest, digestOf } from '../../core/digest.ts';
import { registryLayout } from '../../platform/backends/layout.ts';
import { entryUrl } from '../../platform/lifecycle/entry.ts';
import { Cluster, type Process } from '../../platform/testing/cluster.ts';
import { freePort } from '../../platform/testing/ports.ts';

const ephemeral = { host: '127.0.0.1', port: 0 };
const MB = 1_000_000;
const repo = 'kept/app';
let cluster: Cluster;
let bucket: string;

beforeAll(async () => {
  cluster = await Cluster.make();
  bucket = cluster.dataOf('bucket');
  await mkdir(bucket);
});
afterAll(() => cluster?.[Symbol.asyncDispose]());

async function origin(name: string, more: object = {}): Promise<Process> {
  const port = await freePort();
  return await cluster.start(entryUrl('../main.ts', import.meta.url), name, {
    role: 'origin',
    listen: { ...ephemeral, port },
    peer: ephemeral,
    data: cluster.dataOf(name),
    trackers: ['http://127.0.0.1:1'],
    origins: [`http://127.0.0.1:${port}`],
    backends: [{ name: 'main', file: { directory: bucket } }],
    ...more,
  });
}

async function stored(bytes: Uint8Array): Promise<Digest> {
  const digest = digestOf('sha256', createHash('sha256').update(bytes).digest('hex'));
  const path = join(bucket, registryLayout.blobKey(digest));
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, bytes);
  return digest;
}

const read = (at: Process, digest: Digest): Promise<Response> =>
  fetch(at.url('api') + ORIGIN.read.path({ digest, repo }));

test('of a directory far larger than its disk everything can be read, and again', async () => {
  const small = await origin('small', { disk: { budget: '160MB' } });
  const blobs: { digest: Digest; bytes: Buffer }[] = [];
  for (let no = 0; no < 10; no++) {
    const bytes = randomBytes(30 * MB);
    blobs.push({ digest: await stored(bytes), bytes });
  }
  for (const { digest, bytes } of [...blobs, ...blobs]) {
    const response = await read(small, digest);
    expect(response.status).toBe(200);
    expect(Buffer.from(await response.arrayBuffer()).equals(bytes)).toBe(true);
  }
  const page = await fetch(small.url('api') + ORIGIN_ADMIN.list.path({ n: 100 }));
  const held = ORIGIN_ADMIN.list.reply(await page.json(), 'origin').blobs;
  expect(held.length).toBeGreaterThan(0);
  expect(held.length).toBeLessThanOrEqual(5);
}, 120_000);

test('what one cluster was pushed another one reads through the directory that they share', async () => {
  const [one, two] = await Promise.all([origin('one'), origin('two')]);
  const bytes = randomBytes(2 * MB);
  const digest = digestOf('sha256', createHash('sha256').update(bytes).digest('hex'));
  // Asked for before it was pushed: that it is unknown is remembered for a moment only.
  expect((await read(two, digest)).status).toBe(404);
  const id = 'f'.repeat(20);
  const url = one.url('api');
  await fetch(url + ORIGIN.begin.path({ id }), {
    method: 'POST',
    body: '{}',
    headers: { 'content-type': 'application/json' },
  });
  await fetch(url + ORIGIN.append.path({ id, offset: 0 }), { method: 'PATCH', body: bytes });
  expect((await fetch(url + ORIGIN.commit.path({ id, digest, repo }), { method: 'PUT' })).status).toBe(200);
  await expect.poll(async () => (await read(two, digest)).status, { timeout: 15_000 }).toBe(200);
  expect(Buffer.from(await (await read(two, digest)).arrayBuffer()).equals(bytes)).toBe(true);
}, 180_000);
