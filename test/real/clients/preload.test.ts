/** Kraken's `/preload` with a real docker and a real containerd: what they have then they pulled by the agent. */

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { AGENT, KRAKEN } from '../../../core/contracts/agent.ts';
import { Cluster } from '../../../platform/testing/cluster.ts';
import { type Parts, startParts } from '../../cluster.fixtures.ts';
import { startContainerd, startDocker } from '../engines.ts';
import { writeContext } from '../image.ts';
import { temporary } from '../processes.ts';

const stack = new AsyncDisposableStack();
let parts: Parts;
let docker: Awaited<ReturnType<typeof startDocker>>;
let ctr: Awaited<ReturnType<typeof startContainerd>>;

beforeAll(async () => {
  const cluster = stack.use(await Cluster.make());
  const [dockerDir, containerdDir] = [await temporary(stack, 'docker'), await temporary(stack, 'containerd')];
  const agent = { preload: { docker: join(dockerDir, 'sock'), containerd: join(containerdDir, 'sock') } };
  [parts, docker, ctr] = await Promise.all([
    startParts(cluster, { agent }),
    startDocker(stack, dockerDir),
    startContainerd(stack, containerdDir, { kubernetes: true }),
  ]);
  const folder = join(cluster.dir, 'image');
  await mkdir(folder);
  await writeContext(folder, [8 << 20, 1 << 20]);
  const name = `127.0.0.1:${parts.proxy.ports['registry']}/library/app:1`;
  await docker('build', '-q', '-t', name, folder);
  await docker('push', '-q', name);
  await docker('rmi', '-f', name);
}, 120_000);
afterAll(() => stack.disposeAsync());

const preload = async (tag: string, query: object = {}) => {
  const answer = await fetch(parts.agent.url('admin') + KRAKEN.preload.path({ tag, ...query }));
  return { status: answer.status, text: await answer.text() };
};
const image = () => `127.0.0.1:${parts.agent.ports['registry']}/library/app:1`;

test('docker has the image then, and says what is wrong with one that is not there', async () => {
  expect(await docker('image', 'ls', '-q')).toBe('');
  expect(await preload('library/app:1')).toEqual({ status: 200, text: '' });
  expect(await docker('image', 'inspect', '-f', '{{len .RootFS.Layers}}', image())).toBe('2');
  const { blobs } = AGENT.blobs.reply(
    await (await fetch(parts.agent.url('admin') + AGENT.blobs.path({}))).json(),
    'it',
  );
  expect(blobs.filter(({ size }) => size > 1 << 20)).not.toEqual([]);
  const absent = await preload('library/app:absent');
  expect([absent.status, absent.text]).toEqual([500, expect.stringMatching(/RUNTIME_FAILED.*(not found|unknown)/i)]);
}, 60_000);

test('containerd has it in the namespace of Kubernetes, unpacked', async () => {
  const query = { runtime: 'containerd', namespace: 'k8s.io' };
  expect(await preload('library/app:1', query)).toEqual({ status: 200, text: '' });
  expect(await ctr('-n', 'k8s.io', 'images', 'check')).toMatch(new RegExp(`^${image()} .* complete .* true`, 'm'));
  const absent = await preload('library/app:absent', query);
  expect([absent.status, absent.text]).toEqual([500, expect.stringMatching(/RUNTIME_FAILED.*(not found|unknown)/i)]);
}, 60_000);
