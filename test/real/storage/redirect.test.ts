/**
 * Readers at the proxy are sent to the bucket: what skopeo, docker and containerd have in the end is what was pushed, and no
 * byte of a blob has come from an origin.
 */

import { createHash } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Digest, digestOf, digestHex as hexOf } from '../../../core/digest.ts';
import { OCI_PATHS } from '../../../core/oci/paths.ts';
import { Cluster } from '../../../harness/cluster.ts';
import { startContainerd, startDocker } from '../engines.ts';
import { writeContext } from '../image.ts';
import { run, temporary } from '../processes.ts';
import { ofShort } from '../short.ts';
import { Relay } from './relay.ts';
import { startMinio } from './servers/minio.ts';
import type { S3Server } from './servers/s3.ts';
import { started } from './servers/server.ts';
import { startVersitygw } from './servers/versitygw.ts';

const layerBytes = [9 << 20, 1 << 20];
const imageBytes = 10 << 20;
type Layer = { readonly digest: Digest; readonly size: number };
/** Manifests, and heads of answers. */
const smallBytes = 64 << 10;
const name = 'library/app:1';
const stack = new AsyncDisposableStack();
let docker: (...args: string[]) => Promise<string>;
let ctr: (...args: string[]) => Promise<string>;
let context = '';

beforeAll(async () => {
  context = join(await temporary(stack, 'image'), 'context');
  await mkdir(context);
  await writeContext(context, layerBytes);
});
afterAll(() => stack.disposeAsync());

const digestOfFile = async (file: string): Promise<Digest> =>
  digestOf(
    'sha256',
    createHash('sha256')
      .update(await readFile(file))
      .digest('hex'),
  );

const copy = (from: string, to: string): Promise<string> =>
  run('skopeo', ['copy', '--insecure-policy', '--src-tls-verify=false', '--dest-tls-verify=false', from, to]);

/** A cluster on that server; its bucket as readers see it, and its origin as the proxy does, each behind a relay that counts. */
async function clusterOn(server: S3Server) {
  const bucket = stack.use(await Relay.start(server.endpoint));
  const { s3 } = server.rule;
  const rule = { name: 'main', durability: 'backend', s3: { ...s3, redirect: { endpoint: bucket.url, ttl: '1m' } } };
  const elsewhere = { name: 'elsewhere', repositories: 'other/**', memory: {} };
  const dir = await temporary(stack, 'redirect');
  const cluster = stack.use(await Cluster.start({ dir, logLevel: 'info', backends: [elsewhere, rule] }));
  const origin = stack.use(await Relay.start(cluster.originUrl));
  const { base } = await cluster.proxy([origin.url]);
  return { bucket, origin, cluster, base, proxy: base.slice('http://'.length), dir };
}

const servers = Object.entries({ versitygw: startVersitygw, minio: startMinio });

describe.each(ofShort(servers, ([name]) => name === 'versitygw'))('%s', (_, start) => {
  let at: Awaited<ReturnType<typeof clusterOn>> & { layers: readonly Layer[]; fromTheBucket: object };
  beforeAll(async () => {
    // Fresh ones: what an engine has it does not ask for.
    [docker, ctr] = await Promise.all([startDocker(stack), startContainerd(stack)]);
    at = { ...(await clusterOn(await started(stack, start))), layers: [], fromTheBucket: {} };
    await docker('build', '-q', '-t', `${at.proxy}/${name}`, context);
    await docker('push', '-q', `${at.proxy}/${name}`);
  });

  /** What came of the origin and of the bucket meanwhile. */
  const counted = async (pull: () => Promise<unknown>) => {
    const before = { origin: at.origin.down, bucket: at.bucket.down };
    await pull();
    return { origin: at.origin.down - before.origin, bucket: at.bucket.down - before.bucket };
  };

  test('skopeo has every byte, from the bucket', async () => {
    const to = join(at.dir, 'pulled');
    const came = await counted(() => copy(`docker://${at.proxy}/${name}`, `dir:${to}`));
    at.layers = JSON.parse(await readFile(join(to, 'manifest.json'), 'utf8')).layers;
    const bytes = at.layers.reduce((sum, { size }) => sum + size, 0);
    expect(bytes).toBeGreaterThan(imageBytes);
    at.fromTheBucket = {
      origin: expect.toSatisfy((came: number) => came < smallBytes),
      bucket: expect.toSatisfy((came: number) => came >= bytes && came < bytes * 1.1),
    };
    expect(came).toEqual(at.fromTheBucket);
    for (const { digest } of at.layers) expect(await digestOfFile(join(to, hexOf(digest)))).toBe(digest);
  });

  test('docker and containerd, which compare every digest, too', async () => {
    const reference = `${at.proxy}/${name}`;
    await docker('rmi', '-f', reference);
    expect(await counted(() => docker('pull', '-q', reference))).toEqual(at.fromTheBucket);
    const checked = await docker('run', '--rm', '--network', 'none', reference);
    expect(checked.match(/: OK$/gm)).toHaveLength(layerBytes.length);
    const pull = ['images', 'pull', '--plain-http', '--snapshotter', 'native', reference];
    expect(await counted(() => ctr(...pull))).toEqual(at.fromTheBucket);
  });

  test('the proxy answers a HEAD itself; a range is had there, a URL that was tampered with is not', async () => {
    const [{ digest, size }] = at.layers as [Layer];
    const url = at.base + OCI_PATHS.blob('library/app', digest);
    const head = await fetch(url, { method: 'HEAD', redirect: 'manual' });
    expect([head.status, head.headers.get('content-length')]).toEqual([200, String(size)]);
    const part = await fetch(url, { headers: { range: 'bytes=5-9' } });
    const layer = await readFile(join(at.dir, 'pulled', hexOf(digest)));
    expect([part.status, Buffer.from(await part.arrayBuffer())]).toEqual([206, layer.subarray(5, 10)]);
    expect(part.url.startsWith(at.bucket.url)).toBe(true);
    const location = (await fetch(url, { redirect: 'manual' })).headers.get('location') ?? '';
    expect(location).toContain('X-Amz-Expires=60');
    const other = await fetch(location.replaceAll(hexOf(digest), '0'.repeat(64)));
    expect(other.status).toBe(403);
  });

  test('nobody is sent there by an agent, nor from a repository of another backend', async () => {
    const [{ digest, size }] = at.layers as [Layer];
    const agent = await at.cluster.agent();
    const pulled = await fetch(agent.registry + OCI_PATHS.blob('library/app', digest), { redirect: 'manual' });
    expect([pulled.status, (await pulled.arrayBuffer()).byteLength]).toEqual([200, size]);
    await copy(`docker://${at.proxy}/${name}`, `docker://${at.proxy}/other/app:1`);
    const other = await fetch(at.base + OCI_PATHS.blob('other/app', digest), { redirect: 'manual' });
    expect(other.status).toBe(200);
    await other.arrayBuffer();
  });
});
