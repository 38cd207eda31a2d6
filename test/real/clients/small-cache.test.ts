/** An agent whose cache is far smaller than what docker and curl ask of it: every pull is served, and said not to be kept. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Cluster, shoal, startCluster } from '../cluster.ts';
import { startDocker } from '../engines.ts';
import { writeContext, writeNoise } from '../image.ts';
import { answers, freeBasePort, keepRunning, run, temporary } from '../processes.ts';

const MB = 1_000_000;
const MiB = 1 << 20;
const budget = 100 * MB;
const stack = new AsyncDisposableStack();
let dir = '';
let cluster: Cluster;
let agent = '';
let admin = '';

type File = { readonly digest: string; readonly url: string; readonly bytes: number };

beforeAll(async () => {
  dir = await temporary(stack, 'small');
  cluster = await startCluster(stack, 1);
  const base = Number(cluster.proxy.split(':')[1]);
  const port = await freeBasePort(0);
  const settings = {
    role: 'agent',
    name: 'small',
    cluster: 'local',
    data: join(dir, 'cache'),
    listen: { host: '127.0.0.1', port },
    peer: { host: '127.0.0.1', port: port + 1 },
    admin: { host: '127.0.0.1', port: port + 2 },
    trackers: [`http://127.0.0.1:${base + 3}`],
    index: [`http://127.0.0.1:${base + 4}`],
    cache: { budget },
    pull: { linger: '500ms' },
  };
  // JSON is YAML.
  await writeFile(join(dir, 'small.yaml'), JSON.stringify(settings));
  const service = stack.use(keepRunning([...shoal, 'agent', '--config', join(dir, 'small.yaml')], join(dir, 'log')));
  agent = `127.0.0.1:${port}`;
  admin = `http://127.0.0.1:${port + 2}`;
  await service.until(() => answers(`${admin}/readiness`), 60_000);
});
afterAll(() => stack.disposeAsync());

/** Noise of that size, pushed; where the small agent has it. */
async function put(mebibytes: number, seed: number): Promise<File> {
  const path = join(dir, `noise-${seed}`);
  const digest = `sha256:${await writeNoise(path, mebibytes * MiB, seed)}`;
  const uploads = `http://${cluster.proxy}/v2/small/noise/blobs/uploads/`;
  const begun = await run('curl', ['-sSf', '-X', 'POST', '-o', join(dir, 'begun'), '-w', '%header{location}', uploads]);
  const to = new URL(begun, uploads);
  to.searchParams.set('digest', digest);
  await run('curl', ['-sSf', '-o', join(dir, 'stored'), '-T', path, to.href]);
  return { digest, url: `http://${agent}/v2/small/noise/blobs/${digest}`, bytes: mebibytes * MiB };
}

/** What curl says of the transfer, and what it wrote. */
async function curl({ url }: File, to: string, ...options: string[]): Promise<{ code: string; digest: string }> {
  const path = join(dir, to);
  const code = await run('curl', ['-sS', '--fail-with-body', '-o', path, '-w', '%{http_code}', ...options, url]);
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return { code, digest: `sha256:${hash.digest('hex')}` };
}

async function metric(name: string): Promise<number> {
  const text = await (await fetch(`${admin}/metrics`)).text();
  return Number(
    text
      .split('\n')
      .find((line) => line.startsWith(`shoal_${name} `))
      ?.split(' ')[1],
  );
}

test('curl gets a blob of 157 MB through a cache of 100 MB, and a range of it', async () => {
  const file = await put(150, 1);
  expect(await curl(file, 'whole')).toEqual({ code: '200', digest: file.digest });
  expect((await curl(file, 'part', '-r', '150000000-150000099')).code).toBe('206');
  const part = await readFile(join(dir, 'part'));
  expect(part.equals((await readFile(join(dir, 'noise-1'))).subarray(150_000_000, 150_000_100))).toBe(true);
  expect(await metric('pulls_not_kept_total')).toBeGreaterThanOrEqual(1);
  expect(await metric('passed_bytes_total')).toBeGreaterThanOrEqual(file.bytes);
});

test('four of 50 MB at once', async () => {
  const files = await Promise.all([2, 3, 4, 5].map((seed) => put(48, seed)));
  const got = await Promise.all(files.map((file, i) => curl(file, `four-${i}`)));
  expect(got).toEqual(files.map(({ digest }) => ({ code: '200', digest })));
});

test('one of 60 MB while a slow client reads another of 60 MB', async () => {
  const [slow, next] = [await put(58, 6), await put(58, 7)];
  const got = await Promise.all([curl(slow, 'slow', '--limit-rate', '10M'), curl(next, 'next')]);
  expect(got).toEqual([slow, next].map(({ digest }) => ({ code: '200', digest })));
});

test('docker pulls and runs an image of 210 MB', async () => {
  const folder = join(dir, 'image');
  await mkdir(folder);
  await writeContext(folder, [120 * MiB, 50 * MiB, 30 * MiB]);
  const docker = await startDocker(stack);
  await docker('build', '-q', '-t', `${cluster.proxy}/small/app:1`, folder);
  await docker('push', '-q', `${cluster.proxy}/small/app:1`);
  await docker('rmi', '-f', `${cluster.proxy}/small/app:1`);
  await docker('pull', '-q', `${agent}/small/app:1`);
  const checked = await docker('run', '--rm', '--network', 'none', `${agent}/small/app:1`);
  expect(checked.match(/: OK$/gm)).toHaveLength(3);
});

test('the agent says that it kept less than it gave, and keeps within its budget', async () => {
  const status = (await (await fetch(`${admin}/v1/status`)).json()) as {
    cache: { bytes: number };
    finished: { kept: boolean }[];
  };
  expect(status.cache.bytes).toBeLessThanOrEqual(budget);
  expect(status.finished.some(({ kept }) => !kept)).toBe(true);
  expect(await readFile(join(dir, 'log'), 'utf8')).toContain('not kept: cache full');
});
