/** Every disk of a cluster is lost, the index's too, and everything comes back from the backend; two clusters share one. */

import { execFile } from 'node:child_process';
import { mkdir, rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { OCI_PATHS } from '../core/oci/paths.ts';
import { Cluster } from '../platform/testing/cluster.ts';
import { type Parts, startParts } from './cluster.fixtures.ts';
import {
  type Made,
  type MadeImage,
  madeImage,
  madeIndex,
  madeReferrer,
  metricOf,
  pulled,
  pushImage,
  removeTag,
  statusOf,
} from './images.fixtures.ts';

const run = promisify(execFile);
const executable = fileURLToPath(new URL('../bin/shoal.js', import.meta.url));
const minutes = 60_000;
const soon = { timeout: minutes, interval: 100 };
const repo = 'library/app';

let stack: AsyncDisposableStack;
let bucket: string;
beforeEach(async () => {
  stack = new AsyncDisposableStack();
  const { dir } = stack.use(await Cluster.make());
  bucket = `${dir}/bucket`;
  await mkdir(bucket);
});
afterEach(() => stack.disposeAsync());

const backends = () => [{ name: 'main', file: { directory: bucket } }];
const start = (cluster: Cluster): Promise<Parts> => startParts(cluster, { origins: 2, backends: backends() });

async function shoal(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const done = run(process.execPath, [executable, ...args]).then(
    ({ stdout, stderr }) => ({ code: 0, out: stdout, err: stderr }),
    ({ code, stdout, stderr }) => ({ code, out: stdout, err: stderr }),
  );
  return done;
}

/** Until nothing waits for the bucket, at the index and at the origins. */
async function writtenBack({ index, origins }: Parts): Promise<void> {
  for (const part of [index, ...origins]) await expect.poll(() => metricOf(part, 'write_back_waiting'), soon).toBe(0);
}

async function stopped({ agent, proxy, index, origins }: Parts): Promise<void> {
  // The tracker has nothing to lose, and its port is drawn anew.
  await Promise.all([agent, proxy, index, ...origins].map((part) => part.stop('SIGKILL')));
}

async function wiped(cluster: Cluster): Promise<void> {
  for (const name of ['index', 'origin-1', 'origin-2', 'agent'])
    await rm(cluster.dataOf(name), { recursive: true, force: true });
}

async function pullsAll({ agent, proxy }: Parts, images: readonly MadeImage[], all: Made): Promise<void> {
  for (const from of [agent, proxy]) {
    for (const one of [...images, all])
      expect((await pulled(from, OCI_PATHS.manifest(repo, one.digest))).equals(one.bytes)).toBe(true);
    for (const blob of images.flatMap(({ blobs }) => blobs))
      expect((await pulled(from, OCI_PATHS.blob(repo, blob.digest))).equals(blob.bytes)).toBe(true);
  }
}

test(
  'every disk is lost: after a reconcile each tag, manifest and blob is pulled, and what was deleted stays deleted',
  async () => {
    const cluster = stack.use(await Cluster.make());
    const before = await start(cluster);
    const images = [madeImage([5_000_000, 70_000]), madeImage([1_200_000, 300])];
    const all = madeIndex(images);
    const sbom = madeReferrer(all);
    for (const one of images) await pushImage(before.proxy, repo, one);
    await pushImage(before.proxy, repo, all, ['v1', 'latest', 'gone']);
    await pushImage(before.proxy, repo, images[0] as MadeImage, ['amd64']);
    await pushImage(before.proxy, repo, sbom);
    await pushImage(before.proxy, 'team/other', images[1] as MadeImage, ['x']);
    await removeTag(before.proxy, repo, 'gone');
    await writtenBack(before);
    await stopped(before);
    await wiped(cluster);

    const after = await start(cluster);
    const tags = (): Promise<number> => statusOf(after.proxy, OCI_PATHS.tags(repo));
    const reconcile = (...more: string[]) => shoal('reconcile', '--index', after.index.url('api'), ...more);
    expect(await tags()).toBe(404);
    const dry = await reconcile();
    expect(dry).toMatchObject({ code: 0, out: expect.stringContaining(`added   tag      ${repo}:v1  ${all.digest}`) });
    expect(dry.out).toMatch(/ 0 moved, 0 removed, 0 broken \(nothing was changed: --apply does it\)\n$/);
    expect(await tags()).toBe(404);
    const { code, out } = await reconcile('--apply', '--json');
    expect(code).toBe(0);
    const lines = out.trim().split('\n');
    const { looked, ...sums } = JSON.parse(lines.at(-1) as string);
    expect(sums).toEqual({ applied: true, added: lines.length - 1, moved: 0, removed: 0, broken: 0 });
    expect(dry.out).toContain(`${looked} keys: ${lines.length - 1} added`);
    expect(JSON.parse(String(await pulled(after.proxy, OCI_PATHS.tags(repo))))).toEqual({
      name: repo,
      tags: ['amd64', 'latest', 'v1'],
    });
    expect(JSON.parse(String(await pulled(after.proxy, OCI_PATHS.catalog)))).toEqual({
      repositories: [repo, 'team/other'],
    });
    expect(await statusOf(after.agent, OCI_PATHS.manifest(repo, 'gone'))).toBe(404);
    for (const tag of ['v1', 'latest'])
      expect((await pulled(after.agent, OCI_PATHS.manifest(repo, tag))).equals(all.bytes)).toBe(true);
    await pullsAll(after, [...images, sbom], all);
    const referrers = JSON.parse(String(await pulled(after.agent, OCI_PATHS.referrers(repo, all.digest))));
    expect(referrers.manifests).toMatchObject([{ digest: sbom.digest, artifactType: 'application/x.sbom' }]);
    // Again: there is nothing left to do, and a push goes on as ever.
    expect((await reconcile('--apply')).out).toMatch(/^\d+ keys: 0 added, 0 moved, 0 removed, 0 broken\n$/);
    await pushImage(after.proxy, repo, images[1] as MadeImage, ['v1']);
    expect((await pulled(after.agent, OCI_PATHS.manifest(repo, 'v1'))).equals((images[1] as MadeImage).bytes)).toBe(
      true,
    );
  },
  3 * minutes,
);

test(
  'two clusters on one bucket: what is pushed in one is pulled in the other, by tag, and moves there',
  async () => {
    const [a, b] = [await start(stack.use(await Cluster.make())), await start(stack.use(await Cluster.make()))];
    const [one, two] = [madeImage([3_000_000, 1_000]), madeImage([400_000])];
    await pushImage(a.proxy, repo, one, ['x']);
    // Nothing of it has to be reconciled: whoever asks is answered, once it has been written back.
    await expect.poll(() => statusOf(b.agent, OCI_PATHS.manifest(repo, 'x')), soon).toBe(200);
    for (const made of [one, ...one.blobs]) {
      const path = made === one ? OCI_PATHS.manifest(repo, 'x') : OCI_PATHS.blob(repo, made.digest);
      expect((await pulled(b.agent, path)).equals(made.bytes)).toBe(true);
    }
    await pushImage(b.proxy, repo, two, ['x']);
    expect((await pulled(b.agent, OCI_PATHS.manifest(repo, 'x'))).equals(two.bytes)).toBe(true);
    await expect
      .poll(async () => (await pulled(a.agent, OCI_PATHS.manifest(repo, 'x'))).equals(two.bytes), soon)
      .toBe(true);
    for (const blob of two.blobs)
      expect((await pulled(a.agent, OCI_PATHS.blob(repo, blob.digest))).equals(blob.bytes)).toBe(true);
    await removeTag(a.proxy, repo, 'x');
    await expect.poll(() => statusOf(b.agent, OCI_PATHS.manifest(repo, 'x')), soon).toBe(404);
  },
  3 * minutes,
);
