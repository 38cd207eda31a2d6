/** Three origins over a directory that is not there at first, as real processes: how many hold what by rule, and a drain that waits for the backend. */

import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { DRAIN, type DrainState } from '../../core/contracts/drain.ts';
import { INDEX } from '../../core/contracts/index-api.ts';
import { ORIGIN } from '../../core/contracts/origin.ts';
import { type Digest, digestOf } from '../../core/digest.ts';
import { entryUrl } from '../../platform/lifecycle/entry.ts';
import { Cluster, type Process } from '../../platform/testing/cluster.ts';
import { freePort } from '../../platform/testing/ports.ts';
import { ownersAmong } from '../../platform/testing/ring.ts';

const host = '127.0.0.1';
const json = { 'content-type': 'application/json' };
const patient = { timeout: 60_000, interval: 200 };

let cluster: Cluster;
let urls: string[];
let index: string;
let drained: Process;

beforeAll(async () => {
  cluster = await Cluster.make();
  const ports = await Promise.all([0, 0, 0, 0].map(() => freePort()));
  const [first, ...origins] = ports.map((port) => `http://${host}:${port}`);
  index = first as string;
  urls = origins;
  const listen = (url: string) => ({ host, port: Number(new URL(url).port) });
  const backends = [{ name: 'main', file: { directory: cluster.dataOf('bucket') } }];
  await cluster.start(entryUrl('../../index/main.ts', import.meta.url), 'index', {
    ...{ role: 'index', listen: listen(index), data: cluster.dataOf('index') },
    replicas: { default: 2, rules: [{ repositories: 'prod/**', replicas: 3 }] },
  });
  const started = urls.map((url, no) =>
    cluster.start(entryUrl('../main.ts', import.meta.url), `origin-${no}`, {
      role: 'origin',
      listen: listen(url),
      peer: { host, port: 0 },
      data: cluster.dataOf(`origin-${no}`),
      trackers: ['http://127.0.0.1:1'],
      index: [index],
      origins: urls,
      members: { grace: '1s' },
      repair: { every: '3s' },
      backends,
    }),
  );
  [drained] = (await Promise.all(started)) as [Process];
}, 180_000);
afterAll(() => cluster?.[Symbol.asyncDispose]());

async function push(no: number, repo: string, bytes: Uint8Array): Promise<Digest> {
  const id = randomUUID();
  const url = urls[no] as string;
  const digest = digestOf('sha256', createHash('sha256').update(bytes).digest('hex'));
  await fetch(url + ORIGIN.begin.path({ id }), { method: 'POST', body: '{}', headers: json });
  await fetch(url + ORIGIN.append.path({ id, offset: 0 }), { method: 'PATCH', body: bytes.slice() });
  expect((await fetch(url + ORIGIN.commit.path({ id, digest, repo }), { method: 'PUT' })).status).toBe(200);
  const body = JSON.stringify({ size: bytes.length });
  const link = INDEX.linkBlob.path({ name: repo, digest });
  expect((await fetch(index + link, { method: 'PUT', body, headers: json })).ok).toBe(true);
  return digest;
}

const holds = async (url: string, digest: Digest): Promise<boolean> =>
  (await fetch(url + ORIGIN.info.path({ digest, proof: 'sample' }))).status === 200;

async function drain(route: 'state' | 'begin' = 'state'): Promise<DrainState> {
  const { method, path } = DRAIN[route];
  return (await (await fetch(urls[0] + path({}), { method })).json()) as DrainState;
}

test('a rule of the index has more origins hold a blob; a drain waits until the backend has what it is owed', async () => {
  const blobs: Digest[] = [];
  const important = await push(0, 'prod/app', randomBytes(300_000));
  for (const size of [5, 400_000]) blobs.push(await push(0, 'team/app', randomBytes(size)));
  const owners = await ownersAmong(urls);
  await vi.waitFor(async () => {
    for (const url of urls) expect([url, await holds(url, important)]).toEqual([url, true]);
    for (const digest of blobs) for (const url of owners(digest, 2)) expect(await holds(url, digest)).toBe(true);
  }, patient);
  await drain('begin');
  await vi.waitFor(async () => {
    const { mayStop, owed, why } = await drain();
    expect([mayStop, owed > 0, why.join()]).toEqual([false, true, expect.stringContaining('owed to backends')]);
  }, patient);
  await mkdir(cluster.dataOf('bucket'));
  await vi.waitFor(async () => expect(await drain()).toMatchObject({ mayStop: true, owed: 0, left: 0 }), patient);
  await drained.stop('SIGKILL');
  for (const digest of [important, ...blobs])
    for (const url of urls.slice(1)) expect([url, await holds(url, digest)]).toEqual([url, true]);
}, 240_000);
