/** Registry tools and the other engines: OCI and Docker formats both ways, indexes, unpacking. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Cluster, startCluster } from '../cluster.ts';
import { startContainerd } from '../engines.ts';
import { writeContext, writeMultiArchLayout } from '../image.ts';
import { run, temporary } from '../processes.ts';

const stack = new AsyncDisposableStack();
const ARCHITECTURES = ['amd64', 'arm64', 's390x'];
let cluster: Cluster;
let dir = '';
let agent = '';

/** Options that keep podman or buildah inside of a directory of ours, an empty one for each name. */
const storage = (name: string): string[] => [
  ...['--root', join(dir, name, 'root'), '--runroot', join(dir, name, 'run'), '--storage-driver', 'vfs'],
];
const skopeo = (...args: string[]): Promise<string> => run('skopeo', args);
const copy = (from: string, to: string, ...options: string[]): Promise<string> =>
  skopeo('copy', '--insecure-policy', '--src-tls-verify=false', '--dest-tls-verify=false', ...options, from, to);
const digestOf = async (reference: string): Promise<string> =>
  (await skopeo('inspect', '--raw', '--tls-verify=false', `docker://${reference}`).then(sha256)) as string;

async function sha256(text: string): Promise<string> {
  const bytes = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text));
  return `sha256:${Buffer.from(bytes).toString('hex')}`;
}

beforeAll(async () => {
  dir = await temporary(stack, 'tools');
  cluster = await startCluster(stack, 2);
  agent = cluster.agents[0] ?? '';
  await writeContext(join(dir, 'context'), [8 << 20, 3 << 20, 1 << 20]);
  const build = ['bud', '--isolation', 'chroot', '--layers', '-q', '-t', 'built'];
  await run('buildah', [...storage('build'), ...build, join(dir, 'context')]);
  await run('buildah', [...storage('build'), 'push', '-q', 'built', `oci:${join(dir, 'oci')}:1`]);
});
afterAll(() => stack.disposeAsync());

describe.each(['oci', 'v2s2'])('skopeo, format %s', (format) => {
  const name = `tools/${format}:1`;
  test('copies to the proxy and back from every agent, byte for byte', async () => {
    await copy(`oci:${join(dir, 'oci')}:1`, `docker://${cluster.proxy}/${name}`, '--format', format);
    const pushed = await digestOf(`${cluster.proxy}/${name}`);
    for (const [n, from] of cluster.agents.entries()) {
      expect(await digestOf(`${from}/${name}`)).toBe(pushed);
      await copy(`docker://${from}/${name}`, `dir:${join(dir, `${format}${n}`)}`);
      const manifest = await readFile(join(dir, `${format}${n}`, 'manifest.json'), 'utf8');
      expect(await sha256(manifest)).toBe(pushed);
    }
  });
  test('crane validate reads every layer and checks every digest', async () => {
    const printed = await run('crane', ['validate', '--insecure', '--remote', `${agent}/${name}`]);
    expect(printed).toContain('PASS');
  });
});

test('an index of several architectures arrives whole', async () => {
  const index = await writeMultiArchLayout(join(dir, 'multi'), ARCHITECTURES);
  await copy(`oci:${join(dir, 'multi')}`, `docker://${cluster.proxy}/tools/multi:1`, '--all');
  expect(await run('crane', ['digest', '--insecure', `${agent}/tools/multi:1`])).toBe(index);
  await copy(`docker://${agent}/tools/multi:1`, `oci:${join(dir, 'returned')}:1`, '--all');
  const arm = await run('crane', ['manifest', '--insecure', '--platform', 'linux/arm64', `${agent}/tools/multi:1`]);
  expect(JSON.parse(arm).layers).toHaveLength(1);
});

test('crane copies between repositories', async () => {
  await run('crane', ['copy', '--insecure', `${agent}/tools/oci:1`, `${cluster.proxy}/tools/copied:2`]);
  expect(await digestOf(`${agent}/tools/copied:2`)).toBe(await digestOf(`${agent}/tools/oci:1`));
});

test('a tag that moves is seen at once through every agent', async () => {
  await copy(`docker://${cluster.proxy}/tools/v2s2:1`, `docker://${cluster.proxy}/tools/copied:2`);
  const moved = await digestOf(`${cluster.proxy}/tools/v2s2:1`);
  for (const from of cluster.agents) expect(await digestOf(`${from}/tools/copied:2`)).toBe(moved);
});

test('a push to an agent is refused at the first layer, with the address of the proxy, though all of it is there', async () => {
  const push = copy(`docker://${cluster.proxy}/tools/oci:1`, `docker://${agent}/tools/oci:2`);
  await expect(push).rejects.toThrow(`push to and delete at the proxy, http://${cluster.proxy}`);
  const failed = await push.catch((error: Error) => error.message);
  expect(failed).not.toMatch(/already exists|Writing manifest/);
  const crane = run('crane', ['copy', '--insecure', `${cluster.proxy}/tools/oci:1`, `${agent}/tools/oci:2`]);
  const told = await crane.then(() => 'it was accepted').catch((error: Error) => error.message);
  expect(told).toContain(`push to and delete at the proxy, http://${cluster.proxy}`);
  expect(told).not.toContain('existing blob');
});

test('podman pulls and runs', async () => {
  const reference = `${agent}/tools/v2s2:1`;
  const policy = join(dir, 'policy.json');
  await writeFile(policy, JSON.stringify({ default: [{ type: 'insecureAcceptAnything' }] }));
  await run('podman', [
    ...storage('podman'),
    'pull',
    '-q',
    '--tls-verify=false',
    '--signature-policy',
    policy,
    reference,
  ]);
  const limits = ['--ulimit', 'nofile=20000:20000', '--ulimit', 'nproc=4096:4096', '--network', 'none'];
  const printed = await run('podman', [...storage('podman'), 'run', '--rm', ...limits, reference]);
  expect(printed.match(/: OK$/gm)).toHaveLength(3);
});

test('buildah pulls', async () => {
  const reference = `${cluster.agents[1]}/tools/oci:1`;
  expect(await run('buildah', [...storage('buildah'), 'pull', '-q', '--tls-verify=false', reference])).toMatch(
    /^[0-9a-f]{64}$/,
  );
});

test('containerd pulls and unpacks', async () => {
  const ctr = await startContainerd(stack);
  for (const name of ['tools/oci:1', 'tools/v2s2:1']) {
    await ctr('images', 'pull', '--plain-http', '--snapshotter', 'native', `${agent}/${name}`);
    expect(await ctr('images', 'check', '--snapshotter', 'native', `name==${agent}/${name}`)).toContain('complete');
  }
});
