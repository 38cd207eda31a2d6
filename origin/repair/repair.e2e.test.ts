/** Three origins, an index and a tracker as real processes: disks are lost, members come, go and come back. */

import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { INDEX } from '../../core/contracts/index-api.ts';
import { ORIGIN } from '../../core/contracts/origin.ts';
import { ORIGIN_ADMIN } from '../../core/contracts/origin-admin.ts';
import { REPAIR, type RepairState } from '../../core/contracts/origin-repair.ts';
import { PROBES } from '../../core/contracts/probes.ts';
import { type Digest, digestOf } from '../../core/digest.ts';
import { entryUrl } from '../../platform/lifecycle/entry.ts';
import { Cluster, type Process } from '../../platform/testing/cluster.ts';
import { freePort } from '../../platform/testing/ports.ts';
import { ownersAmong } from '../../platform/testing/ring.ts';
import { sumsFreshMs } from './listing.ts';

const host = '127.0.0.1';
const ephemeral = { host, port: 0 };
const replicas = 2;
const json = { 'content-type': 'application/json' };
/** Everything here is done within a few seconds on an idle machine. */
const patient = { timeout: 60_000, interval: 200 };

let cluster: Cluster;
let urls: string[];
let index: string;
let tracker: string;
const running = new Map<number, Process>();

beforeEach(async () => {
  cluster = await Cluster.make();
  const [indexPort = 0, trackerPort = 0, ...ports] = await Promise.all([0, 0, 0, 0, 0, 0].map(() => freePort()));
  urls = ports.map((port) => `http://${host}:${port}`);
  index = `http://${host}:${indexPort}`;
  tracker = `http://${host}:${trackerPort}`;
  await cluster.start(entryUrl('../../index/main.ts', import.meta.url), 'index', {
    ...{ role: 'index', listen: { host, port: indexPort }, data: cluster.dataOf('index') },
  });
  await cluster.start(entryUrl('../../tracker/main.ts', import.meta.url), 'tracker', {
    ...{ role: 'tracker', listen: { host, port: trackerPort }, origins: urls.slice(0, 3) },
  });
}, 180_000);
afterEach(() => {
  running.clear();
  return cluster?.[Symbol.asyncDispose]();
});

/** One of `among`, by its number. */
async function start(no: number, among: readonly number[] = [0, 1, 2], more: object = {}): Promise<void> {
  const settings = {
    role: 'origin',
    listen: { host, port: Number(new URL(urls[no] as string).port) },
    peer: ephemeral,
    data: cluster.dataOf(`origin-${no}`),
    trackers: [tracker],
    index: [index],
    origins: among.map((one) => urls[one]),
    self: urls[no],
    replicas,
    members: { grace: '1s' },
    repair: { every: '3s' },
    ...more,
  };
  running.set(no, await cluster.start(entryUrl('../main.ts', import.meta.url), `origin-${no}`, settings));
}

async function stop(no: number, signal: 'SIGTERM' | 'SIGKILL' = 'SIGKILL'): Promise<void> {
  await running.get(no)?.stop(signal);
  running.delete(no);
}

async function upload(no: number, bytes: Uint8Array, links = true): Promise<Digest> {
  const id = randomUUID();
  const url = urls[no] as string;
  const digest = digestOf('sha256', createHash('sha256').update(bytes).digest('hex'));
  await fetch(url + ORIGIN.begin.path({ id }), { method: 'POST', body: '{}', headers: json });
  await fetch(url + ORIGIN.append.path({ id, offset: 0 }), { method: 'PATCH', body: bytes.slice() });
  expect((await fetch(url + ORIGIN.commit.path({ id, digest }), { method: 'PUT' })).status).toBe(200);
  if (links) await link(digest, bytes.length);
  return digest;
}

async function link(digest: Digest, size: number): Promise<void> {
  const body = JSON.stringify({ size });
  const put = await fetch(index + INDEX.linkBlob.path({ name: 'a/b', digest }), { method: 'PUT', body, headers: json });
  expect(put.ok).toBe(true);
}

const unlink = (digest: Digest): Promise<Response> =>
  fetch(index + INDEX.unlinkBlob.path({ name: 'a/b', digest }), { method: 'DELETE' });

const holds = async (url: string, digest: Digest): Promise<boolean> =>
  (await fetch(url + ORIGIN.info.path({ digest, proof: 'sample' }))).status === 200;

async function stateOf(no: number): Promise<RepairState> {
  return (await (await fetch(urls[no] + REPAIR.state.path({}))).json()) as RepairState;
}

/** Blobs of several sizes, linked, at their owners. */
async function pushed(among: readonly number[], count = 12): Promise<Map<Digest, Uint8Array>> {
  const blobs = new Map<Digest, Uint8Array>();
  for (let n = 0; n < count; n++) {
    const bytes = randomBytes([5, 20_000, 300_000, 2_000_000][n % 4] as number);
    blobs.set(await upload(among[n % among.length] as number, bytes), bytes);
  }
  await everywhere(blobs, among);
  await handedOver(among);
  // Who is asked for sums within it may answer with those of before the last blob, and is not asked again while nothing goes on.
  await sleep(sumsFreshMs);
  return blobs;
}

/**
 * None of these offers anything any more. Who does, for a minute, asks an owner again although that has the blob by now, and
 * one that has lost it meanwhile takes it over: neither repair nor the index has any part in that.
 */
async function handedOver(among: readonly number[]): Promise<void> {
  await vi.waitFor(async () => {
    for (const no of among) {
      const text = await (await fetch(urls[no] + PROBES.metrics.path({}))).text();
      expect(/^shoal_handovers_waiting\S* (\d+)$/m.exec(text)?.[1]).toBe('0');
    }
  }, patient);
}

/** Each of its owners among these holds each of the blobs. */
async function everywhere(blobs: ReadonlyMap<Digest, unknown>, among: readonly number[]): Promise<void> {
  const owners = await ownersAmong(among.map((no) => urls[no] as string));
  await vi.waitFor(async () => {
    const missing: string[] = [];
    for (const digest of blobs.keys())
      for (const url of owners(digest, replicas)) if (!(await holds(url, digest))) missing.push(`${url} ${digest}`);
    expect(missing).toEqual([]);
  }, patient);
}

/** All that may go from it; in the end what it does not own is not there any more, and what it owns is. */
async function evicted(no: number, digests: readonly Digest[]): Promise<void> {
  const owners = await ownersAmong([0, 1, 2].map((one) => urls[one] as string));
  const owned = digests.filter((digest) => owners(digest, replicas).includes(urls[no] as string));
  await vi.waitFor(
    async () => {
      const body = JSON.stringify({ digests });
      await fetch(urls[no] + ORIGIN_ADMIN.evict.path({}), { method: 'POST', body, headers: json });
      const held: Digest[] = [];
      for (const digest of digests) if (await holds(urls[no] as string, digest)) held.push(digest);
      expect(held).toEqual(owned);
    },
    { timeout: 60_000, interval: 6_000 },
  );
}

test('an origin that lost its disk gets what it should hold, while others read; all say that nothing is lacking', async () => {
  await Promise.all([0, 1, 2].map((no) => start(no)));
  const blobs = await pushed([0, 1, 2]);
  await stop(1);
  // All but who it is: another disk in its place, or the same one emptied.
  await rm(cluster.dataOf('origin-1'), { recursive: true });
  const [[digest, bytes] = []] = [...blobs];
  await start(1);
  const reading = (async () => {
    for (let n = 0; n < 30; n++) {
      const response = await fetch(urls[0] + ORIGIN.read.path({ digest: digest as Digest }));
      if (response.status === 200) expect(Buffer.from(await response.arrayBuffer()).equals(bytes as Buffer)).toBe(true);
    }
  })();
  await everywhere(blobs, [0, 1, 2]);
  await reading;
  await vi.waitFor(async () => {
    for (const no of [0, 1, 2]) {
      const { phase, lacking, below, spare, others } = await stateOf(no);
      expect({ phase, lacking, below, unsafe: spare.unsafe }).toEqual({
        ...{ phase: 'idle', lacking: { blobs: 0, bytes: 0 }, below: 0, unsafe: 0 },
      });
      expect(others.filter(({ state }) => state !== 'equal' && state !== 'silent')).toEqual([]);
    }
  }, patient);
  expect((await stateOf(1)).fetched.blobs).toBeGreaterThan(0);
}, 180_000);

test('one that comes back after a month fetches nothing that was deleted meanwhile, and nobody fetches it from there', async () => {
  await Promise.all([0, 1, 2].map((no) => start(no)));
  const blobs = await pushed([0, 1, 2]);
  await stop(2, 'SIGTERM');
  const gone = [...blobs.keys()].slice(0, 6);
  for (const digest of gone) {
    await unlink(digest);
    for (const no of [0, 1]) await fetch(urls[no] + ORIGIN.remove.path({ digest }), { method: 'DELETE' });
    blobs.delete(digest);
  }
  // What it has not heard of it gets.
  const kept = new Map<Digest, Uint8Array>();
  for (const size of [5, 300_000, 2_000_000]) {
    const bytes = randomBytes(size);
    kept.set(await upload(0, bytes), bytes);
  }
  await start(2);
  await everywhere(new Map([...blobs, ...kept]), [0, 1, 2]);
  await vi.waitFor(async () => {
    for (const no of [0, 1, 2]) expect((await stateOf(no)).below).toBe(0);
    expect((await stateOf(2)).comparedMsAgo).toBeDefined();
  }, patient);
  for (const digest of gone) for (const no of [0, 1]) expect(await holds(urls[no] as string, digest)).toBe(false);
}, 180_000);

test('one joins and gets its share, and what only others own goes where room is made; one leaves, and the rest hold all of it', async () => {
  await Promise.all([0, 1].map((no) => start(no, [0, 1])));
  const blobs = await pushed([0, 1], 10);
  for (const no of [0, 1]) await stop(no, 'SIGTERM');
  await Promise.all([0, 1, 2].map((no) => start(no, [0, 1, 2])));
  await everywhere(blobs, [0, 1, 2]);
  await evicted(0, [...blobs.keys()]);
  await everywhere(blobs, [0, 1, 2]);
  await stop(0);
  for (const no of [1, 2]) await stop(no, 'SIGTERM');
  await Promise.all([1, 2].map((no) => start(no, [1, 2])));
  await everywhere(blobs, [1, 2]);
}, 180_000);

test('without the index nothing is fetched, and it says why; killed in the middle, it goes on', async () => {
  await Promise.all([0, 1].map((no) => start(no, [0, 1])));
  const blobs = await pushed([0, 1], 8);
  await stop(1);
  await rm(`${cluster.dataOf('origin-1')}/blobs`, { recursive: true });
  const nowhere = `http://${host}:${await freePort()}`;
  await start(1, [0, 1], { index: [nowhere] });
  await vi.waitFor(async () => {
    const { phase, why = '', fetched, lacking } = await stateOf(1);
    expect([phase, fetched.blobs, lacking.blobs]).toEqual(['waits', 0, blobs.size]);
    expect(why).toContain('no index answers');
  }, patient);
  await stop(1);
  // Slowly, so that it is in the middle of it.
  await start(1, [0, 1], { repair: { every: '3s', rate: '1MB/s' } });
  await vi.waitFor(async () => expect((await stateOf(1)).fetched.bytes).toBeGreaterThan(0), patient);
  await stop(1);
  await start(1, [0, 1]);
  await everywhere(blobs, [0, 1]);
}, 180_000);
