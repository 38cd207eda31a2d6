/**
 * A registry of distribution that skopeo has filled, with a password, under a namespace of its own: imported, and pulled
 * through an agent; what is broken there is named, and what moves there afterwards is followed by the next import.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Digest } from '../../../core/digest.ts';
import { OCI_PATHS } from '../../../core/oci/paths.ts';
import { statusOf } from '../../images.fixtures.ts';
import { type Cluster, shoal, startAt } from '../cluster.ts';
import { writeDirImage, writeMultiArchLayout } from '../image.ts';
import { freeBasePort, run, temporary } from '../processes.ts';
import { type DistributionServer, registryLogin, startDistribution } from './servers/distribution.ts';
import { started } from './servers/server.ts';

const login = `${registryLogin.username}:${registryLogin.password}`;
const namespace = 'company';
const copied = ['--insecure-policy', 'copy', '-q', '--all', '--preserve-digests'];
const stack = new AsyncDisposableStack();

let registry: DistributionServer;
let cluster: Cluster;
let base: number;
let dir: string;
let several = '';

const here = (name: string): string => `docker://${cluster.agents[0]}/${name}`;
const there = (name: string): string => `docker://${registry.address}/${namespace}/${name}`;
const file = (name: string): string => join(dir, name);

async function put(from: string, names: readonly string[]): Promise<void> {
  const to = ['--dest-tls-verify=false', `--dest-creds=${login}`];
  for (const name of names) await run('skopeo', [...copied, ...to, from, there(name)]);
}

/** Manifest and bytes of the image, as they came. */
async function pulledTo(name: string, folder: string): Promise<string> {
  await run('skopeo', [...copied, '--src-tls-verify=false', here(name), `dir:${file(folder)}`]);
  return await run('skopeo', ['inspect', '--raw', `dir:${file(folder)}`]);
}

const raw = (name: string): Promise<string> =>
  run('skopeo', ['inspect', '--raw', '--tls-verify=false', `--creds=${login}`, there(name)]);

/** What it printed; where something is broken it ends with 1, and that is in it as well. */
const imported = (...args: string[]): Promise<string> =>
  run(shoal[0] ?? '', [
    ...shoal.slice(1),
    ...['import', '--index', `http://127.0.0.1:${base + 4}`, '--from', 'old', ...args],
  ]).catch((error: Error) => error.message);

const tagsOf = async (repo: string): Promise<unknown> =>
  ((await (await fetch(`http://${cluster.proxy}/v2/${repo}/tags/list`)).json()) as { tags?: unknown }).tags;

beforeAll(async () => {
  registry = await started(stack, (folder) => startDistribution(folder, { auth: 'basic' }));
  dir = await temporary(stack, 'import-registry');
  base = await freeBasePort(1);
  await writeDirImage(file('one'), [9 << 20, 1 << 20]);
  await writeDirImage(file('two'), [2 << 20]);
  several = await writeMultiArchLayout(file('several'), ['amd64', 'arm64']);
  await put(`dir:${file('one')}`, ['app:1', 'app:stable', 'deep/er/tool:v2']);
  await put(`dir:${file('two')}`, ['app:2', 'app:moves', 'broken:1']);
  await put(`oci:${file('several')}`, ['several:1']);
  const { layers } = JSON.parse(await raw('broken:1')) as { layers: { digest: Digest }[] };
  const gone = OCI_PATHS.blob(`${namespace}/broken`, (layers[0] as { digest: Digest }).digest);
  const authorization = `Basic ${Buffer.from(login).toString('base64')}`;
  const deleted = await fetch(`http://${registry.address}${gone}`, { method: 'DELETE', headers: { authorization } });
  expect(deleted.status).toBe(202);
  const backends = file('backends.yaml');
  const rule = { name: 'old', shared: true, readOnly: true };
  const settings = { ...registry.rule.registry, namespace: { to: namespace } };
  await writeFile(backends, JSON.stringify({ backends: [{ ...rule, registry: settings }] }));
  await run(shoal[0] ?? '', [...shoal.slice(1), 'config', 'check', '--online', '--role', 'origin', backends]);
  cluster = await startAt(stack, { dir, base, agents: 1, backends });
});
afterAll(() => stack.disposeAsync());

test('a dry run changes nothing and names what is broken; applied, all else is listed and pulled, byte by byte', async () => {
  const broken = /^broken\s+tag\s+broken:1\s+old: .* is not there: push its image again/m;
  const dry = await imported();
  expect(dry).toMatch(broken);
  expect(dry).toMatch(/ 7 tags: 6 added, 0 moved, 0 removed, 1 broken \(nothing was changed: --apply does it\)/);
  expect(await statusOf({ url: () => `http://${cluster.proxy}` }, OCI_PATHS.tags('app'))).toBe(404);
  const done = await imported('--apply');
  expect(done).toMatch(broken);
  expect(done).toMatch(/ 7 tags: 6 added, 0 moved, 0 removed, 1 broken$/m);
  expect(await imported('--apply')).toMatch(/ 7 tags: 0 added, 0 moved, 0 removed, 1 broken$/m);
  expect(await tagsOf('app')).toEqual(['1', '2', 'moves', 'stable']);
  for (const name of ['app:1', 'app:stable', 'app:2', 'deep/er/tool:v2'])
    expect(await pulledTo(name, 'pulled'), name).toBe(await raw(name));
  await run('skopeo', [...copied, '--src-tls-verify=false', here('several:1'), `oci:${file('again')}:1`]);
  expect(await run('skopeo', ['inspect', '--raw', `oci:${file('again')}:1`])).toContain('arm64');
  expect(await run('skopeo', ['inspect', '--format', '{{.Digest}}', '--tls-verify=false', here('several:1')])).toBe(
    several,
  );
});

test('a part is imported by its name, and a tag that moved there moves here', async () => {
  await put(`dir:${file('one')}`, ['app:moves']);
  expect(await imported('--apply', '--repo', 'deep/**')).toMatch(/ 1 tags?: 0 added, 0 moved, 0 removed, 0 broken$/m);
  expect(await imported('--apply', '--repo', 'app')).toMatch(/ 4 tags: 0 added, 1 moved, 0 removed, 0 broken$/m);
  expect(await pulledTo('app:moves', 'moved')).toBe(await raw('app:1'));
});

test('once the registry is away, what was imported is listed, and what was pulled is there', async () => {
  await registry.process.kill();
  expect(await tagsOf('app')).toEqual(['1', '2', 'moves', 'stable']);
  expect(await pulledTo('app:1', 'away')).toContain('schemaVersion');
  expect(await imported('--apply')).toMatch(/backend old cannot be read/);
  await registry.process.start();
  expect(await imported('--apply')).toMatch(/ 7 tags: 0 added, 0 moved, 0 removed, 1 broken$/m);
});
