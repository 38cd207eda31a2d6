/** Two zones, as real processes: who is told of whom, what is counted, and a zone whose link-holder hangs. */

import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ORIGIN } from '../core/contracts/origin.ts';
import { type Digest, digestOf } from '../core/digest.ts';
import { entryUrl } from '../platform/lifecycle/entry.ts';
import { Cluster, type Process } from '../platform/testing/cluster.ts';
import { freePort } from '../platform/testing/ports.ts';

const MiB = 1024 * 1024;
const ephemeral = { host: '127.0.0.1', port: 0 };
let cluster: Cluster;
let origin: Process;
let near: Process[];
let apart: Process[];
let startAgent: (name: string, place: object) => Promise<Process>;

beforeAll(async () => {
  cluster = await Cluster.make();
  const start = (role: string, name: string, settings: object): Promise<Process> =>
    cluster.start(entryUrl(`../${role}/main.ts`, import.meta.url), name, { role, ...settings });
  const port = await freePort();
  const origins = [`http://127.0.0.1:${port}`];
  const [tracker, index] = await Promise.all([
    start('tracker', 'tracker', { listen: ephemeral, origins }),
    start('index', 'index', { listen: ephemeral, data: cluster.dataOf('index') }),
  ]);
  const trackers = [tracker.url('api')];
  origin = await start('origin', 'origin', {
    listen: { ...ephemeral, port },
    peer: { ...ephemeral, zone: 'a' },
    origins,
    data: cluster.dataOf('origin'),
    trackers,
  });
  startAgent = (name, place) =>
    start('agent', name, {
      listen: ephemeral,
      admin: ephemeral,
      peer: { ...ephemeral, ...place },
      data: cluster.dataOf(name),
      trackers,
      index: [index.url('api')],
    });
  near = [await startAgent('a-1', { zone: 'a', rack: '1' })];
  apart = await Promise.all([1, 2, 3].map((no) => startAgent(`b-${no}`, { zone: 'b', rack: '1' })));
}, 180_000);
afterAll(() => cluster?.[Symbol.asyncDispose]());

async function upload(bytes: Buffer): Promise<Digest> {
  const id = randomUUID();
  const digest = digestOf('sha256', createHash('sha256').update(bytes).digest('hex'));
  const api = origin.url('api');
  const headers = { 'content-type': 'application/json' };
  await fetch(api + ORIGIN.upload.path({ id }), { method: 'POST', body: '{}', headers });
  await fetch(api + ORIGIN.append.path({ id, offset: 0 }), { method: 'PATCH', body: new Uint8Array(bytes) });
  expect((await fetch(api + ORIGIN.commit.path({ id, digest }), { method: 'PUT' })).status).toBe(200);
  return digest;
}

async function expectPulled(agent: Process | undefined, digest: Digest, bytes: Buffer): Promise<void> {
  const response = await fetch(`${agent?.url('registry')}/v2/library/app/blobs/${digest}`);
  expect([response.status, Buffer.from(await response.arrayBuffer()).equals(bytes)]).toEqual([200, true]);
}

async function bytesFrom(agents: readonly Process[], from: string): Promise<number> {
  let bytes = 0;
  for (const agent of agents) {
    const metrics = await (await fetch(`${agent.url('admin')}/metrics`)).text();
    bytes += Number(new RegExp(`^shoal_peer_verified_bytes_total\\{from="${from}"\\} (\\d+)$`, 'm').exec(metrics)?.[1]);
  }
  return bytes;
}

test('a zone takes a blob in about once, and hands it on within itself', async () => {
  const bytes = randomBytes(24 * MiB);
  const digest = await upload(bytes);
  await expectPulled(near[0], digest, bytes);
  // One after the other: whoever comes later finds all of it in its own rack.
  for (const agent of apart) await expectPulled(agent, digest, bytes);
  expect(await bytesFrom(near, 'zone')).toBe(bytes.length);
  const other = await bytesFrom(apart, 'other');
  expect(other).toBeGreaterThanOrEqual(bytes.length);
  expect(other).toBeLessThan(2 * bytes.length);
  expect(other + (await bytesFrom(apart, 'rack'))).toBe(3 * bytes.length);
}, 180_000);

test('who has it all in the zone hangs: the others get it from elsewhere', async () => {
  const bytes = randomBytes(8 * MiB);
  const digest = await upload(bytes);
  await expectPulled(apart[0], digest, bytes);
  apart[0]?.hang();
  const before = await bytesFrom(apart.slice(1), 'other');
  await Promise.all(apart.slice(1).map((agent) => expectPulled(agent, digest, bytes)));
  expect(await bytesFrom(apart.slice(1), 'other')).toBeGreaterThanOrEqual(before + bytes.length);
  apart[0]?.wake();
}, 180_000);
