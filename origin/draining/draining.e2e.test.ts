/** Three origins as real processes, of which one is emptied: it says that it may be switched off when that is so, and not before. */

import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { DRAIN, type DrainState } from '../../core/contracts/drain.ts';
import { ORIGIN } from '../../core/contracts/origin.ts';
import { type Digest, digestOf } from '../../core/digest.ts';
import { entryUrl } from '../../platform/lifecycle/entry.ts';
import { Cluster, type Process } from '../../platform/testing/cluster.ts';
import { freePort } from '../../platform/testing/ports.ts';

const host = '127.0.0.1';
const json = { 'content-type': 'application/json' };
const patient = { timeout: 60_000, interval: 200 };
let cluster: Cluster;
let urls: string[];
const running = new Map<number, Process>();

async function start(no: number): Promise<void> {
  const settings = {
    role: 'origin',
    listen: { host, port: Number(new URL(urls[no] as string).port) },
    peer: { host, port: 0 },
    data: cluster.dataOf(`origin-${no}`),
    trackers: ['http://127.0.0.1:1'],
    origins: urls,
    self: urls[no],
    replicas: 2,
    members: { grace: '1s' },
    repair: { every: '3s' },
  };
  running.set(no, await cluster.start(entryUrl('../main.ts', import.meta.url), `origin-${no}`, settings));
}

beforeAll(async () => {
  cluster = await Cluster.make();
  const ports = await Promise.all([0, 0, 0].map(() => freePort()));
  urls = ports.map((port) => `http://${host}:${port}`);
  await Promise.all([0, 1, 2].map(start));
}, 60_000);
afterAll(() => cluster?.[Symbol.asyncDispose]());

const begin = (no: number, id: string): Promise<Response> =>
  fetch(urls[no] + ORIGIN.begin.path({ id }), { method: 'POST', body: '{}', headers: json });

async function finish(no: number, id: string, bytes: Uint8Array): Promise<Digest> {
  const digest = digestOf('sha256', createHash('sha256').update(bytes).digest('hex'));
  await fetch(urls[no] + ORIGIN.append.path({ id, offset: 0 }), { method: 'PATCH', body: bytes.slice() });
  expect((await fetch(urls[no] + ORIGIN.commit.path({ id, digest }), { method: 'PUT' })).status).toBe(200);
  return digest;
}

const holds = async (no: number, digest: Digest): Promise<boolean> =>
  (await fetch(urls[no] + ORIGIN.info.path({ digest, proof: 'sample' }))).status === 200;

async function drain(no: number, route: 'state' | 'begin' | 'cancel' = 'state'): Promise<DrainState> {
  const { method, path } = DRAIN[route];
  return (await (await fetch(urls[no] + path({}), { method })).json()) as DrainState;
}

test('it waits for what is open and for owners that hang, survives kill -9, and is right when it says that it may go', async () => {
  const blobs: Digest[] = [];
  for (let n = 0; n < 9; n++) {
    const id = randomUUID();
    await begin(n % 3, id);
    blobs.push(await finish(n % 3, id, randomBytes([5, 300_000, 1_000_000][n % 3] as number)));
  }
  const open = randomUUID();
  await begin(0, open);
  running.get(1)?.hang();
  expect((await drain(0, 'begin')).draining).toBe(true);
  // What is new goes elsewhere; what was begun goes on.
  expect((await begin(0, randomUUID())).status).toBe(503);
  expect((await begin(0, open)).status).toBe(200);
  await vi.waitFor(async () => {
    const { mayStop, why } = await drain(0);
    expect([mayStop, why.join()]).toEqual([false, expect.stringContaining('1 uploads are open')]);
    expect(why.join()).toContain('not on all of their owners');
  }, patient);
  await running.get(0)?.stop('SIGKILL');
  await start(0);
  expect(await drain(0)).toMatchObject({ draining: true, mayStop: false });
  expect((await begin(0, randomUUID())).status).toBe(503);
  running.get(1)?.wake();
  await vi.waitFor(async () => expect(await drain(0)).toMatchObject({ mayStop: true, left: 0, uploads: 0 }), patient);
  // It is gone for good: all that it held is on both others.
  await running.get(0)?.stop('SIGKILL');
  for (const digest of blobs) for (const no of [1, 2]) expect([no, await holds(no, digest)]).toEqual([no, true]);
}, 180_000);

test('called off, it takes uploads again', async () => {
  await drain(1, 'begin');
  expect((await begin(1, randomUUID())).status).toBe(503);
  expect(await drain(1, 'cancel')).toMatchObject({ draining: false, mayStop: false });
  expect((await begin(1, randomUUID())).status).toBe(201);
}, 60_000);
