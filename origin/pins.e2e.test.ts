/** Pins of an origin and of an agent, as real processes: added while they run, kept over restarts, fetched, and never let go. */

import { createHash, randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ORIGIN_ADMIN } from '../core/contracts/origin-admin.ts';
import { PINS } from '../core/contracts/pins.ts';
import { entryUrl } from '../platform/lifecycle/entry.ts';
import { Cluster, type Process } from '../platform/testing/cluster.ts';
import { freePort } from '../platform/testing/ports.ts';

const ephemeral = { host: '127.0.0.1', port: 0 };
const keepUnlinkedMs = 1_000;
const imageType = 'application/vnd.oci.image.manifest.v1+json';
const repo = 'team/app';
const slow = { timeout: 60_000, interval: 200 };

let cluster: Cluster;
let proxy: string;
let index: string;
let port: number;
let tracker: string;
let origin: Process;

beforeAll(async () => {
  cluster = await Cluster.make();
  port = await freePort();
  const settings = {
    role: 'index',
    listen: ephemeral,
    data: cluster.dataOf('index'),
    keepUnlinked: `${keepUnlinkedMs}ms`,
  };
  index = (await cluster.start(entryUrl('../index/main.ts', import.meta.url), 'index', settings)).url('api');
  const origins = [`http://127.0.0.1:${port}`];
  const tracking = { role: 'tracker', listen: ephemeral, origins };
  tracker = (await cluster.start(entryUrl('../tracker/main.ts', import.meta.url), 'tracker', tracking)).url('api');
  origin = await startOrigin();
  const reading = { role: 'proxy', listen: ephemeral, index: [index], origins };
  proxy = (await cluster.start(entryUrl('../proxy/main.ts', import.meta.url), 'proxy', reading)).url('registry');
}, 120_000);
afterAll(() => cluster?.[Symbol.asyncDispose]());

function startOrigin(): Promise<Process> {
  return cluster.start(entryUrl('./main.ts', import.meta.url), 'origin', {
    role: 'origin',
    ...{ listen: { ...ephemeral, port }, peer: ephemeral, data: cluster.dataOf('origin'), trackers: [tracker] },
    ...{ disk: { budget: '100MB', pins: [`${repo}:kept`] }, index: [index], origins: [`http://127.0.0.1:${port}`] },
  });
}

const digestOf = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

type Image = { readonly blobs: readonly string[]; readonly manifest: string };

async function push(tag: string): Promise<Image> {
  const [layer, config] = [randomBytes(400_000), randomBytes(100)];
  for (const bytes of [layer, config]) {
    const path = `/v2/${repo}/blobs/uploads/?digest=${digestOf(bytes)}`;
    expect((await fetch(proxy + path, { method: 'POST', body: bytes.slice() })).status).toBe(201);
  }
  const of = (bytes: Uint8Array, mediaType: string) => ({ mediaType, digest: digestOf(bytes), size: bytes.length });
  const manifest = Buffer.from(
    JSON.stringify({ schemaVersion: 2, mediaType: imageType, config: of(config, 'a/b'), layers: [of(layer, 'c/d')] }),
  );
  const headers = { 'content-type': imageType };
  const put = await fetch(`${proxy}/v2/${repo}/manifests/${tag}`, { method: 'PUT', body: manifest, headers });
  expect(put.status).toBe(201);
  return { blobs: [digestOf(layer), digestOf(config)], manifest: digestOf(manifest) };
}

async function unlink({ blobs, manifest }: Image, tag: string): Promise<void> {
  const paths = [`manifests/${tag}`, `manifests/${manifest}`, ...blobs.map((digest) => `blobs/${digest}`)];
  for (const path of paths) expect((await fetch(`${proxy}/v2/${repo}/${path}`, { method: 'DELETE' })).status).toBe(202);
}

async function pinsAt(base: string): Promise<Record<string, boolean>> {
  const { pins } = PINS.list.reply(await (await fetch(base + PINS.list.path({}))).json(), base);
  return Object.fromEntries(pins.map(({ pin, complete }) => [pin, complete]));
}

async function change(base: string, what: 'add' | 'remove', pin: string): Promise<number> {
  const json = { 'content-type': 'application/json' };
  const answer =
    what === 'add'
      ? await fetch(base + PINS.add.path({}), { method: 'PUT', body: JSON.stringify({ pin }), headers: json })
      : await fetch(base + PINS.remove.path({ pin }), { method: 'DELETE' });
  return answer.status;
}

/** Evicts all that may go; of these, what is there still. */
async function left(digests: readonly string[]): Promise<readonly string[]> {
  const [api, headers] = [origin.url('api'), { 'content-type': 'application/json' }];
  await fetch(api + ORIGIN_ADMIN.evict.path({}), { method: 'POST', body: JSON.stringify({ toBytes: 0 }), headers });
  const there = await Promise.all(
    digests.map(async (digest) => (await fetch(`${api}/v1/blobs/${digest}`, { method: 'HEAD' })).status === 200),
  );
  return digests.filter((_, i) => there[i]);
}

test('an origin keeps what is pinned though nothing links to it, by its configuration or added, over a restart; and nothing else', async () => {
  const [kept, added, neither] = [await push('kept'), await push('added'), await push('neither')];
  const api = (): string => origin.url('api');
  expect(await change(api(), 'add', `${repo}:added`)).toBe(200);
  await expect.poll(() => pinsAt(api()), slow).toEqual({ [`${repo}:kept`]: true, [`${repo}:added`]: true });
  await origin.stop('SIGKILL');
  origin = await startOrigin();
  await expect.poll(() => pinsAt(api()), slow).toEqual({ [`${repo}:kept`]: true, [`${repo}:added`]: true });
  for (const [image, tag] of [
    [kept, 'kept'],
    [added, 'added'],
    [neither, 'neither'],
  ] as const)
    await unlink(image, tag);
  await sleep(keepUnlinkedMs);
  const all = (image: Image): readonly string[] => [image.manifest, ...image.blobs];
  await expect.poll(() => left(all(neither)), { ...slow, interval: 1_000 }).toEqual([]);
  expect(await left([...all(kept), ...all(added)])).toEqual([...all(kept), ...all(added)]);
  // The one that is configured is removed there.
  expect(await change(api(), 'remove', `${repo}:kept`)).toBe(400);
  expect(await change(api(), 'remove', `${repo}:added`)).toBe(200);
  await expect.poll(() => left(all(added)), { ...slow, interval: 1_000 }).toEqual([]);
  expect(await left(all(kept))).toEqual(all(kept));
}, 180_000);

test('an agent fetches the image of a pin that is added', async () => {
  const first = await push('wanted');
  const agent = await cluster.start(entryUrl('../agent/main.ts', import.meta.url), 'agent', {
    role: 'agent',
    ...{ listen: ephemeral, admin: ephemeral, peer: ephemeral, data: cluster.dataOf('agent') },
    ...{ trackers: [tracker], index: [index] },
  });
  const base = agent.url('admin');
  expect(await pinsAt(base)).toEqual({});
  expect(await change(base, 'add', `${repo}:wanted`)).toBe(200);
  await expect.poll(() => pinsAt(base), slow).toEqual({ [`${repo}:wanted`]: true });
  const has = async (digest: string): Promise<boolean> =>
    (await (await fetch(`${base}/v1/blobs`)).text()).includes(digest.slice('sha256:'.length));
  for (const digest of [first.manifest, ...first.blobs]) expect(await has(digest)).toBe(true);
}, 120_000);
