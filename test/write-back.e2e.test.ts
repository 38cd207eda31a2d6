/** Pushes into repositories with a backend, through real processes: what is acknowledged comes there, whatever happens to it. */

import { randomBytes } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { ORIGIN } from '../core/contracts/origin.ts';
import { type BlobStatus, ORIGIN_ADMIN } from '../core/contracts/origin-admin.ts';
import type { Digest } from '../core/digest.ts';
import { OCI_PATHS } from '../core/oci/paths.ts';
import { registryLayout } from '../platform/backends/layout.ts';
import { Cluster } from '../platform/testing/cluster.ts';
import { ownersAmong } from '../platform/testing/ring.ts';
import { BackedCluster, digestOfBytes } from './backed.fixtures.ts';

const patience = { timeout: 30_000, interval: 100 } as const;
let cluster: Cluster;
let backed: BackedCluster;
let main: string;
let other: string;

async function made(name: string): Promise<string> {
  const dir = join(cluster.dir, name);
  await mkdir(dir);
  return dir;
}

beforeAll(async () => {
  cluster = await Cluster.make();
  [main, other] = [await made('main'), await made('other')];
  backed = await BackedCluster.start(cluster, {
    origins: 3,
    backends: [
      { repositories: 'other/**', name: 'other', file: { directory: other } },
      { repositories: 'sure/**', name: 'sure', file: { directory: main }, durability: 'backend' },
      { repositories: 'none/**', name: 'none', noop: {} },
      { name: 'main', file: { directory: main } },
    ],
  });
}, 180_000);
afterAll(() => cluster?.[Symbol.asyncDispose]());

async function written(dir: string, bytes: Uint8Array): Promise<boolean> {
  const file = join(dir, registryLayout.blobKey(digestOfBytes(bytes)));
  const there = await readFile(file).catch(() => undefined);
  return there?.equals(bytes) ?? false;
}

/** Of a database that was in use both files count. */
async function damage(no: number): Promise<void> {
  for (const file of ['queue.db', 'queue.db-wal']) await writeFile(join(backed.dataOf(no), file), 'x'.repeat(20_000));
}

const noneWaits = (): Promise<void> =>
  vi.waitFor(async () => expect(await backed.metric('write_back_waiting{')).toBe(0), patience);

test('what is pushed comes to the backend once, a manifest as well, and no row is left', async () => {
  const blobs = [0, 5, 20_000, 300_000, 3_000_000].map((size) => randomBytes(size));
  for (const bytes of blobs) expect(await backed.push('team/app', bytes)).toBe(201);
  const [config = Buffer.from(''), layer = config] = blobs.slice(1);
  const described = (bytes: Buffer) => ({ mediaType: 'm/x', digest: digestOfBytes(bytes), size: bytes.length });
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  const manifest = { schemaVersion: 2, mediaType, config: described(config), layers: [described(layer)] };
  const body = Buffer.from(JSON.stringify(manifest));
  const headers = { 'content-type': mediaType };
  expect((await backed.ask('PUT', OCI_PATHS.manifest('team/app', 'v1'), { body, headers })).status).toBe(201);
  for (const bytes of [...blobs, body])
    await vi.waitFor(async () => expect(await written(main, bytes)).toBe(true), patience);
  await noneWaits();
  expect(await backed.metric('write_backs_total', 'how="uploaded"')).toBe(blobs.length + 1);
}, 180_000);

test('a mount into a repository with another backend brings it there as well', async () => {
  const bytes = randomBytes(400_000);
  expect(await backed.push('team/app', bytes)).toBe(201);
  const mount = `${OCI_PATHS.uploads('other/app')}?mount=${digestOfBytes(bytes)}&from=team%2Fapp`;
  expect((await backed.ask('POST', mount)).status).toBe(201);
  await vi.waitFor(async () => expect(await written(other, bytes)).toBe(true), patience);
  await noneWaits();
}, 180_000);

test('`durability: backend`: it is there when the push is acknowledged', async () => {
  for (const size of [10, 2_000_000]) {
    const bytes = randomBytes(size);
    expect(await backed.push('sure/app', bytes)).toBe(201);
    expect(await written(main, bytes)).toBe(true);
  }
}, 180_000);

test('a backend that keeps nothing is asked for nothing', async () => {
  expect(await backed.push('none/app', randomBytes(100_000))).toBe(201);
  await noneWaits();
}, 180_000);

describe('a backend that is away', () => {
  const left: Buffer[] = [];
  const bytes = randomBytes(500_000);
  const digest: Digest = digestOfBytes(bytes);

  test('holds up no push and no read; the blobs are not deleted meanwhile', async () => {
    await rename(main, `${main}-away`);
    for (let no = 0; no < 10; no++) {
      const more = no === 0 ? bytes : randomBytes(100_000);
      expect(await backed.push('team/app', more)).toBe(201);
      left.push(more);
    }
    expect((await backed.ask('GET', OCI_PATHS.blob('team/app', digest))).status).toBe(200);
    await vi.waitFor(async () => expect(await backed.metric('write_back_failures_total')).toBeGreaterThan(0), patience);
    // Whose the blob is, and so who holds it by now or soon, is as random as its digest.
    const [first] = (await ownersAmong(backed.urls))(digest) as [string];
    const answer = await vi.waitFor(async () => {
      const told = await fetch(first + ORIGIN_ADMIN.status.path({ digest }));
      const { state, unwritten } = (await told.json()) as BlobStatus;
      expect([state, unwritten.length]).toEqual(['whole', 1]);
      return await fetch(first + ORIGIN.remove.path({ digest }), { method: 'DELETE' });
    }, patience);
    expect([answer.status, await answer.text()]).toEqual([
      503,
      expect.stringContaining(`backend main has not confirmed ${digest}`),
    ]);
  }, 60_000);

  test('meanwhile the copy decays at the origin that is to write it', async () => {
    const [first] = (await ownersAmong(backed.urls))(digest);
    const folder = join(backed.dataOf(backed.urls.indexOf(first as string)), 'blobs/sha256', digest.slice(7, 9));
    const name = (await readdir(folder)).find((one) => one.startsWith(digest.slice(7)));
    const file = await open(join(folder, name as string), 'r+');
    await file.write(Buffer.from('!decayed!'), 0, 9, 300_000);
    await file.close();
  });

  test('makes a push that needs it a 503 that names it', async () => {
    const body = randomBytes(1_000);
    const path = `${OCI_PATHS.uploads('sure/app')}?digest=${digestOfBytes(body)}`;
    const answer = await backed.ask('POST', path, { body });
    expect([answer.status, answer.body]).toEqual([503, expect.stringContaining('backend sure has not confirmed')]);
  }, 60_000);

  test('gets all of it, and each byte right, once it is back, though every origin was killed and one queue was damaged', async () => {
    for (const no of [0, 1, 2]) await backed.killOrigin(no);
    await damage(1);
    await rename(`${main}-away`, main);
    await Promise.all([0, 1, 2].map((no) => backed.startOrigin(no)));
    expect((await cluster.log('origin-1')).includes('queue.db.damaged-1')).toBe(true);
    for (const more of left) await vi.waitFor(async () => expect(await written(main, more)).toBe(true), patience);
    await noneWaits();
    const answer = await fetch(backed.urls[0] + ORIGIN.remove.path({ digest }), { method: 'DELETE' });
    expect([202, 200, 204, 404]).toContain(answer.status);
  }, 120_000);
});

test('a queue that is lost is made again from the blobs: the only row of a blob is found by who has the index', async () => {
  await rename(main, `${main}-away`);
  const bytes = randomBytes(50_000);
  expect(await backed.push('team/app', bytes)).toBe(201);
  for (const no of [0, 1, 2]) {
    await backed.killOrigin(no);
    await damage(no);
  }
  await rename(`${main}-away`, main);
  await Promise.all([0, 1, 2].map((no) => backed.startOrigin(no)));
  await vi.waitFor(async () => expect(await written(main, bytes)).toBe(true), patience);
  await noneWaits();
}, 120_000);
