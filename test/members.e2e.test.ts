/**
 * Members that come, go, move and are two, as real processes on addresses of their own, which a real resolver tells of:
 * what is pushed and pulled meanwhile, and what each process knows of the others.
 */

import { createHash, randomBytes } from 'node:crypto';
import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MEMBERS, type MemberRow } from '../core/contracts/members.ts';
import { PROBES } from '../core/contracts/probes.ts';
import { digestOf } from '../core/digest.ts';
import { OCI_PATHS } from '../core/oci/paths.ts';
import { entryUrl } from '../platform/lifecycle/entry.ts';
import { TestDns } from '../platform/members/dns/server.fixtures.ts';
import { Cluster, type Process } from '../platform/testing/cluster.ts';
import { freePort } from '../platform/testing/ports.ts';

const loopback = { host: '127.0.0.1', port: 0 };
const name = 'origin.shoal.test';
const patience = { timeout: 20_000, interval: 100 };
let cluster: Cluster;
let dns: TestDns;
let port: number;
let proxy: Process;
let agent: Process;
let common: object;
const origins = new Map<string, Process>();

const told = (...hosts: string[]): void => dns.addresses(name, hosts, 0);
const urlAt = (host: string): string => `http://${host}:${port}`;

async function origin(data: string, host: string): Promise<Process> {
  const started = await cluster.start(entryUrl('../origin/main.ts', import.meta.url), `${data}-${host}`, {
    ...{ role: 'origin', ...common, listen: { host, port }, peer: loopback },
    data: cluster.dataOf(data),
  });
  origins.set(host, started);
  return started;
}

/** Origins as the proxy knows them. */
async function known(): Promise<readonly MemberRow[]> {
  const answer = await fetch(proxy.url('registry') + MEMBERS.status.path({}));
  const { lists } = MEMBERS.status.reply(await answer.json(), 'the proxy');
  return lists.find(({ role }) => role === 'origins')?.members ?? [];
}
const up = async (): Promise<number> => (await known()).filter((row) => row.up && row.id !== undefined).length;

async function pushAndPull(): Promise<void> {
  const bytes = randomBytes(300_000);
  const digest = digestOf('sha256', createHash('sha256').update(bytes).digest('hex'));
  const begun = await fetch(proxy.url('registry') + OCI_PATHS.uploads('team/app'), { method: 'POST' });
  expect(begun.status).toBe(202);
  const at = new URL(begun.headers.get('location') ?? '', proxy.url('registry'));
  at.searchParams.set('digest', digest);
  const put = await fetch(at, { method: 'PUT', body: bytes });
  expect([put.status, await put.text()]).toEqual([201, '']);
  const got = await fetch(agent.url('registry') + OCI_PATHS.blob('team/app', digest));
  expect([got.status, Buffer.from(await got.arrayBuffer()).equals(bytes)]).toEqual([200, true]);
}

beforeAll(async () => {
  cluster = await Cluster.make();
  dns = await TestDns.start();
  port = await freePort();
  told('127.0.0.2', '127.0.0.3');
  const members = { resolver: [dns.address], refresh: '200ms', grace: '10s' };
  const trackerPort = await freePort();
  common = { members, origins: [`dns+http://${name}:${port}`], trackers: [`http://127.0.0.1:${trackerPort}`] };
  const { origins: entries } = common as { origins: string[] };
  const [, , , index] = await Promise.all([
    cluster.start(entryUrl('../tracker/main.ts', import.meta.url), 'tracker', {
      ...{ role: 'tracker', members, origins: entries, listen: { ...loopback, port: trackerPort } },
    }),
    origin('origin-1', '127.0.0.2'),
    origin('origin-2', '127.0.0.3'),
    cluster.start(entryUrl('../index/main.ts', import.meta.url), 'index', {
      ...{ role: 'index', listen: loopback, data: cluster.dataOf('index') },
    }),
  ]);
  const calls = { members, index: [index.url('api')] };
  [proxy, agent] = await Promise.all([
    cluster.start(entryUrl('../proxy/main.ts', import.meta.url), 'proxy', {
      ...{ role: 'proxy', ...calls, origins: entries, listen: loopback },
    }),
    cluster.start(entryUrl('../agent/main.ts', import.meta.url), 'agent', {
      ...{ role: 'agent', ...calls, listen: loopback, admin: loopback, peer: loopback },
      ...{ data: cluster.dataOf('agent'), trackers: [`http://127.0.0.1:${trackerPort}`] },
    }),
  ]);
}, 120_000);
afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]();
  await dns?.[Symbol.asyncDispose]();
});

describe('origins that DNS tells of', { timeout: 90_000 }, () => {
  test('take what is pushed, and give it', async () => {
    await expect.poll(up, patience).toBe(2);
    await pushAndPull();
  });

  test('one that comes is there without a restart of anybody', async () => {
    await origin('origin-3', '127.0.0.4');
    told('127.0.0.2', '127.0.0.3', '127.0.0.4');
    await expect.poll(up, patience).toBe(3);
    await pushAndPull();
  });

  test('one that comes back at another address is who it was: nothing else moves', async () => {
    const before = await known();
    const moved = before.find(({ url }) => url === urlAt('127.0.0.3'))?.id;
    await origins.get('127.0.0.3')?.stop();
    told('127.0.0.2', '127.0.0.4');
    await expect.poll(async () => (await known()).find(({ id }) => id === moved)?.url, patience).toBeUndefined();
    // It keeps its place meanwhile.
    expect((await known()).map(({ id }) => id).toSorted()).toEqual(before.map(({ id }) => id).toSorted());
    await origin('origin-2', '127.0.0.5');
    told('127.0.0.2', '127.0.0.4', '127.0.0.5');
    const there = async () => (await known()).find(({ id }) => id === moved)?.url;
    await expect.poll(there, patience).toBe(urlAt('127.0.0.5'));
    expect((await known()).map(({ id }) => id).toSorted()).toEqual(before.map(({ id }) => id).toSorted());
    await pushAndPull();
  });

  test('an empty list, a resolver that hangs: pushes and pulls go on with those that were there', async () => {
    dns.zone.delete(name);
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    await pushAndPull();
    dns.behaviour = 'nothing';
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    await pushAndPull();
    expect(await up()).toBe(3);
    const metrics = await (await fetch(`${proxy.url('registry')}/metrics`)).text();
    expect(metrics).toMatch(/^shoal_member_list_questions_total\{list="dns[^}]*",result="empty"\} [1-9]/m);
    dns.behaviour = 'answers';
    told('127.0.0.2', '127.0.0.4', '127.0.0.5');
  });

  test('one that hangs is asked last within three seconds, and as before once it goes on', async () => {
    const hung = origins.get('127.0.0.4') as Process;
    const state = async () => (await known()).find(({ url }) => url === urlAt('127.0.0.4'))?.up;
    await expect.poll(state, patience).toBe(true);
    hung.hang();
    const beganMs = performance.now();
    try {
      await expect.poll(state, { timeout: 10_000, interval: 20 }).toBe(false);
      process.stdout.write(`a stopped origin was found after ${Math.round(performance.now() - beganMs)} ms\n`);
      await pushAndPull();
    } finally {
      hung.wake();
    }
    await expect.poll(state, patience).toBe(true);
  });

  test('two of one identity count as one, and all who see them say so', async () => {
    const copied = cluster.dataOf('origin-1');
    await cp(copied, cluster.dataOf('twin'), { recursive: true });
    for (const file of ['lock', 'pid']) await rm(join(cluster.dataOf('twin'), file), { force: true });
    const twin = await origin('twin', '127.0.0.6');
    told('127.0.0.2', '127.0.0.4', '127.0.0.5', '127.0.0.6');
    const ready = async (at: Process, door: string) => {
      const answer = await fetch(at.url(door) + PROBES.readiness.pattern);
      return `${answer.status} ${await answer.text()}`;
    };
    const first = origins.get('127.0.0.2') as Process;
    const firstReady = async (): Promise<string> => {
      const answer = await fetch(urlAt('127.0.0.2') + PROBES.readiness.pattern);
      return `${answer.status} ${await answer.text()}`;
    };
    await expect.poll(firstReady, patience).toMatch(/^503 .*both say to be/);
    await expect.poll(() => ready(proxy, 'registry'), patience).toMatch(/^200 .*both say to be/);
    expect((await known()).length).toBe(3);
    expect(await cluster.log('proxy')).toContain('two processes have one identity');
    await pushAndPull();
    await twin.stop();
    told('127.0.0.2', '127.0.0.4', '127.0.0.5');
    await expect.poll(firstReady, patience).toMatch(/^200 /);
    expect(first.running).toBe(true);
  });
});
