/** An agent beside a real containerd: each layer once on the disk, whoever pulled it, and until nobody wants it. */
import { createHash } from 'node:crypto';
import { mkdir, readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { type Cluster, shoal, startCluster } from '../cluster.ts';
import { startContainerd } from '../engines.ts';
import { writeDirImage } from '../image.ts';
import { answers, freeBasePort, keepRunning, run, temporary } from '../processes.ts';

const MiB = 1 << 20;
const layers = [12, 6].map((mebibytes) => mebibytes * MiB);
const eventually = { timeout: 60_000, interval: 100 };
const stack = new AsyncDisposableStack();
let dir = '';
let content = '';
let cluster: Cluster;
let agent = '';
let admin = '';
let ctr: (...args: string[]) => Promise<string>;

beforeAll(async () => {
  dir = await temporary(stack, 'shared');
  content = join(dir, 'containerd/root/io.containerd.content.v1.content/blobs/sha256');
  await mkdir(join(dir, 'containerd'));
  ctr = await startContainerd(stack, join(dir, 'containerd'));
  cluster = await startCluster(stack, 1);
  const base = Number(cluster.proxy.split(':')[1]);
  const port = await freeBasePort(0);
  const settings = {
    ...{ role: 'agent', name: 'shared', cluster: 'local', data: join(dir, 'cache') },
    listen: { host: '127.0.0.1', port },
    peer: { host: '127.0.0.1', port: port + 1 },
    admin: { host: '127.0.0.1', port: port + 2 },
    trackers: [`http://127.0.0.1:${base + 3}`],
    index: [`http://127.0.0.1:${base + 4}`],
    storage: { share: 'containerd', root: join(dir, 'containerd/root') },
  };
  await writeFile(join(dir, 'agent.yaml'), JSON.stringify(settings));
  const service = stack.use(keepRunning([...shoal, 'agent', '--config', join(dir, 'agent.yaml')], join(dir, 'log')));
  agent = `127.0.0.1:${port}`;
  admin = `http://127.0.0.1:${port + 2}`;
  await service.until(() => answers(`${admin}/readiness`), 60_000);
  for (const [name, sizes] of [
    ['one', layers],
    ['two', [9 * MiB]],
  ] as const) {
    await writeDirImage(join(dir, name), sizes);
    const to = `docker://${cluster.proxy}/shared/${name}:1`;
    await run('skopeo', ['copy', '--insecure-policy', '--dest-tls-verify=false', `dir:${join(dir, name)}`, to]);
  }
});
afterAll(() => stack.disposeAsync());

async function metric(name: string): Promise<number> {
  const lines = (await (await fetch(`${admin}/metrics`)).text()).split('\n');
  return Number(lines.find((line) => line.startsWith(`shoal_${name} `))?.split(' ')[1]);
}

/** Digests (hex) of layers that containerd has. */
async function large(): Promise<string[]> {
  const names = await readdir(content);
  const sizes = await Promise.all(names.map(async (name) => (await stat(join(content, name))).size));
  return names.filter((_, i) => (sizes[i] as number) > MiB).toSorted();
}

const fetchInto = (from: string, name: string): Promise<string> =>
  ctr('content', 'fetch', '--plain-http', `${from}/shared/${name}:1`);
const used = async (...paths: string[]): Promise<number> =>
  Number((await run('du', ['-scB1', ...paths])).trim().split('\n').at(-1)?.split('\t')[0]);

/** What the agent gives for it. */
async function served(hex: string): Promise<string> {
  const response = await fetch(`${admin}/v1/blobs/sha256:${hex}/data`);
  return createHash('sha256')
    .update(Buffer.from(await response.arrayBuffer()))
    .digest('hex');
}

test('what containerd pulled through the agent lies on the disk once', async () => {
  await fetchInto(agent, 'one');
  await vi.waitFor(async () => expect(await metric('shared_blobs')).toBe(layers.length), eventually);
  for (const hex of await large()) expect((await stat(join(content, hex))).nlink).toBe(2);
  const bytes = layers.reduce((sum, size) => sum + size, 0);
  // `du` counts a file once, whatever its names.
  expect(await used(join(dir, 'cache'), content)).toBeLessThan(bytes + MiB);
  expect(await metric('shared_freed_bytes_total')).toBeGreaterThan(bytes);
});

test('what containerd pulled from elsewhere is given by the agent without a download', async () => {
  const before = await metric('pulls_total');
  await fetchInto(cluster.proxy, 'two');
  await vi.waitFor(async () => expect(await metric('shared_blobs')).toBe(layers.length + 1), eventually);
  for (const hex of await large()) expect(await served(hex)).toBe(hex);
  expect(await metric('pulls_total')).toBe(before);
});

test('containerd collects it: the agent still has it, as its own', async () => {
  const hexes = await large();
  const before = await metric('pulls_total');
  await ctr('images', 'rm', '--sync', `${agent}/shared/one:1`, `${cluster.proxy}/shared/two:1`);
  await vi.waitFor(async () => expect(await large()).toEqual([]), eventually);
  await vi.waitFor(async () => expect(await metric('shared_blobs')).toBe(0), eventually);
  for (const hex of hexes) expect(await served(hex)).toBe(hex);
  expect(await metric('pulls_total')).toBe(before);
  expect(await used(join(dir, 'cache'))).toBeGreaterThan(27 * MiB);
});

test('pulled again, it is shared again', async () => {
  await fetchInto(agent, 'one');
  await vi.waitFor(async () => expect(await metric('shared_blobs')).toBe(layers.length), eventually);
  for (const hex of await large()) expect((await stat(join(content, hex))).nlink).toBe(2);
});

test('what is damaged in its store is never taken', async () => {
  const hex = 'ab'.repeat(32);
  await writeFile(join(content, hex), Buffer.alloc(MiB, 7));
  await vi.waitFor(async () => {
    expect(await (await fetch(`${admin}/metrics`)).text()).toContain('shoal_shared_refused_total{why="wrong"} 1');
  }, eventually);
  expect((await fetch(`${admin}/v1/blobs/sha256:${hex}/data`)).status).not.toBe(200);
});
