/** Skopeo against an origin of 100 MB: what it deletes makes room; and an index without its manifests, where allowed. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { entryUrl } from '../../../platform/lifecycle/entry.ts';
import { Cluster } from '../../../platform/testing/cluster.ts';
import { freePort } from '../../../platform/testing/ports.ts';
import { writeDirImage, writeMultiArchLayout } from '../image.ts';
import { run, temporary } from '../processes.ts';

const stack = new AsyncDisposableStack();
const main = (role: string): URL => entryUrl(`../../../${role}/main.ts`, import.meta.url);
const ephemeral = { host: '127.0.0.1', port: 0 };
/** What is unlinked is kept so long, and an origin that asked in vain asks again after 5 s. */
const patienceMs = 1_000 + 5_500;
let dir = '';
let proxy = '';

const copy = (from: string, to: string, ...options: string[]): Promise<string> =>
  run('skopeo', ['copy', '--insecure-policy', '--dest-tls-verify=false', ...options, from, `docker://${proxy}/${to}`]);

beforeAll(async () => {
  const cluster = stack.use(await Cluster.make());
  dir = await temporary(stack, 'deleted');
  const index = await cluster.start(main('index'), 'index', {
    role: 'index',
    listen: ephemeral,
    data: cluster.dataOf('index'),
    keepUnlinked: '1s',
    manifests: { allowMissingChildren: ['mirror/**'] },
  });
  const port = await freePort();
  const [indexes, origins] = [[index.url('api')], [`http://127.0.0.1:${port}`]];
  const about = { listen: { ...ephemeral, port }, peer: ephemeral, data: cluster.dataOf('origin') };
  const more = { trackers: ['http://127.0.0.1:1'], disk: { budget: '100MB' } };
  await cluster.start(main('origin'), 'origin', { role: 'origin', ...about, ...more, index: indexes, origins });
  const started = await cluster.start(main('proxy'), 'proxy', {
    role: 'proxy',
    listen: ephemeral,
    index: indexes,
    origins,
  });
  proxy = new URL(started.url('registry')).host;
}, 60_000);
afterAll(() => stack.disposeAsync());

test('an index without its manifests is taken where the repository is listed, and its manifests are 404', async () => {
  await writeMultiArchLayout(join(dir, 'multi'), ['amd64', 'arm64']);
  const from = `oci:${join(dir, 'multi')}`;
  await expect(copy(from, 'team/app:1', '--multi-arch=index-only')).rejects.toThrow('manifests.allowMissingChildren');
  await copy(from, 'mirror/team/app:1', '--multi-arch=index-only');
  const raw = await run('skopeo', ['inspect', '--raw', '--tls-verify=false', `docker://${proxy}/mirror/team/app:1`]);
  const [child] = (JSON.parse(raw) as { manifests: { digest: string }[] }).manifests;
  const missing = await fetch(`http://${proxy}/v2/mirror/team/app/manifests/${child?.digest}`);
  expect([missing.status, await missing.text()]).toEqual([404, expect.stringContaining('MANIFEST_UNKNOWN')]);
  // The rest may follow.
  await copy(from, 'mirror/team/app:1', '--all');
  expect((await fetch(`http://${proxy}/v2/mirror/team/app/manifests/${child?.digest}`)).status).toBe(200);
});

test('60 MB, deleted, and 60 MB more: both are pushed to an origin of 100 MB', async () => {
  for (const [name, layers] of [
    ['first', [40 << 20, 17 << 20]],
    ['second', [39 << 20, 18 << 20]],
  ] as const)
    await writeDirImage(join(dir, name), layers);
  await copy(`dir:${join(dir, 'first')}`, 'team/big:1');
  await expect(copy(`dir:${join(dir, 'second')}`, 'team/big:2')).rejects.toThrow('507 Insufficient Storage');

  const manifest = JSON.parse(await readFile(join(dir, 'first', 'manifest.json'), 'utf8')) as {
    config: { digest: string };
    layers: { digest: string }[];
  };
  await run('skopeo', ['delete', '--tls-verify=false', `docker://${proxy}/team/big:1`]);
  for (const { digest } of [manifest.config, ...manifest.layers]) {
    const gone = await fetch(`http://${proxy}/v2/team/big/blobs/${digest}`, { method: 'DELETE' });
    expect(gone.status).toBe(202);
  }
  await sleep(patienceMs);
  await copy(`dir:${join(dir, 'second')}`, 'team/big:2');
  await run('skopeo', [
    'copy',
    '--insecure-policy',
    '--src-tls-verify=false',
    `docker://${proxy}/team/big:2`,
    `dir:${join(dir, 'back')}`,
  ]);
}, 120_000);
