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
}, 180_000);
afterAll(() => cluster?.[Symbol.asyncDispose]());

const begin = (no: number, id: string): Promise<Response> =>
  fetch(urls[no] + ORIGIN.begin.path({ id }), { method: 'POST', body: '{}', headers: json });

async function finish(no: number, id: string, bytes: Uint8Array): Promise<Digest> {
  const digest = digestOf('sha256', createHash('sha256').update(bytes).digest('hex'));
  await fetch(urls[no] + ORIGIN.append.path({ id, offset: 0 }), { method: 'PATCH', body: bytes.slice() });
  expect((await fetch(urls[no] + ORIGIN.commit.path({ id, digest }), { method: 'PUT' })).status).toBe(200);
  return digest;
}

const holds = async (no: number, digest: Digest, how: { proof?: 'sample' } = { proof: 'sample' }): Promise<boolean> =>
  (await fetch(urls[no] + ORIGIN.info.path({ digest, ...how }))).status === 200;

async function drain(no: number, route: 'state' | 'begin' | 'cancel' = 'state'): Promise<DrainState> {
  const { method, path } = DRAIN[route];
  return (await (await fetch(urls[no] + path({}), { method })).json()) as DrainState;
}

test('it waits for what is open and for owners that hang, survives kill -9, and is right when it says that it may go', async () => {
  const blobs: Digest[] = [];
  // Of so many, some are owned by the one that drains and the one that does not hang: these must come to the other.
  for (let n = 0; n < 45; n++) {
    const [no, id] = [n < 27 ? 0 : n % 3, randomUUID()];
    await begin(no, id);
    blobs.push(await finish(no, id, randomBytes(n % 9 === 0 ? 1_000_000 : 5 + n)));
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
  const held = [];
  for (const digest of blobs) if (await holds(0, digest, {})) held.push(digest);
  expect(held.length).toBeGreaterThanOrEqual(27);
  // It is gone for good: all that it held is on both others.
  await running.get(0)?.stop('SIGKILL');
  for (const digest of held) for (const no of [1, 2]) expect([no, await holds(no, digest)]).toEqual([no, true]);
  // What it never held comes to them in their own time: it could say nothing of that.
  for (const no of [1, 2])
    await vi.waitFor(async () => {
      for (const digest of blobs) expect([no, await holds(no, digest)]).toEqual([no, true]);
    }, patient);
}, 180_000);

test('called off, it takes uploads again', async () => {
  await drain(1, 'begin');
  expect((await begin(1, randomUUID())).status).toBe(503);
  expect(await drain(1, 'cancel')).toMatchObject({ draining: false, mayStop: false });
  expect((await begin(1, randomUUID())).status).toBe(201);
}, 180_000);
