/** Three origins and a tracker as real processes: a blob that lands anywhere comes to its owners. */

import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { ORIGIN } from '../core/contracts/origin.ts';
import { type Digest, digestOf } from '../core/digest.ts';
import { entryUrl } from '../platform/lifecycle/entry.ts';
import { Cluster, type Process } from '../platform/testing/cluster.ts';
import { freePort } from '../platform/testing/ports.ts';
import { ownersAmong } from '../platform/testing/ring.ts';

const ephemeral = { host: '127.0.0.1', port: 0 };
const replicas = 2;
let cluster: Cluster;
let urls: string[];
let origins: Process[];

beforeAll(async () => {
  cluster = await Cluster.make();
  const [trackerPort = 0, ...ports] = await Promise.all([freePort(), freePort(), freePort(), freePort()]);
  urls = ports.map((port) => `http://127.0.0.1:${port}`);
  const trackers = [`http://127.0.0.1:${trackerPort}`];
  const tracker = entryUrl('../tracker/main.ts', import.meta.url);
  await cluster.start(tracker, 'tracker', {
    role: 'tracker',
    listen: { ...ephemeral, port: trackerPort },
    origins: urls,
  });
  origins = await Promise.all(
    ports.map((port, no) =>
      cluster.start(entryUrl('./main.ts', import.meta.url), `origin-${no}`, {
        role: 'origin',
        listen: { ...ephemeral, port },
        peer: ephemeral,
        data: cluster.dataOf(`origin-${no}`),
        trackers,
        origins: urls,
        self: urls[no],
        replicas,
      }),
    ),
  );
}, 180_000);
afterAll(() => cluster?.[Symbol.asyncDispose]());

async function upload(url: string, bytes: Uint8Array): Promise<Digest> {
  const id = randomUUID();
  const digest = digestOf('sha256', createHash('sha256').update(bytes).digest('hex'));
  const json = { 'content-type': 'application/json' };
  await fetch(url + ORIGIN.upload.path({ id }), { method: 'POST', body: '{}', headers: json });
  if (bytes.length > 0)
    await fetch(url + ORIGIN.append.path({ id, offset: 0 }), { method: 'PATCH', body: bytes.slice() });
  expect((await fetch(url + ORIGIN.commit.path({ id, digest }), { method: 'PUT' })).status).toBe(200);
  return digest;
}

test('every owner holds every blob, wherever it was uploaded', async () => {
  const owners = await ownersAmong(urls);
  const blobs: [Digest, Buffer][] = [];
  for (const size of [0, 5, 20_000, 300_000, 3_000_000, 1, 100_000, 2_000_000]) {
    const bytes = randomBytes(size);
    blobs.push([await upload(urls[0] as string, bytes), bytes]);
  }
  for (const [digest, bytes] of blobs) {
    for (const owner of owners(digest, replicas)) {
      await vi.waitFor(
        async () => {
          const response = await fetch(owner + ORIGIN.read.path({ digest }));
          expect([owner, response.status]).toEqual([owner, 200]);
          expect(Buffer.from(await response.arrayBuffer()).equals(bytes)).toBe(true);
        },
        { timeout: 15_000, interval: 100 },
      );
    }
  }
}, 180_000);

test('an owner that was down gets it when it is back', async () => {
  const owners = await ownersAmong(urls);
  const [first, second, third] = origins as [Process, Process, Process];
  await second.stop('SIGKILL');
  let digest: Digest;
  let bytes: Buffer;
  do {
    bytes = randomBytes(400_000);
    digest = await upload(urls[0] as string, bytes);
  } while (!owners(digest, replicas).includes(urls[1] as string));
  expect(await first.stop()).toBe(0);
  // Both are started anew: what was not handed over is found on disk.
  const settings = (no: number) => ({
    role: 'origin',
    listen: { ...ephemeral, port: Number(new URL(urls[no] as string).port) },
    peer: ephemeral,
    data: cluster.dataOf(`origin-${no}`),
    trackers: ['http://127.0.0.1:1'],
    origins: urls,
    self: urls[no],
    replicas,
  });
  await cluster.start(entryUrl('./main.ts', import.meta.url), 'origin-1', settings(1));
  await cluster.start(entryUrl('./main.ts', import.meta.url), 'origin-0', settings(0));
  await vi.waitFor(
    async () => {
      const response = await fetch(urls[1] + ORIGIN.read.path({ digest }));
      expect(response.status).toBe(200);
      expect(Buffer.from(await response.arrayBuffer()).equals(bytes)).toBe(true);
    },
    { timeout: 15_000, interval: 100 },
  );
  expect(await third.stop()).toBe(0);
}, 180_000);
