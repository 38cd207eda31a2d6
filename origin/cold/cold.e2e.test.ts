/** Real processes over one directory as their backend: three origins that have nothing, a tracker, agents that pull at once. */

import { createHash, randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ORIGIN } from '../../core/contracts/origin.ts';
import { PROBES } from '../../core/contracts/probes.ts';
import { type Digest, digestOf } from '../../core/digest.ts';
import { OCI_PATHS } from '../../core/oci/paths.ts';
import { registryLayout } from '../../platform/backends/layout.ts';
import { entryUrl } from '../../platform/lifecycle/entry.ts';
import { Cluster, type Process } from '../../platform/testing/cluster.ts';
import { freePort } from '../../platform/testing/ports.ts';
import { ownersAmong } from '../../platform/testing/ring.ts';

const ephemeral = { host: '127.0.0.1', port: 0 };
const agentsCount = 5;
let cluster: Cluster;
let bucket: string;
let urls: string[];
let origins: Process[];
let agents: Process[];

beforeAll(async () => {
  cluster = await Cluster.make();
  bucket = cluster.dataOf('bucket');
  await mkdir(bucket);
  const [trackerPort = 0, ...ports] = await Promise.all([freePort(), freePort(), freePort(), freePort()]);
  urls = ports.map((port) => `http://127.0.0.1:${port}`);
  const trackers = [`http://127.0.0.1:${trackerPort}`];
  const of = (role: string): URL => entryUrl(`../../${role}/main.ts`, import.meta.url);
  await cluster.start(of('tracker'), 'tracker', {
    role: 'tracker',
    listen: { ...ephemeral, port: trackerPort },
    origins: urls,
  });
  const originOf = (port: number, no: number) => ({
    role: 'origin',
    listen: { ...ephemeral, port },
    peer: ephemeral,
    data: cluster.dataOf(`origin-${no}`),
    trackers,
    origins: urls,
    self: urls[no],
    backends: [{ repositories: 'kept/**', name: 'main', file: { directory: bucket } }],
  });
  origins = await Promise.all(ports.map((port, no) => cluster.start(of('origin'), `origin-${no}`, originOf(port, no))));
  const agentOf = (no: number) => ({
    role: 'agent',
    listen: ephemeral,
    admin: ephemeral,
    peer: ephemeral,
    data: cluster.dataOf(`agent-${no}`),
    trackers,
    index: ['http://127.0.0.1:1'],
    // The machine that runs this may be slow.
    pull: { find: '30s' },
  });
  agents = await Promise.all(
    Array.from({ length: agentsCount }, (_, no) => cluster.start(of('agent'), `agent-${no}`, agentOf(no))),
  );
}, 180_000);
afterAll(() => cluster?.[Symbol.asyncDispose]());

async function stored(bytes: Uint8Array): Promise<Digest> {
  const digest = digestOf('sha256', createHash('sha256').update(bytes).digest('hex'));
  const path = join(bucket, registryLayout.blobKey(digest));
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, bytes);
  return digest;
}

async function metric(name: string): Promise<number> {
  let sum = 0;
  for (const origin of origins) {
    const text = await (await fetch(origin.url('api') + PROBES.metrics.pattern)).text();
    for (const line of text.split('\n')) if (line.startsWith(`shoal_${name}`)) sum += Number(line.split(' ').at(-1));
  }
  return sum;
}

const repo = 'kept/app';
const blobAt = (agent: Process, digest: Digest): string => agent.url('registry') + OCI_PATHS.blob(repo, digest);

test('five agents at once pull what only the directory has: right bytes, one download', async () => {
  for (const size of [20_000_000, 1_500, 300_000]) {
    const bytes = randomBytes(size);
    const digest = await stored(bytes);
    const before = await metric('cold_read_bytes_total');
    const pulled = await Promise.all(
      agents.map(async (agent) => {
        const response = await fetch(blobAt(agent, digest));
        expect(response.status).toBe(200);
        return Buffer.from(await response.arrayBuffer());
      }),
    );
    for (const got of pulled) expect(got.equals(bytes)).toBe(true);
    expect((await metric('cold_read_bytes_total')) - before).toBe(size);
  }
  expect(await metric('cold_read_failures_total')).toBe(0);
}, 180_000);

test('an origin is read while it fetches, whichever is asked; a HEAD fetches nothing', async () => {
  const bytes = randomBytes(5_000_000);
  const digest = await stored(bytes);
  for (const url of urls) {
    const head = await fetch(url + ORIGIN.head.path({ digest, repo }), { method: 'HEAD' });
    expect([head.status, head.headers.get('content-length')]).toEqual([200, String(bytes.length)]);
    expect((await fetch(url + ORIGIN.head.path({ digest, repo: 'else/where' }), { method: 'HEAD' })).status).toBe(404);
  }
  const before = await metric('cold_reads_total{backend="main",state="begun"}');
  const [owner = '', second = ''] = (await ownersAmong(urls))(digest);
  // The second owner has it fetched by the first, and sends its reader there.
  expect([404, 503]).toContain((await fetch(second + ORIGIN.read.path({ digest, repo }))).status);
  const response = await fetch(owner + ORIGIN.read.path({ digest, repo }), {
    headers: { range: 'bytes=1000-4999999' },
  });
  expect(response.status).toBe(206);
  expect(Buffer.from(await response.arrayBuffer()).equals(bytes.subarray(1000))).toBe(true);
  expect(await metric('cold_reads_total{backend="main",state="begun"}')).toBe(before + 1);
}, 180_000);

test('one that hangs is followed by the next owner; an agent that asks meanwhile waits', async () => {
  const bytes = randomBytes(3_000_000);
  const digest = await stored(bytes);
  const [owner = ''] = (await ownersAmong(urls))(digest);
  const hung = origins[urls.indexOf(owner)] as Process;
  hung.hang();
  try {
    let response = await fetch(blobAt(agents[0] as Process, digest));
    for (let times = 0; response.status === 503 && times < 10; times++) {
      expect(response.headers.get('retry-after')).not.toBeNull();
      response = await fetch(blobAt(agents[0] as Process, digest));
    }
    expect(response.status).toBe(200);
    expect(Buffer.from(await response.arrayBuffer()).equals(bytes)).toBe(true);
  } finally {
    hung.wake();
  }
}, 180_000);

test('what is nowhere is unknown to all; another repository is told nothing of what this one has', async () => {
  const digest = digestOf('sha256', 'a'.repeat(64));
  const response = await fetch(blobAt(agents[1] as Process, digest));
  expect(response.status).toBe(404);
  const kept = await stored(randomBytes(100_000));
  const [agent] = agents as [Process];
  const other = agent.url('registry') + OCI_PATHS.blob('else/where', kept);
  expect((await fetch(other)).status).toBe(404);
  expect((await fetch(blobAt(agent, kept))).status).toBe(200);
  // Nor do they at the same agent at the same moment, who share one pull of the digest.
  const both = await stored(randomBytes(100_001));
  const others = agent.url('registry') + OCI_PATHS.blob('else/where', both);
  const statuses = await Promise.all([others, blobAt(agent, both)].map(async (url) => (await fetch(url)).status));
  expect(statuses[1]).toBe(200);
}, 180_000);
