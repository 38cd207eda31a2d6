/** The engine that most users have: push to the proxy, pull from each agent, run what arrived. */
import { readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Cluster, startCluster } from '../cluster.ts';
import { startDocker } from '../engines.ts';
import { writeContext } from '../image.ts';
import { temporary } from '../processes.ts';

const layerBytes = [176 << 20, 168 << 20, 160 << 20];
const stack = new AsyncDisposableStack();
let cluster: Cluster;
let docker: Awaited<ReturnType<typeof startDocker>>;
let built = '';

beforeAll(async () => {
  const folder = join(await temporary(stack, 'context'), 'image');
  await mkdir(folder);
  await writeContext(folder, layerBytes);
  [cluster, docker] = await Promise.all([startCluster(stack, 2), startDocker(stack)]);
  await docker('build', '-q', '-t', 'built', folder);
  built = await docker('image', 'inspect', '-f', '{{.Id}}', 'built');
  await docker('tag', 'built', `${cluster.proxy}/library/app:1`);
});
afterAll(() => stack.disposeAsync());

test('the image has three layers and at least 500 MB', async () => {
  const layers = await docker('image', 'inspect', '-f', '{{len .RootFS.Layers}} {{.Size}}', 'built');
  const [count, bytes] = layers.split(' ').map(Number);
  expect(count).toBe(3);
  expect(bytes).toBeGreaterThan(500e6);
});

test('docker push to the proxy', async () => {
  expect(await docker('push', `${cluster.proxy}/library/app:1`)).toMatch(/1: digest: sha256:[0-9a-f]{64}/);
});

test('a push of what is there already uploads nothing', async () => {
  const printed = await docker('push', `${cluster.proxy}/library/app:1`);
  expect(printed.match(/Layer already exists/g)).toHaveLength(3);
});

test('docker pull from each agent, docker run', async () => {
  for (const agent of cluster.agents) {
    await docker('rmi', '-f', built);
    await docker('pull', '-q', `${agent}/library/app:1`);
    expect(await docker('image', 'inspect', '-f', '{{.Id}}', `${agent}/library/app:1`)).toBe(built);
    const checked = await docker('run', '--rm', '--network', 'none', `${agent}/library/app:1`);
    expect(checked.match(/: OK$/gm)).toHaveLength(layerBytes.length);
  }
});

test('docker push to an agent is refused before any layer counts as there, with the address of the proxy', async () => {
  const agent = cluster.agents[0] ?? '';
  // As it was pushed, so that docker knows the digests of its layers and asks for them.
  await docker('tag', built, `${agent}/library/app:2`);
  const failed = await docker('push', `${agent}/library/app:2`).then(
    () => 'it was accepted',
    (error: Error) => error.message,
  );
  expect(failed).toContain(`push to and delete at the proxy, http://${cluster.proxy}`);
  expect(failed).not.toContain('already exists');
});

test('an unknown tag is named in the error', async () => {
  const agent = cluster.agents[0] ?? '';
  await expect(docker('pull', `${agent}/library/app:absent`)).rejects.toThrow(/not found|unknown/i);
});

test('the cluster restarted nothing and no process grew past 200 MiB', () => {
  const children = readFileSync(`/proc/${cluster.up.pid}/task/${cluster.up.pid}/children`, 'utf8').trim().split(' ');
  const residentKb = children.map((pid) => /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
  expect(children).toHaveLength(4 + cluster.agents.length);
  for (const kb of residentKb) expect(Number(kb)).toBeLessThan(200 << 10);
});
