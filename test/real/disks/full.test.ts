/**
 * Disks that are full under real processes, on file systems of their own: pushes are refused with what to do, pulls go on
 * and are not kept, and all of it works again when there is room, without a restart.
 */

import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { mkdir, rm, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { AGENT } from '../../../core/contracts/agent.ts';
import { entryUrl } from '../../../platform/lifecycle/entry.ts';
import { Cluster, type Process } from '../../../platform/testing/cluster.ts';
import { freePort } from '../../../platform/testing/ports.ts';
import { run } from '../processes.ts';

const MB = 1_000_000;
const rarely = { timeout: 30_000, interval: 1_000 };
const ephemeral = { host: '127.0.0.1', port: 0 };
const disks = { origin: '96m', index: '16m', agent: '96m' } as const;
type Disk = keyof typeof disks;

let cluster: Cluster;
let proxy: Process;
let agent: Process;

beforeAll(async () => {
  cluster = await Cluster.make();
  for (const [name, size] of Object.entries(disks)) {
    await mkdir(diskOf(name));
    await run('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', diskOf(name)]);
  }
  const [originPort, trackerPort] = [await freePort(), await freePort()];
  const [origins, trackers] = [[`http://127.0.0.1:${originPort}`], [`http://127.0.0.1:${trackerPort}`]];
  const data = (name: string): { data: string } => ({ data: join(diskOf(name), 'data') });
  await start('tracker', { listen: { ...ephemeral, port: trackerPort }, origins });
  const index = [(await start('index', { listen: ephemeral, ...data('index') })).url('api')];
  const at = { listen: { ...ephemeral, port: originPort }, peer: ephemeral };
  await start('origin', { ...at, ...data('origin'), trackers, origins, index });
  proxy = await start('proxy', { listen: ephemeral, origins, index });
  const doors = { listen: ephemeral, admin: ephemeral, peer: ephemeral };
  agent = await start('agent', { ...doors, ...data('agent'), trackers, index, pull: { linger: '300ms' } });
}, 120_000);

afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]().catch(() => undefined);
  for (const name of Object.keys(disks)) await run('umount', ['-l', diskOf(name)]);
  await rm(cluster.dir, { recursive: true, force: true });
});

const diskOf = (name: string): string => join(cluster.dir, `disk-${name}`);
const start = (role: string, settings: object): Promise<Process> =>
  cluster.start(entryUrl(`../../../${role}/main.ts`, import.meta.url), role, { role, ...settings });

/** To the last byte. */
async function fillUp(name: Disk): Promise<void> {
  for (const part of [1, 2]) {
    const { bavail, bsize } = await statfs(diskOf(name));
    if (bavail > 0)
      await writeFile(join(diskOf(name), `filler-${part}`), Buffer.alloc(bavail * bsize)).catch(() => undefined);
  }
  expect((await statfs(diskOf(name))).bavail).toBe(0);
}

async function empty(name: Disk): Promise<void> {
  for (const part of [1, 2]) await rm(join(diskOf(name), `filler-${part}`), { force: true });
}

type Said = { readonly status: number; readonly text: string };
const said = async (response: Response): Promise<Said> => ({ status: response.status, text: await response.text() });
const digestOf = (bytes: Buffer): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

async function pushBlob(bytes: Buffer): Promise<Said> {
  const begun = await fetch(`${proxy.url('registry')}/v2/library/app/blobs/uploads/`, { method: 'POST' });
  if (begun.status !== 202) return await said(begun);
  const at = new URL(begun.headers.get('location') ?? '', proxy.url('registry'));
  at.searchParams.set('digest', digestOf(bytes));
  return await said(await fetch(at, { method: 'PUT', body: bytes }));
}

/** An image of one layer. */
async function push(tag: string, layer: Buffer): Promise<Said[]> {
  const config = Buffer.from(`{"of":"${randomUUID()}"}`);
  const type = 'application/vnd.oci.image.manifest.v1+json';
  const of = (bytes: Buffer, mediaType: string) => ({ mediaType, digest: digestOf(bytes), size: bytes.length });
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: type,
    config: of(config, 'application/vnd.oci.image.config.v1+json'),
    layers: [of(layer, 'application/vnd.oci.image.layer.v1.tar+gzip')],
  });
  const steps = [await pushBlob(layer), await pushBlob(config)];
  const headers = { 'content-type': type };
  const url = `${proxy.url('registry')}/v2/library/app/manifests/${tag}`;
  return [...steps, await said(await fetch(url, { method: 'PUT', headers, body: manifest }))];
}

async function pull(bytes: Buffer): Promise<void> {
  const response = await fetch(`${agent.url('registry')}/v2/library/app/blobs/${digestOf(bytes)}`);
  expect(response.status).toBe(200);
  expect(Buffer.from(await response.arrayBuffer()).equals(bytes)).toBe(true);
}

async function pullTag(tag: string): Promise<Said> {
  return await said(await fetch(`${agent.url('registry')}/v2/library/app/manifests/${tag}`));
}

const cached = async (): Promise<number> =>
  AGENT.status.reply(await (await fetch(agent.url('admin') + AGENT.status.pattern)).json(), 'the agent').cache.complete;

const created = [201, 201, 201];
const statuses = (all: readonly Said[]): number[] => all.map(({ status }) => status);

test('an origin whose disk is full refuses pushes with what to do, gives what it has, and takes them when there is room', async () => {
  const layer = randomBytes(3 * MB);
  expect(statuses(await push('first', layer))).toEqual(created);
  await fillUp('origin');
  const [refused] = await push('second', randomBytes(3 * MB));
  expect(refused?.status).toBe(507);
  expect(refused?.text).toMatch(/STORAGE_FULL.*(free space|make room)/);
  await pull(layer);
  await empty('origin');
  await vi.waitFor(async () => expect(statuses(await push('second', randomBytes(3 * MB)))).toEqual(created), 20_000);
});

test('an agent whose disk is full streams what it cannot keep, large or small, and keeps it when there is room', async () => {
  const layers = [randomBytes(24 * MB), randomBytes(2 * MB)];
  for (const [i, layer] of layers.entries()) expect(statuses(await push(`full-${i}`, layer))).toEqual(created);
  await fillUp('agent');
  for (const layer of [...layers, ...layers]) await pull(layer);
  for (const i of layers.keys()) expect((await pullTag(`full-${i}`)).status).toBe(200);
  await empty('agent');
  const before = await cached();
  await vi.waitFor(async () => {
    for (const layer of layers) await pull(layer);
    expect(await cached()).toBeGreaterThan(before);
    // Longer than a pull lingers: one that is under way stays as it began.
  }, rarely);
});

test('an index whose disk is full says so to who writes a tag, reads go on, and it takes the tag when there is room', async () => {
  const layer = randomBytes(MB);
  expect(statuses(await push('third', layer))).toEqual(created);
  await fillUp('index');
  const steps = await push('fourth', randomBytes(MB));
  const refused = steps.find(({ status }) => status !== 201);
  expect([503, 507]).toContain(refused?.status);
  expect(refused?.text).toMatch(/full|make room|free space/);
  expect((await pullTag('third')).status).toBe(200);
  await empty('index');
  await vi.waitFor(async () => expect(statuses(await push('fourth', randomBytes(MB)))).toEqual(created), 20_000);
});
