/**
 * Kraken's paths of an agent and of a proxy as its users' scripts take them: real processes on a bucket that a Kraken filled,
 * and the curl script of examples/.
 */

import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { KRAKEN } from '../core/contracts/agent.ts';
import { KRAKEN_PROXY } from '../core/contracts/kraken/proxy.ts';
import { KRAKEN_HOST } from '../core/contracts/kraken/scheduler.ts';
import { KRAKEN_ORIGIN } from '../core/contracts/kraken-origin.ts';
import { MEDIA } from '../core/oci/media.ts';
import { Cluster } from '../platform/testing/cluster.ts';
import { type Parts, startParts } from './cluster.fixtures.ts';
import { type Made, type MadeImage, madeImage, madeIndex } from './images.fixtures.ts';
import { KrakenBucket } from './kraken-bucket.fixtures.ts';

const run = promisify(execFile);
const script = fileURLToPath(new URL('../examples/kraken-agent.sh', import.meta.url));
const hasCurl = await run('curl', ['--version']).then(
  () => true,
  () => false,
);
const needs = hasCurl ? '' : ' (skipped: needs curl: apt-get install curl)';
const patience = { timeout: 60_000, interval: 100 } as const;
let cluster: Cluster;
let bucket: KrakenBucket;
let parts: Parts;
beforeAll(async () => {
  cluster = await Cluster.make();
  bucket = new KrakenBucket(cluster.dataOf('bucket'));
  await bucket.putImage('library/app', '1', madeImage([5_000]));
  const proxy = { prefetch: { largest: '1MB' } };
  const nowhere = cluster.dataOf('no.sock');
  const agent = { preload: { docker: nowhere, containerd: nowhere } };
  parts = await startParts(cluster, { origins: 2, backends: [bucket.backend], index: {}, proxy, agent });
}, 180_000);
afterAll(() => cluster?.[Symbol.asyncDispose]());

const proxy = () => parts.proxy.url('registry');
const prefetched = async (path: string, body: unknown) => {
  const answer = await fetch(proxy() + path, { method: 'POST', body: JSON.stringify(body) });
  return { status: answer.status, told: (await answer.json()) as Record<string, unknown> };
};
const at = { v1: KRAKEN_PROXY.prefetchV1.path({}), v2: KRAKEN_PROXY.prefetchV2.path({}) };

/** On some origin's disk. */
async function onOrigins({ digest }: Made): Promise<boolean> {
  const stat = KRAKEN_ORIGIN.stat.path({ ns: 'x', digest, local: true });
  const heads = await Promise.all(parts.origins.map((origin) => fetch(origin.url('api') + stat, { method: 'HEAD' })));
  return heads.some(({ status }) => status === 200);
}
const allThere = (blobs: readonly Made[]) =>
  vi.waitFor(async () => expect(await Promise.all(blobs.map(onOrigins))).toEqual(blobs.map(() => true)), patience);

async function inBucket(repo: string, tag: string, sizes = [3_000, 70_000]): Promise<MadeImage> {
  const image = madeImage(sizes);
  await bucket.putImage(repo, tag, image);
  return image;
}

test.runIf(hasCurl)(
  `the curl script gets the statuses that it expects of Kraken${needs}`,
  async () => {
    const args = [script, parts.agent.url('admin'), proxy(), 'library/app:1'];
    const { stdout } = await run('bash', args);
    expect(stdout).toContain('400 notifications without JSON');
    expect(stdout).toContain('"prefetched":true');
  },
  180_000,
);

test.each(['v1', 'v2'] as const)(
  '%s has the origins fetch what an image needs, but what is too large',
  async (v) => {
    const image = await inBucket(`library/${v}`, 'x', [3_000, 70_000, 2_000_000]);
    const { status, told } = await prefetched(at[v], { tag: `kraken.example/library/${v}:x`, trace_id: 'abc' });
    const message = 'prefetching initiated successfully';
    expect(status).toBe(200);
    expect(told).toEqual({ tag: `${v}:x`, prefetched: true, status: 'success', message, trace_id: 'abc' });
    const large = image.blobs.at(-1) as Made;
    await allThere([image, ...image.blobs.slice(0, -1)]);
    expect(await onOrigins(large)).toBe(false);
  },
  90_000,
);

test('v2 takes an index with the images of all platforms', async () => {
  const images = [madeImage([2_000]), madeImage([3_000])];
  for (const image of images) await bucket.putImage('library/multi', 'part', image);
  const index = madeIndex(images);
  await bucket.putImage('library/multi', 'all', { ...index, blobs: [] });
  expect((await prefetched(at.v2, { tag: 'h/library/multi:all' })).status).toBe(200);
  await allThere([index, ...images, ...images.flatMap(({ blobs }) => blobs)]);
}, 90_000);

test.each([
  [{ tag: 'h/library/app' }, 400, 'repository:tag'],
  [{ tag: 'app:1' }, 400, 'host/repository:tag'],
  [{ image: 'h/library/app:1' }, 400, 'tag'],
  [{ tag: 'h/library/app:none' }, 500, 'has no tag none'],
])('a prefetch of %j is refused in the form of Kraken', async (body, status, why) => {
  for (const path of Object.values(at)) {
    const refused = await prefetched(path, { ...body, trace_id: 'abc' });
    expect(refused.status).toBe(status);
    expect(refused.told).toMatchObject({ prefetched: false, status: 'failure', message: expect.stringContaining(why) });
  }
});

test('what a registry tells of a push is fetched, and what it tells else is passed over', async () => {
  const image = await inBucket('team/notified', 'x');
  const target = { mediaType: MEDIA.ociManifest, repository: 'team/notified', digest: image.digest };
  const events = [
    { action: 'pull', target },
    { action: 'push', target: { ...target, mediaType: MEDIA.octets } },
    { action: 'push' },
    { id: '1', action: 'push', target, request: { addr: '10.0.0.1' } },
  ];
  const headers = { 'content-type': 'application/vnd.docker.distribution.events.v1+json' };
  const to = proxy() + KRAKEN_PROXY.notify.path({});
  const told = await fetch(to, { method: 'POST', headers, body: JSON.stringify({ events }) });
  expect(told.status).toBe(200);
  await allThere([image, ...image.blobs]);
  expect((await fetch(to, { method: 'POST', headers, body: '{"events":{}}' })).status).toBe(400);
}, 90_000);

test('an agent and an origin take the bandwidth of a Kraken scheduler, and refuse by name what they have no setting for', async () => {
  const patched = async (base: string, body: string) => {
    const answer = await fetch(base + KRAKEN_HOST.scheduler.path({}), { method: 'PATCH', body });
    return { status: answer.status, text: await answer.text() };
  };
  const bandwidth = { Enable: true, EgressBitsPerSec: 1.6e9, IngressBitsPerSec: 2.4e9, TokenSize: 8 };
  const zeros = { SeederTTI: 0, ConnState: { DisableBlacklist: false }, Log: { level: 'info' } };
  for (const base of [parts.agent.url('admin'), parts.origins[0]?.url('api') as string]) {
    expect(await fetch(base + KRAKEN_HOST.blacklist.path({})).then((answer) => answer.json())).toEqual([]);
    expect((await patched(base, JSON.stringify({ ...zeros, Conn: { Bandwidth: bandwidth } }))).status).toBe(200);
    const refused = await patched(base, JSON.stringify({ SeederTTI: 5, dispatch: { pipeline_limit: 3 } }));
    expect(refused).toMatchObject({
      status: 400,
      text: expect.stringMatching(/SeederTTI, dispatch\.pipeline_limit.*docs\/kraken\.md/),
    });
    const slow = { ...bandwidth, EgressBitsPerSec: 80 };
    expect((await patched(base, JSON.stringify({ Conn: { Bandwidth: slow } }))).status).toBe(400);
    expect((await patched(base, 'Enable')).status).toBe(400);
    expect((await patched(base, '{}')).status).toBe(200);
  }
});

test('a preload says which runtime could not be asked, and where it looked', async () => {
  const preload = (query: object) =>
    fetch(parts.agent.url('admin') + KRAKEN.preload.path({ tag: 'library/app:1', ...query }));
  for (const [query, says] of [
    [{}, 'preload.docker'],
    [{ runtime: 'containerd', namespace: 'k8s.io' }, 'preload.containerd'],
  ] as const) {
    const answer = await preload(query);
    expect([answer.status, await answer.text()]).toEqual([500, expect.stringContaining(says)]);
  }
  expect((await preload({ runtime: 'containerd' })).status).toBe(400);
});
