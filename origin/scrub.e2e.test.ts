/** Two origins as real processes: what rots on a disk that nobody reads is found, and comes again. */

import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { ORIGIN } from '../core/contracts/origin.ts';
import { type Digest, digestOf } from '../core/digest.ts';
import { entryUrl } from '../platform/lifecycle/entry.ts';
import { blobFiles, damage } from '../platform/store/store.fixtures.ts';
import { Cluster } from '../platform/testing/cluster.ts';
import { freePort } from '../platform/testing/ports.ts';

const ephemeral = { host: '127.0.0.1', port: 0 };
const bytes = randomBytes(3_000_000);
const digest: Digest = digestOf('sha256', createHash('sha256').update(bytes).digest('hex'));
let cluster: Cluster;
let urls: string[];

beforeAll(async () => {
  cluster = await Cluster.make();
  const [trackerPort = 0, ...ports] = await Promise.all([freePort(), freePort(), freePort()]);
  urls = ports.map((port) => `http://127.0.0.1:${port}`);
  const listen = { ...ephemeral, port: trackerPort };
  await cluster.start(entryUrl('../tracker/main.ts', import.meta.url), 'tracker', {
    role: 'tracker',
    listen,
    origins: urls,
  });
  await Promise.all(
    ports.map((port, no) =>
      cluster.start(entryUrl('./main.ts', import.meta.url), `origin-${no}`, {
        role: 'origin',
        listen: { ...ephemeral, port },
        peer: ephemeral,
        data: cluster.dataOf(`origin-${no}`),
        trackers: [`http://127.0.0.1:${trackerPort}`],
        origins: urls,
        self: urls[no],
        // It is looked at by whoever scrubs only.
        scrub: { every: '2s' },
      }),
    ),
  );
}, 180_000);
afterAll(() => cluster?.[Symbol.asyncDispose]());

const filesOf = (no: number): string[] => blobFiles(cluster.dataOf(`origin-${no}`));
const right = (no: number): boolean => {
  const [file] = filesOf(no);
  return file !== undefined && readFileSync(file).subarray(0, bytes.length).equals(bytes);
};
const metric = async (no: number, name: string): Promise<number> => {
  const text = await (await fetch(`${urls[no]}/metrics`)).text();
  return Number(
    text
      .split('\n')
      .find((line) => line.startsWith(name))
      ?.split(' ')
      .at(-1),
  );
};

test('a byte that rotted at one origin is right again, from the other one, though nobody asked for the blob', async () => {
  const id = randomUUID();
  const headers = { 'content-type': 'application/json' };
  await fetch(urls[0] + ORIGIN.upload.path({ id }), { method: 'POST', body: '{}', headers });
  await fetch(urls[0] + ORIGIN.append.path({ id, offset: 0 }), { method: 'PATCH', body: bytes.slice() });
  expect((await fetch(urls[0] + ORIGIN.commit.path({ id, digest }), { method: 'PUT' })).status).toBe(200);
  await vi.waitFor(() => expect([right(0), right(1)]).toEqual([true, true]), { timeout: 60_000, interval: 50 });
  damage(filesOf(0)[0] as string, 1_234_567);
  expect(right(0)).toBe(false);
  await vi.waitFor(() => expect(right(0)).toBe(true), { timeout: 60_000, interval: 50 });
  expect(await metric(0, 'shoal_scrubbed_blobs_total{result="decayed"}')).toBeGreaterThan(0);
  expect(await metric(1, 'shoal_scrubbed_blobs_total{result="decayed"}')).toBe(0);
}, 150_000);
