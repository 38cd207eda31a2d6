/** Index, proxy and origin as real processes: what was deleted makes room for what is pushed. */

import { createHash, randomBytes } from 'node:crypto';
import { closeSync, existsSync, openSync, readdirSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { entryUrl } from '../platform/lifecycle/entry.ts';
import { Cluster, type Process } from '../platform/testing/cluster.ts';
import { freePort } from '../platform/testing/ports.ts';

const ephemeral = { host: '127.0.0.1', port: 0 };
const keepUnlinkedMs = 1_000;
/** Longer than an origin waits after it asked in vain. */
const againMs = 5_500;
const imageType = 'application/vnd.oci.image.manifest.v1+json';
const repo = 'team/app';

let cluster: Cluster;
let proxy: string;
let index: Process;
let indexPort: number;
let origin: string;

beforeAll(async () => {
  cluster = await Cluster.make();
  indexPort = await freePort();
  index = await startIndex('index');
  const indexes = [`http://127.0.0.1:${indexPort}`];
  const port = await freePort();
  const origins = [`http://127.0.0.1:${port}`];
  const started = await cluster.start(entryUrl('./main.ts', import.meta.url), 'origin', {
    role: 'origin',
    listen: { ...ephemeral, port },
    peer: ephemeral,
    data: cluster.dataOf('origin'),
    trackers: ['http://127.0.0.1:1'],
    disk: { budget: '100MB' },
    index: indexes,
    origins,
  });
  origin = started.url('api');
  const settings = { role: 'proxy', listen: ephemeral, index: indexes, origins };
  proxy = (await cluster.start(entryUrl('../proxy/main.ts', import.meta.url), 'proxy', settings)).url('registry');
}, 180_000);
afterAll(() => cluster?.[Symbol.asyncDispose]());

function startIndex(name: string): Promise<Process> {
  return cluster.start(entryUrl('../index/main.ts', import.meta.url), name, {
    role: 'index',
    listen: { ...ephemeral, port: indexPort },
    data: cluster.dataOf(name),
    keepUnlinked: `${keepUnlinkedMs}ms`,
  });
}

const digestOf = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
const call = (method: string, path: string, init: RequestInit = {}): Promise<Response> =>
  fetch(proxy + path, { method, ...init });

async function pushBlob(bytes: Uint8Array, to = repo): Promise<{ status: number; text: string }> {
  const answer = await call('POST', `/v2/${to}/blobs/uploads/?digest=${digestOf(bytes)}`, { body: bytes.slice() });
  return { status: answer.status, text: await answer.text() };
}

type Image = { readonly blobs: readonly string[]; readonly manifest: string };

async function pushImage(tag: string, layer: Uint8Array): Promise<Image> {
  const config = randomBytes(100);
  for (const bytes of [layer, config]) expect((await pushBlob(bytes)).status).toBe(201);
  const of = (bytes: Uint8Array, mediaType: string) => ({ mediaType, digest: digestOf(bytes), size: bytes.length });
  const manifest = Buffer.from(
    JSON.stringify({ schemaVersion: 2, mediaType: imageType, config: of(config, 'a/b'), layers: [of(layer, 'c/d')] }),
  );
  const headers = { 'content-type': imageType };
  expect((await call('PUT', `/v2/${repo}/manifests/${tag}`, { body: manifest, headers })).status).toBe(201);
  return { blobs: [digestOf(layer), digestOf(config)], manifest: digestOf(manifest) };
}

async function remove(image: Image, tag: string): Promise<void> {
  const paths = [`manifests/${tag}`, `manifests/${image.manifest}`, ...image.blobs.map((digest) => `blobs/${digest}`)];
  for (const path of paths) expect([path, (await call('DELETE', `/v2/${repo}/${path}`)).status]).toEqual([path, 202]);
}

async function intact(digest: string, from = repo): Promise<boolean> {
  const answer = await call('GET', `/v2/${from}/blobs/${digest}`);
  return answer.status === 200 && digestOf(new Uint8Array(await answer.arrayBuffer())) === digest;
}

test('an origin of 100 MB takes 60 MB, and 60 MB more once the first were deleted', async () => {
  const first = randomBytes(60_000_000);
  const image = await pushImage('v1', first);
  const second = randomBytes(60_000_000);
  const full = await pushBlob(second);
  expect([full.status, full.text]).toEqual([507, expect.stringContaining('or remove blobs')]);
  expect(full.text).toContain('something links to every blob here');

  await remove(image, 'v1');
  await sleep(keepUnlinkedMs + againMs);
  expect((await pushBlob(second)).status).toBe(201);
  expect(await intact(digestOf(second))).toBe(true);
  for (const digest of image.blobs) expect((await call('GET', `/v2/${repo}/blobs/${digest}`)).status).toBe(404);

  // What was removed is pushed again as if it had never been there, and stays while it is linked.
  await call('DELETE', `/v2/${repo}/blobs/${digestOf(second)}`);
  await sleep(keepUnlinkedMs + againMs);
  const again = await pushImage('v1', first);
  expect(await intact(digestOf(first))).toBe(true);
  expect((await pushBlob(second)).status).toBe(507);
  expect(await intact(digestOf(first))).toBe(true);
  expect(existsSync(join(cluster.dataOf('origin'), 'index'))).toBe(true);

  // What is damaged, and waits to be mended, goes as well once nothing links to it; and nobody waits any more.
  damage(digestOf(first));
  expect((await call('HEAD', `/v2/${repo}/blobs/${digestOf(first)}`)).status).toBe(404);
  await expect.poll(waitingToBeMended).toBe('1');
  await remove(again, 'v1');
  await sleep(keepUnlinkedMs + againMs);
  await pushImage('v2', second);
  expect(await intact(digestOf(second))).toBe(true);
  expect(await waitingToBeMended()).toBe('0');

  await otherIndexes(digestOf(second));
}, 120_000);

/** Spoils a byte of every piece of the file that the origin has of it. */
function damage(digest: string): void {
  const hex = digest.slice('sha256:'.length);
  const dir = join(cluster.dataOf('origin'), 'blobs/sha256', hex.slice(0, 2));
  const fd = openSync(join(dir, readdirSync(dir).find((name) => name.startsWith(hex)) as string), 'r+');
  for (let at = 0; at < 60_000_000; at += 100_000) writeSync(fd, Buffer.from('damage'), 0, 6, at);
  closeSync(fd);
}

async function waitingToBeMended(): Promise<string | undefined> {
  const metrics = await (await fetch(`${origin}/metrics`)).text();
  return /^shoal_blobs_to_mend\S* (\d+)$/m.exec(metrics)?.[1];
}

/** Without an answer, or by the word of a database that never heard of anything, nothing goes. */
async function otherIndexes(held: string): Promise<void> {
  const upload = async (): Promise<string> => {
    const id = randomBytes(12).toString('hex');
    await fetch(`${origin}/v1/uploads/${id}`, { method: 'POST' });
    const body = randomBytes(60_000_000);
    return await (await fetch(`${origin}/v1/uploads/${id}?offset=0`, { method: 'PATCH', body })).text();
  };
  await index.stop();
  await sleep(againMs);
  expect(await upload()).toContain('no index answers');
  await startIndex('anew');
  await sleep(againMs + keepUnlinkedMs);
  expect(await upload()).toContain('but this origin has gone by');
  expect((await fetch(`${origin}/v1/blobs/${held}`, { method: 'HEAD' })).status).toBe(200);
}
