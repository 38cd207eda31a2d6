/**
 * Everything but the bucket is lost: the disks of the origin, of the index and of every agent. An empty cluster in front of
 * the bucket has all of it again.
 */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Cluster, type Place, shoal, startAt } from '../cluster.ts';
import { startDocker } from '../engines.ts';
import { writeContext } from '../image.ts';
import { freeBasePort, run, temporary } from '../processes.ts';
import { keys } from './servers/s3.ts';
import { started } from './servers/server.ts';
import { startVersitygw } from './servers/versitygw.ts';

const layerBytes = [24 << 20, 9 << 20, 1 << 20];
const agents = 2;
const stack = new AsyncDisposableStack();
let place: Place;
let cluster: Cluster;
let docker: Awaited<ReturnType<typeof startDocker>>;
let built = '';

beforeAll(async () => {
  const server = await started(stack, startVersitygw);
  const dir = await temporary(stack, 'restore');
  const backends = join(dir, 'backends.yaml');
  const s3 = { bucket: 'images', prefix: 'registry', endpoint: server.endpoint, credentials: keys };
  // JSON is YAML.
  await writeFile(backends, JSON.stringify({ backends: [{ name: 'bucket', durability: 'backend', s3 }] }));
  const folder = join(dir, 'image');
  await mkdir(folder);
  await writeContext(folder, layerBytes);
  place = { dir, base: await freeBasePort(agents), agents, backends };
  [cluster, docker] = await Promise.all([startAt(stack, place), startDocker(stack)]);
  await docker('build', '-q', '-t', 'built', folder);
  built = await docker('image', 'inspect', '-f', '{{.Id}}', 'built');
});
afterAll(() => stack.disposeAsync());

const pulledAt = async (agent: string, name: string): Promise<string> => {
  await docker('rmi', '-f', built);
  await docker('pull', '-q', `${agent}/${name}`);
  expect(await docker('image', 'inspect', '-f', '{{.Id}}', `${agent}/${name}`)).toBe(built);
  return await docker('run', '--rm', '--network', 'none', `${agent}/${name}`);
};

const reconcile = (...args: string[]): Promise<string> =>
  run(shoal[0] ?? '', [...shoal.slice(1), 'reconcile', '--index', `http://127.0.0.1:${place.base + 4}`, ...args]);

test('docker push is acknowledged once the bucket has it', async () => {
  for (const name of ['library/app:1', 'library/app:stable', 'other/app:1']) {
    await docker('tag', 'built', `${cluster.proxy}/${name}`);
    expect(await docker('push', `${cluster.proxy}/${name}`)).toMatch(/digest: sha256:[0-9a-f]{64}/);
  }
});

test('all disks are lost; reconcile says what it would do, and does it; docker pulls at every agent', async () => {
  await cluster.up.end();
  await rm(join(place.dir, 'data'), { recursive: true });
  cluster = await startAt(stack, place);
  const planned = await reconcile();
  const done = await reconcile('--apply');
  expect({ planned, done }).toMatchObject({
    planned: expect.stringMatching(/library\/app/),
    done: expect.stringMatching(/library\/app/),
  });
  for (const agent of cluster.agents)
    for (const name of ['library/app:1', 'library/app:stable', 'other/app:1'])
      expect((await pulledAt(agent, name)).match(/: OK$/gm)).toHaveLength(layerBytes.length);
});

test('what is pushed after that is there as well', async () => {
  await docker('tag', built, `${cluster.proxy}/library/app:2`);
  await docker('push', `${cluster.proxy}/library/app:2`);
  expect((await pulledAt(cluster.agents[0] ?? '', 'library/app:2')).match(/: OK$/gm)).toHaveLength(layerBytes.length);
});
