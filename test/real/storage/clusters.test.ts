/**
 * A cluster of real processes in front of a real server of each kind: what was pushed outlives every disk of the cluster.
 * Where a kind is only read, what is put there by hand is pulled, before and after.
 */

import { randomBytes } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { OCI_PATHS } from '../../../core/oci/paths.ts';
import { abilities } from '../../backends-page.fixtures.ts';
import {
  type Made,
  made,
  madeImage,
  metricOf,
  pulled,
  pushBlob,
  pushImage,
  type Reached,
  statusOf,
} from '../../images.fixtures.ts';
import { type Cluster, type Place, shoal, startAt } from '../cluster.ts';
import { freeBasePort, run, temporary } from '../processes.ts';
import { ofShort } from '../short.ts';
import { storageServers } from './servers/all.ts';
import { type StorageServer, started } from './servers/server.ts';

const agents = 2;
const repo = 'library/app';
const layerBytes = [9 << 20, 1 << 20, 30, 0];
const bigBytes = 64 << 20;
const testMsMax = 300_000;
const written = { timeout: 60_000, interval: 250 } as const;

/** What its parts have at that port. */
const reached = (port: string | number): Reached => ({ url: () => `http://127.0.0.1:${port}` });
const at = (address: string): Reached => ({ url: () => `http://${address}` });

async function placeOf(stack: AsyncDisposableStack, server: StorageServer): Promise<Place> {
  const dir = await temporary(stack, 'cluster');
  const backends = join(dir, 'backends.yaml');
  // JSON is YAML.
  await writeFile(backends, JSON.stringify({ backends: [server.rule] }));
  return { dir, base: await freeBasePort(agents), agents, backends, env: server.env };
}

/** The same cluster, with nothing on its disks. */
async function emptied(stack: AsyncDisposableStack, cluster: Cluster, place: Place): Promise<Cluster> {
  await cluster.up.end();
  await rm(join(place.dir, 'data'), { recursive: true });
  return await startAt(stack, place);
}

/** Until origin and index owe nothing, of at least so many blobs. */
async function writtenBack({ base }: Place, blobs: number): Promise<void> {
  const [origin, index] = [reached(base + 2), reached(base + 4)];
  await vi.waitFor(async () => {
    expect(await metricOf(origin, 'write_backs_total')).toBeGreaterThanOrEqual(blobs);
    expect(await metricOf(origin, 'write_back_waiting')).toBe(0);
    expect(await metricOf(index, 'write_back_waiting')).toBe(0);
  }, written);
}

async function expectBlobs(cluster: Cluster, blobs: readonly Made[]): Promise<void> {
  for (const agent of cluster.agents)
    for (const { digest, bytes } of blobs)
      expect((await pulled(at(agent), OCI_PATHS.blob(repo, digest))).equals(bytes), digest).toBe(true);
}

/** As docker does: the manifest by its tag, then each blob. */
async function expectImage(cluster: Cluster, tag: string, image: Made & { blobs: readonly Made[] }): Promise<void> {
  for (const agent of cluster.agents)
    expect(String(await pulled(at(agent), OCI_PATHS.manifest(repo, tag)))).toBe(String(Buffer.from(image.bytes)));
  await expectBlobs(cluster, image.blobs);
}

const listed = ({ rule }: StorageServer, kind: string): boolean => {
  const tags = Object.keys((rule['tags'] as object | undefined) ?? {})[0] ?? kind;
  return abilities().get(tags)?.['list'] !== 'no';
};

/** One of each kind that restore.test.ts and the tests without real servers do not lose the disks before. */
const few = ['hdfs', 'nginx', 'mariadb', 'fake-gcs-server', 'azurite', 'distribution'];
const servers = ofShort(
  Object.entries(storageServers).map(([name, { kind, start }]) => ({ name, kind, start })),
  ({ name }) => few.includes(name),
);
const kept = servers.filter(({ kind }) => abilities().get(kind)?.['write'] !== 'no');
const readOnly = servers.filter(({ kind }) => abilities().get(kind)?.['write'] === 'no');

test.each(kept)('$kind, $name: all disks are lost, and all is there', { timeout: testMsMax }, async (given) => {
  await using stack = new AsyncDisposableStack();
  const server = await started(stack, given.start);
  const place = await placeOf(stack, server);
  let cluster = await startAt(stack, place);
  const [older, newer] = [madeImage(layerBytes), madeImage([500_000, ...layerBytes])];
  const big = made(Uint8Array.from(randomBytes(bigBytes)));
  await pushImage(at(cluster.proxy), repo, older, ['1', 'stable']);
  await pushImage(at(cluster.proxy), repo, newer, ['2', 'stable']);
  await pushBlob(at(cluster.proxy), repo, big);
  await writtenBack(place, older.blobs.length + newer.blobs.length);
  cluster = await emptied(stack, cluster, place);
  if (listed(server, given.kind)) {
    const index = `http://127.0.0.1:${place.base + 4}`;
    const said = await run(shoal[0] ?? '', [...shoal.slice(1), 'reconcile', '--index', index, '--apply']);
    expect(said).toContain(repo);
  }
  await expectImage(cluster, '1', older);
  await expectImage(cluster, '2', newer);
  await expectImage(cluster, 'stable', newer);
  await expectBlobs(cluster, [big]);
  expect(await statusOf(at(cluster.proxy), OCI_PATHS.manifest(repo, '3'))).toBe(404);
  // What is pushed after that is written back as well.
  const next = madeImage([3_000_000]);
  await pushImage(at(cluster.proxy), repo, next, ['3']);
  await writtenBack(place, next.blobs.length);
  await expectImage(cluster, '3', next);
});

test.each(readOnly)('$kind, $name: what lies there is pulled', { timeout: testMsMax }, async ({ start }) => {
  await using stack = new AsyncDisposableStack();
  const server = await started(stack, start);
  const place = await placeOf(stack, server);
  const blobs = [...layerBytes, bigBytes].map((size) => made(Uint8Array.from(randomBytes(size))));
  for (const { bytes } of blobs) await server.fill?.(Buffer.from(bytes));
  let cluster = await startAt(stack, place);
  await expectBlobs(cluster, blobs);
  cluster = await emptied(stack, cluster, place);
  await expectBlobs(cluster, blobs);
  // What is pushed rests on the origins: nothing is owed to what is only read.
  const image = madeImage([1_000_000]);
  await pushImage(at(cluster.proxy), repo, image, ['1']);
  await expectImage(cluster, '1', image);
  expect(await metricOf(reached(place.base + 2), 'write_back_waiting')).toBe(0);
});
