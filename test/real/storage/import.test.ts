/**
 * Buckets as they stand: one that a real Docker registry has filled, and what Kraken leaves, in both of its layouts. They are
 * imported, pulled by docker through an agent, and have after it all that they had before, as it was.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ListObjectsV2Command } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Cluster, shoal, startAt } from '../cluster.ts';
import { startDocker } from '../engines.ts';
import { writeContext, writeMultiArchLayout } from '../image.ts';
import { freeBasePort, run, temporary } from '../processes.ts';
import { asDocker, flat, putAsKraken } from './kraken.ts';
import { type BucketRegistry, startRegistryOn } from './servers/docker-registry.ts';
import type { S3Server } from './servers/s3.ts';
import { started } from './servers/server.ts';
import { startVersitygw } from './servers/versitygw.ts';

const layerBytes = [12 << 20, 3 << 20];
const architectures = ['amd64', 'arm64'];
const stack = new AsyncDisposableStack();
const ofKraken = {
  flat: { schemes: flat, roots: { blobs: 'kraken/flat', tags: 'kraken/flat' } },
  sharded: { schemes: asDocker, roots: { blobs: 'kraken/blobs', tags: 'kraken/tags' } },
} as const;

let server: S3Server;
let registry: BucketRegistry;
let docker: Awaited<ReturnType<typeof startDocker>>;
let cluster: Cluster;
let base: number;
let built = '';
let several = '';
let manifest = '';
let before: Readonly<Record<string, string>>;

/** Each object's ETag. */
async function objects(): Promise<Record<string, string>> {
  const client = server.client();
  stack.defer(() => client.destroy());
  const found: Record<string, string> = {};
  for (let token: string | undefined, more = true; more; more = token !== undefined) {
    const page = await client.send(
      new ListObjectsV2Command({
        Bucket: server.rule.s3.bucket,
        ...(token !== undefined && { ContinuationToken: token }),
      }),
    );
    for (const { Key, ETag } of page.Contents ?? []) found[Key ?? ''] = ETag ?? '';
    token = page.NextContinuationToken;
  }
  return found;
}

const rules = () => {
  const { s3 } = server.rule;
  const at = (prefix: string) => ({ s3: { ...s3, prefix } });
  return [
    { repositories: 'library/**', name: 'registry', shared: true, required: true, ...at('registry') },
    { repositories: 'flat/**', name: 'flat', shared: true, keys: 'identity', ...at('kraken/flat') },
    {
      repositories: 'sharded/**',
      name: 'sharded',
      shared: true,
      keys: { blobs: 'sharded_docker_blob', tags: 'docker_tag' },
      ...at('kraken/blobs'),
      tags: at('kraken/tags'),
    },
  ];
};

beforeAll(async () => {
  server = await started(stack, startVersitygw);
  const dir = await temporary(stack, 'import');
  [registry, docker, base] = await Promise.all([
    startRegistryOn(stack, server, { dir, prefix: 'registry' }),
    startDocker(stack),
    freeBasePort(1),
  ]);
  const folder = join(dir, 'image');
  await mkdir(folder);
  await writeContext(folder, layerBytes);
  await docker('build', '-q', '-t', 'built', folder);
  built = await docker('image', 'inspect', '-f', '{{.Id}}', 'built');
  for (const name of ['library/app:1', 'library/app:stable', 'library/deep/er/tool:v2']) {
    await docker('tag', 'built', `${registry.address}/${name}`);
    await docker('push', '-q', `${registry.address}/${name}`);
    await docker('rmi', `${registry.address}/${name}`);
  }
  several = await writeMultiArchLayout(join(dir, 'several'), architectures);
  const skopeo = (...args: string[]) =>
    run('skopeo', [
      '--insecure-policy',
      'copy',
      '-q',
      '--all',
      '--src-tls-verify=false',
      '--dest-tls-verify=false',
      ...args,
    ]);
  await skopeo(`oci:${join(dir, 'several')}`, `docker://${registry.address}/library/several:1`);
  await skopeo(`docker://${registry.address}/library/app:1`, `dir:${join(dir, 'copy')}`);
  const client = server.client();
  for (const [repo, how] of Object.entries(ofKraken)) {
    const at = { bucket: server.rule.s3.bucket, ...how, repo: `${repo}/app` };
    manifest = await putAsKraken(client, join(dir, 'copy'), { ...at, tag: '1' });
    await putAsKraken(client, join(dir, 'copy'), { ...at, tag: 'stable' });
  }
  client.destroy();
  await registry.program.kill();
  before = await objects();
  const backends = join(dir, 'backends.yaml');
  await writeFile(backends, JSON.stringify({ backends: rules() }));
  await run(shoal[0] ?? '', [...shoal.slice(1), 'config', 'check', '--online', '--role', 'origin', backends]);
  cluster = await startAt(stack, { dir, base, agents: 1, backends });
});
afterAll(() => stack.disposeAsync());

const imported = (...args: string[]): Promise<string> =>
  run(shoal[0] ?? '', [...shoal.slice(1), 'import', '--index', `http://127.0.0.1:${base + 4}`, ...args]);

async function pulled(name: string): Promise<void> {
  const at = `${cluster.agents[0]}/${name}`;
  await docker('rmi', '-f', built);
  await docker('pull', '-q', at);
  expect(await docker('image', 'inspect', '-f', '{{.Id}}', at)).toBe(built);
  expect((await docker('run', '--rm', '--network', 'none', at)).match(/: OK$/gm)).toHaveLength(layerBytes.length);
}

const tagsOf = async (repo: string): Promise<unknown> =>
  (await fetch(`http://${cluster.proxy}/v2/${repo}/tags/list`)).json();

test('a bucket of a Docker registry: a dry run changes nothing, then docker pulls each tag, and skopeo an index whole', async () => {
  expect(await imported('--from', 'registry')).toMatch(/ 4 tags: 19 added, 0 moved, 0 removed, 0 broken \(nothing/);
  expect((await fetch(`http://${cluster.proxy}/v2/library/app/tags/list`)).status).toBe(404);
  expect(await imported('--from', 'registry', '--apply')).toMatch(/ 4 tags: .* 0 moved, 0 removed, 0 broken$/m);
  expect(await tagsOf('library/app')).toEqual({ name: 'library/app', tags: ['1', 'stable'] });
  for (const name of ['app:1', 'app:stable', 'deep/er/tool:v2']) await pulled(`library/${name}`);
  const copy = await temporary(stack, 'several');
  await run('skopeo', [
    ...['--insecure-policy', 'copy', '-q', '--all', '--src-tls-verify=false', '--preserve-digests'],
    ...[`docker://${cluster.agents[0]}/library/several:1`, `oci:${copy}:1`],
  ]);
  expect(await run('skopeo', ['inspect', '--raw', `oci:${copy}:1`])).toContain(architectures[1]);
  const { headers } = await fetch(`http://${cluster.agents[0]}/v2/library/several/manifests/1`, {
    headers: { accept: 'application/vnd.oci.image.index.v1+json' },
  });
  expect(headers.get('docker-content-digest')).toBe(several);
});

test.each(Object.keys(ofKraken))(
  'what Kraken left, %s: imported, and docker pulls it by tag and by digest',
  async (name) => {
    const digest = `${name}/app@${manifest}`;
    // Before anything is imported: as at Kraken, whoever knows a digest has it.
    await pulled(digest);
    expect(await imported('--from', name, '--apply')).toMatch(/ 2 tags: 2 added, 0 moved, 0 removed, 0 broken$/m);
    expect(await imported('--from', name, '--apply')).toMatch(/ 2 tags: 0 added, 0 moved, 0 removed, 0 broken$/m);
    expect(await tagsOf(`${name}/app`)).toEqual({ name: `${name}/app`, tags: ['1', 'stable'] });
    for (const tag of ['1', 'stable']) await pulled(`${name}/app:${tag}`);
  },
);

test('what was there is there, as it was; what was added is ours; the registry goes on with its bucket', async () => {
  const after = await objects();
  expect(Object.fromEntries(Object.entries(after).filter(([key]) => key in before))).toEqual(before);
  expect(Object.keys(after).filter((key) => !(key in before) && !/^[a-z/]+\/_shoal\//.test(key))).toEqual([]);
  await registry.program.start();
  await docker('rmi', '-f', built);
  await docker('pull', '-q', `${registry.address}/library/app:stable`);
  expect(await docker('image', 'inspect', '-f', '{{.Id}}', `${registry.address}/library/app:stable`)).toBe(built);
});

test('a push is written as whoever owns the place would have it, and the registry has it', async () => {
  for (const name of ['library/app:2', 'flat/app:2', 'sharded/app:2']) {
    await docker('tag', built, `${cluster.proxy}/${name}`);
    await docker('push', '-q', `${cluster.proxy}/${name}`);
  }
  const expected = [
    'registry/docker/registry/v2/repositories/library/app/_manifests/tags/2/current/link',
    'kraken/flat/flat/app:2',
    'kraken/tags/docker/registry/v2/repositories/sharded/app/_manifests/tags/2/current/link',
  ];
  await expect
    .poll(async () => Object.keys(await objects()), { timeout: 60_000 })
    .toEqual(expect.arrayContaining(expected));
  await docker('rmi', '-f', built);
  await docker('pull', '-q', `${registry.address}/library/app:2`);
  expect(await docker('image', 'inspect', '-f', '{{.Id}}', `${registry.address}/library/app:2`)).toBe(built);
  const links = Object.keys(await objects()).filter((key) => key.startsWith('kraken/tags/'));
  expect(links.filter((key) => /_layers|revisions/.test(key))).toEqual([]);
});
