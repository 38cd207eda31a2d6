/** Kraken's paths of a build-index as its users' scripts take them: real processes, and the curl script of examples/. */

import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { KRAKEN_INDEX } from '../core/contracts/kraken/index.ts';
import { KRAKEN_ORIGIN } from '../core/contracts/kraken-origin.ts';
import { type Digest, digestOf } from '../core/digest.ts';
import { MEDIA } from '../core/oci/media.ts';
import { OCI_PATHS } from '../core/oci/paths.ts';
import { Cluster } from '../platform/testing/cluster.ts';
import { type Parts, startParts } from './cluster.fixtures.ts';

const run = promisify(execFile);
const script = fileURLToPath(new URL('../examples/kraken-index.sh', import.meta.url));
const hasCurl = await run('curl', ['--version']).then(
  () => true,
  () => false,
);
const needs = hasCurl ? '' : ' (skipped: needs curl: apt-get install curl)';
let cluster: Cluster;
let parts: Parts;
beforeAll(async () => {
  cluster = await Cluster.make();
  const tagTypes = [{ repositories: 'files/**', type: 'default' }];
  parts = await startParts(cluster, { origins: 2, index: { kraken: { tagTypes } } });
}, 180_000);
afterAll(() => cluster[Symbol.asyncDispose]());

const index = () => parts.index.url('api');
const put = (tag: string, digest: Digest) => fetch(index() + KRAKEN_INDEX.put.path({ tag, digest }), { method: 'PUT' });

/** By an origin's paths of Kraken: it lies on one origin then, and no repository has it. */
async function uploaded(bytes: Uint8Array, ns: string): Promise<Digest> {
  const digest = digestOf('sha256', createHash('sha256').update(bytes).digest('hex'));
  const origin = parts.origins[0]?.url('api') as string;
  const begun = await fetch(origin + KRAKEN_ORIGIN.begin.path({ ns, digest }), { method: 'POST' });
  const uid = begun.headers.get('location') as string;
  const chunk = { method: 'PATCH', body: bytes.slice(), headers: { 'content-range': `0-${bytes.length}` } };
  expect((await fetch(origin + KRAKEN_ORIGIN.append.path({ ns, digest, uid }), chunk)).status).toBe(200);
  expect((await fetch(origin + KRAKEN_ORIGIN.commit.path({ ns, digest, uid }), { method: 'PUT' })).status).toBe(200);
  return digest;
}

const json = (value: object) => Buffer.from(JSON.stringify(value));
const imageOf = (config: Digest, size: number) =>
  json({
    schemaVersion: 2,
    mediaType: MEDIA.ociManifest,
    config: { mediaType: MEDIA.ociConfig, digest: config, size },
  });
const pulled = (repo: string, tag: string) => fetch(parts.agent.url('registry') + OCI_PATHS.manifest(repo, tag));

test.runIf(hasCurl)(
  `the curl script gets the statuses that it expects of Kraken${needs}`,
  async () => {
    const { stdout } = await run('bash', [script, index(), parts.origins[0]?.url('api') as string]);
    expect(stdout).toContain('200 an origin of this cluster');
  },
  30_000,
);

test('a tag that was put is pulled with all that its index refers to; one whose layer is missing is not set', async () => {
  const repo = 'team/multi';
  const config = json({ made: randomBytes(8).toString('hex') });
  const configDigest = await uploaded(config, repo);
  const image = imageOf(configDigest, config.length);
  const imageDigest = await uploaded(image, repo);
  const entry = { mediaType: MEDIA.ociManifest, digest: imageDigest, size: image.length };
  const list = json({ schemaVersion: 2, mediaType: MEDIA.ociIndex, manifests: [entry] });
  const listDigest = await uploaded(list, repo);
  expect((await put(`${repo}:1`, listDigest)).status).toBe(200);
  const got = await pulled(repo, '1');
  expect([got.status, got.headers.get('docker-content-digest')]).toEqual([200, listDigest]);
  expect((await pulled(repo, imageDigest)).status).toBe(200);
  const blob = await fetch(parts.agent.url('registry') + OCI_PATHS.blob(repo, configDigest));
  expect(Buffer.from(await blob.arrayBuffer()).equals(config)).toBe(true);

  const nobody = digestOf('sha256', 'ab'.repeat(32));
  const broken = await uploaded(imageOf(nobody, 5), repo);
  const refused = await put(`${repo}:1`, broken);
  expect([refused.status, await refused.text()]).toEqual([500, expect.stringContaining(nobody)]);
  expect((await pulled(repo, '1')).headers.get('docker-content-digest')).toBe(listDigest);
});

test('a tag of type default is on any blob, without a look into it; elsewhere a blob that is no manifest is refused', async () => {
  const bytes = randomBytes(100_000);
  const digest = await uploaded(bytes, 'files/models');
  expect((await put('files/models:v1', digest)).status).toBe(200);
  const told = await fetch(parts.agent.url('admin') + KRAKEN_INDEX.get.path({ tag: 'files/models:v1' }));
  expect(await told.text()).toBe(digest);
  const got = await pulled('files/models', 'v1');
  expect(got.headers.get('content-type')).toBe(MEDIA.octets);
  expect(Buffer.from(await got.arrayBuffer()).equals(bytes)).toBe(true);
  expect((await put('team/models:v1', digest)).status).toBe(400);
  expect((await put('files/models:v2', digestOf('sha256', 'cd'.repeat(32)))).status).toBe(500);
});
