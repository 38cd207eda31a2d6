/** An agent whose cache is small: every pull that a large cache would serve is served, and said not to be kept. */

import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { AGENT, type AgentStatus } from '../core/contracts/agent.ts';
import { ORIGIN } from '../core/contracts/origin.ts';
import { type Digest, digestOf } from '../core/digest.ts';
import { entryUrl } from '../platform/lifecycle/entry.ts';
import { Cluster, type Process } from '../platform/testing/cluster.ts';
import { freePort } from '../platform/testing/ports.ts';

const MB = 1_000_000;
const budget = 20 * MB;
const ephemeral = { host: '127.0.0.1', port: 0 };

let cluster: Cluster;
let tracker: Process;
let index: Process;
let origin: Process;
/** The second one's cache holds everything. */
let agents: [Process, Process];

beforeAll(async () => {
  cluster = await Cluster.make();
  const [originPort, trackerPort] = [await freePort(), await freePort()];
  const trackers = [`http://127.0.0.1:${trackerPort}`];
  const origins = [`http://127.0.0.1:${originPort}`];
  [tracker, index, origin] = await Promise.all([
    start('tracker', 'tracker', { listen: { ...ephemeral, port: trackerPort }, origins }),
    start('index', 'index', { listen: ephemeral, data: cluster.dataOf('index') }),
    start('origin', 'origin', {
      listen: { ...ephemeral, port: originPort },
      peer: ephemeral,
      data: cluster.dataOf('origin'),
      trackers,
      origins,
    }),
  ]);
  agents = [await startAgent('small', budget), await startAgent('large', 1000 * MB)];
}, 180_000);
afterAll(() => cluster?.[Symbol.asyncDispose]());

function start(role: string, name: string, settings: object): Promise<Process> {
  return cluster.start(entryUrl(`../${role}/main.ts`, import.meta.url), name, { role, ...settings });
}

function startAgent(name: string, bytes: number): Promise<Process> {
  return start('agent', name, {
    listen: ephemeral,
    admin: ephemeral,
    peer: ephemeral,
    data: cluster.dataOf(name),
    trackers: [tracker.url('api')],
    index: [index.url('api')],
    cache: { budget: bytes },
    pull: { linger: '300ms' },
    verify: 'full',
  });
}

type Blob = { readonly digest: Digest; readonly bytes: Buffer };

async function pushed(length: number): Promise<Blob> {
  const bytes = randomBytes(length);
  const digest = digestOf('sha256', createHash('sha256').update(bytes).digest('hex'));
  const id = randomUUID();
  const at = (path: string): string => origin.url('api') + path;
  const json = { 'content-type': 'application/json' };
  await fetch(at(ORIGIN.upload.path({ id })), { method: 'POST', headers: json, body: '{"algorithm":"sha256"}' });
  const raw = { 'content-type': 'application/octet-stream' };
  await fetch(at(ORIGIN.append.path({ id, offset: 0 })), { method: 'PATCH', headers: raw, body: bytes });
  expect((await fetch(at(ORIGIN.commit.path({ id, digest })), { method: 'PUT' })).status).toBe(200);
  return { digest, bytes };
}

const get = (agent: Process, digest: Digest, range?: string): Promise<Response> =>
  fetch(`${agent.url('registry')}/v2/library/app/blobs/${digest}`, range === undefined ? {} : { headers: { range } });

async function pulls(agent: Process, { digest, bytes }: Blob): Promise<void> {
  const response = await get(agent, digest);
  expect([response.status, response.headers.get('content-length')]).toEqual([200, String(bytes.length)]);
  expect(Buffer.from(await response.arrayBuffer()).equals(bytes)).toBe(true);
}

const statusOf = async (agent: Process): Promise<AgentStatus> =>
  AGENT.status.reply(await (await fetch(agent.url('admin') + AGENT.status.pattern)).json(), 'the agent');

async function metricOf(agent: Process, name: string): Promise<number> {
  const text = await (await fetch(`${agent.url('admin')}/metrics`)).text();
  const line = text.split('\n').find((candidate) => candidate.startsWith(`shoal_${name} `));
  return Number(line?.split(' ')[1]);
}

/** Bytes of files that have a name. */
async function bytesIn(dir: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(dir, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) bytes += (await stat(join(entry.parentPath, entry.name))).size;
  }
  return bytes;
}

/** Nothing runs, and nothing is left of what passed through. */
async function settled(agent: Process): Promise<void> {
  await vi.waitFor(
    async () => {
      const { running, cache } = await statusOf(agent);
      expect([running, cache.passing, cache.passingBytes]).toEqual([[], 0, 0]);
      expect(cache.bytes).toBeLessThanOrEqual(budget);
    },
    { timeout: 5_000 },
  );
}

test('a blob larger than the cache is pulled whole, counted and logged as not kept', async () => {
  const [small] = agents;
  const blob = await pushed(30 * MB);
  await pulls(small, blob);
  await settled(small);
  const status = await statusOf(small);
  const done = status.finished.find(({ digest }) => digest === blob.digest);
  expect(done).toMatchObject({ kept: false, bytes: 30 * MB });
  expect(status.cache.complete).toBe(0);
  expect(await metricOf(small, 'pulls_not_kept_total')).toBe(1);
  expect(await metricOf(small, 'passed_bytes_total')).toBe(30 * MB);
  // And again, as if for the first time.
  await pulls(small, blob);
  expect(await metricOf(small, 'passed_bytes_total')).toBe(60 * MB);
  await settled(small);
  expect(await bytesIn(cluster.dataOf('small'))).toBeLessThan(1 * MB);
});

test('four pulls at once that together do not fit are all served, and what fits is kept', async () => {
  const [small] = agents;
  const blobs = await Promise.all([10, 10, 10, 10].map((size) => pushed(size * MB)));
  await Promise.all(blobs.map((blob) => pulls(small, blob)));
  await settled(small);
  expect((await statusOf(small)).cache.complete).toBeGreaterThan(0);
});

test('a blob is pulled while another one, which somebody reads slowly, fills the cache', async () => {
  const [small] = agents;
  const [slow, next] = [await pushed(14 * MB), await pushed(14 * MB)];
  const response = await get(small, slow.digest);
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  let read = (await reader.read()).value?.length ?? 0;
  await pulls(small, next);
  for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) read += chunk.value.length;
  expect(read).toBe(14 * MB);
  await settled(small);
});

test('ranges, two clients at different places and one that leaves, of a blob larger than the cache', async () => {
  const [small] = agents;
  const blob = await pushed(30 * MB);
  const head = await fetch(`${small.url('registry')}/v2/library/app/blobs/${blob.digest}`, { method: 'HEAD' });
  expect(head.headers.get('content-length')).toBe(String(30 * MB));
  const part = async (from: number, to: number): Promise<void> => {
    const response = await get(small, blob.digest, `bytes=${from}-${to - 1}`);
    expect(response.status).toBe(206);
    expect(Buffer.from(await response.arrayBuffer()).equals(blob.bytes.subarray(from, to))).toBe(true);
  };
  await part(29 * MB, 29 * MB + 100);
  const leaves = await get(small, blob.digest);
  const reader = (leaves.body as ReadableStream<Uint8Array>).getReader();
  await reader.read();
  await Promise.all([pulls(small, blob), part(15 * MB, 30 * MB), part(1, 9 * MB), reader.cancel()]);
  await settled(small);
});

test('an agent with room gets from one without what passes through there', async () => {
  const [small, large] = agents;
  const blob = await pushed(30 * MB);
  await Promise.all([pulls(small, blob), pulls(large, blob)]);
  await vi.waitFor(
    async () => {
      const done = (await statusOf(large)).finished.find(({ digest }) => digest === blob.digest);
      expect(done).toMatchObject({ kept: true });
    },
    { timeout: 15_000 },
  );
  const { bytesFromPeers = 0 } = (await statusOf(large)).finished.find(({ digest }) => digest === blob.digest) ?? {};
  expect(bytesFromPeers).toBeGreaterThan(0);
  await settled(small);
});

test('a kill in the middle leaves nothing of what passed through', async () => {
  const [small] = agents;
  const blob = await pushed(30 * MB);
  const response = await get(small, blob.digest);
  await (response.body as ReadableStream<Uint8Array>).getReader().read();
  await small.stop('SIGKILL');
  agents[0] = await startAgent('small', budget);
  const { cache } = await statusOf(agents[0]);
  expect(cache.passingBytes).toBe(0);
  expect(await readdir(join(cluster.dataOf('small'), 'uploads'))).toEqual([]);
  await pulls(agents[0], blob);
});
