/** Agents whose only tracker is killed or hangs, as real processes: what is cold is pulled all the same. */

import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { ORIGIN } from '../core/contracts/origin.ts';
import { type Digest, digestOf } from '../core/digest.ts';
import { entryUrl } from '../platform/lifecycle/entry.ts';
import { Cluster, type Process } from '../platform/testing/cluster.ts';
import { freePort } from '../platform/testing/ports.ts';
import { ownersAmong } from '../platform/testing/ring.ts';

const MiB = 1024 * 1024;
const ephemeral = { host: '127.0.0.1', port: 0 };
const repo = 'library/app';
let cluster: Cluster;
let urls: string[];
let trackerPort = 0;
let tracker: Process;
let index: Process;
let origins: Process[];
let agents: Process[];

beforeAll(async () => {
  cluster = await Cluster.make();
  const [first = 0, ...ports] = await Promise.all([freePort(), freePort(), freePort()]);
  trackerPort = first;
  urls = ports.map((port) => `http://127.0.0.1:${port}`);
  [tracker, index] = await Promise.all([
    startTracker(),
    start('index', 'index', { listen: ephemeral, data: cluster.dataOf('index') }),
  ]);
  origins = await Promise.all(ports.map((port, no) => startOrigin(no, port)));
  agents = await Promise.all([startAgent('agent-1'), startAgent('agent-2')]);
  // They have spoken with the tracker once.
  await vi.waitFor(() => Promise.all(['agent-1', 'agent-2'].map((name) => readFile(fileOf(name)))), {
    timeout: 15_000,
  });
}, 180_000);
afterAll(() => cluster?.[Symbol.asyncDispose]());

function start(role: string, name: string, settings: object): Promise<Process> {
  return cluster.start(entryUrl(`../${role}/main.ts`, import.meta.url), name, { role, ...settings });
}

const trackers = (): string[] => [`http://127.0.0.1:${trackerPort}`];
const fileOf = (name: string): string => join(cluster.dataOf(name), 'origins');

function startTracker(): Promise<Process> {
  return start('tracker', 'tracker', { listen: { ...ephemeral, port: trackerPort }, origins: urls });
}

function startOrigin(no: number, port = Number(new URL(urls[no] as string).port)): Promise<Process> {
  const name = `origin-${no}`;
  const ring = { trackers: trackers(), origins: urls, self: urls[no], replicas: 1 };
  return start('origin', name, {
    listen: { ...ephemeral, port },
    peer: ephemeral,
    data: cluster.dataOf(name),
    ...ring,
  });
}

function startAgent(name: string, more: object = {}): Promise<Process> {
  const settings = { listen: ephemeral, admin: ephemeral, peer: ephemeral, data: cluster.dataOf(name), ...more };
  return start('agent', name, { ...settings, trackers: trackers(), index: [index.url('api')] });
}

/** To that origin; the digest's owner then takes it over. */
async function upload(bytes: Uint8Array, no = 0): Promise<Digest> {
  const api = (origins[no] as Process).url('api');
  const id = randomUUID();
  const digest = digestOf('sha256', createHash('sha256').update(bytes).digest('hex'));
  const json = { 'content-type': 'application/json' };
  await fetch(api + ORIGIN.upload.path({ id }), { method: 'POST', body: '{}', headers: json });
  if (bytes.length > 0)
    await fetch(api + ORIGIN.append.path({ id, offset: 0 }), { method: 'PATCH', body: bytes.slice() });
  expect((await fetch(api + ORIGIN.commit.path({ id, digest }), { method: 'PUT' })).status).toBe(200);
  return digest;
}

const blobUrl = (agent: Process | undefined, digest: Digest): string =>
  `${agent?.url('registry')}/v2/${repo}/blobs/${digest}`;

async function expectPulled(agent: Process | undefined, digest: Digest, bytes: Buffer): Promise<void> {
  const response = await fetch(blobUrl(agent, digest));
  const body = Buffer.from(await response.arrayBuffer());
  expect([response.status, body.equals(bytes)]).toEqual([200, true]);
}

async function expectAll(): Promise<void> {
  for (const size of [0, 5_000, 300_000, 9 * MiB + 5]) {
    const bytes = randomBytes(size);
    const digest = await upload(bytes, size % 2);
    const head = await fetch(blobUrl(agents[0], digest), { method: 'HEAD' });
    expect([head.status, head.headers.get('content-length')]).toEqual([200, String(size)]);
    await Promise.all(agents.map((agent) => expectPulled(agent, digest, bytes)));
  }
  const nobodys = digestOf('sha256', randomBytes(32).toString('hex'));
  expect((await fetch(blobUrl(agents[0], nobodys))).status).toBe(404);
  expect((await fetch(blobUrl(agents[0], nobodys), { method: 'HEAD' })).status).toBe(404);
}

test('the tracker hangs: whatever is cold is pulled, and what nobody holds is 404', async () => {
  tracker.hang();
  await expectAll();
  tracker.wake();
}, 180_000);

test('the tracker is killed: the same, also through an agent that is started after it', async () => {
  await tracker.stop('SIGKILL');
  await expectAll();
  await agents[1]?.stop();
  agents[1] = await startAgent('agent-2');
  expect((await fetch(`${agents[1]?.url('admin')}/readiness`)).status).toBe(200);
  await expectAll();
}, 180_000);

test('a blob that its owner has not got yet is found where it is; 404 needs a no of every origin', async () => {
  const bytes = randomBytes(2 * MiB);
  const digest = digestOf('sha256', createHash('sha256').update(bytes).digest('hex'));
  const owner = urls.indexOf((await ownersAmong(urls))(digest)[0] as string);
  await origins[owner]?.stop('SIGKILL');
  await upload(bytes, 1 - owner);
  await expectPulled(agents[0], digest, bytes);
  const nobodys = digestOf('sha256', randomBytes(32).toString('hex'));
  expect((await fetch(blobUrl(agents[0], nobodys))).status).toBe(503);
  expect((await fetch(blobUrl(agents[0], nobodys), { method: 'HEAD' })).status).toBe(503);
  origins[owner] = await startOrigin(owner);
}, 180_000);

test('when the tracker is back it hears of what was pulled without it', async () => {
  const bytes = randomBytes(3 * MiB);
  const digest = await upload(bytes);
  await expectPulled(agents[0], digest, bytes);
  tracker = await startTracker();
  await vi.waitFor(
    async () => {
      const metrics = await (await fetch(`${tracker.url('api')}/metrics`)).text();
      // Each agent holds at least what it pulled in the tests before, origins besides.
      expect(Number(/^shoal_tracker_leases (\d+)/m.exec(metrics)?.[1])).toBeGreaterThan(6);
    },
    { timeout: 15_000 },
  );
}, 180_000);

test('an agent whose file of origins is damaged begins without it, and learns them again', async () => {
  await agents[1]?.stop();
  await writeFile(fileOf('agent-2'), '{"cluster":"default","trackers":');
  agents[1] = await startAgent('agent-2');
  await vi.waitFor(
    async () => {
      expect(JSON.parse(await readFile(fileOf('agent-2'), 'utf8'))).toMatchObject({ origins: urls.toSorted() });
    },
    { timeout: 15_000 },
  );
  await tracker.stop('SIGKILL');
  await expectAll();
}, 180_000);

test('an agent that never heard of a tracker pulls where its configuration names the origins, else it is not ready', async () => {
  const bytes = randomBytes(700_000);
  const digest = await upload(bytes);
  const [told, untold] = await Promise.all([startAgent('agent-3', { origins: urls }), startAgent('agent-4')]);
  await expectPulled(told, digest, bytes);
  expect((await fetch(`${told.url('admin')}/readiness`)).status).toBe(200);
  expect((await fetch(blobUrl(untold, digest))).status).toBe(503);
  await vi.waitFor(
    async () => {
      expect((await fetch(`${untold.url('admin')}/readiness`)).status).toBe(503);
    },
    { timeout: 15_000 },
  );
}, 180_000);
