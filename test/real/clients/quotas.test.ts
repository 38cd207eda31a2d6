/** What docker, skopeo and crane tell their users of a push beyond a quota; where they say how much comes, nothing of it is taken. */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ORIGIN } from '../../../core/contracts/origin.ts';
import type { Digest } from '../../../core/digest.ts';
import { Cluster } from '../../../platform/testing/cluster.ts';
import { type Parts, startParts } from '../../cluster.fixtures.ts';
import { startDocker } from '../engines.ts';
import { writeContext, writeDirImage } from '../image.ts';
import { run, temporary } from '../processes.ts';

const stack = new AsyncDisposableStack();
let parts: Parts;
let dir = '';
let proxy = '';
let layer: Digest;

beforeAll(async () => {
  const cluster = stack.use(await Cluster.make());
  dir = await temporary(stack, 'quotas');
  parts = await startParts(cluster, { index: { quotas: [{ repositories: 'team/**', bytes: '3MB' }] } });
  proxy = `127.0.0.1:${parts.proxy.ports['registry']}`;
  await writeDirImage(join(dir, 'large'), [4 << 20]);
  await run('skopeo', ['copy', '--insecure-policy', `dir:${join(dir, 'large')}`, `oci:${join(dir, 'oci')}:1`]);
  const manifest = JSON.parse(await readFile(join(dir, 'large', 'manifest.json'), 'utf8')) as {
    layers: { digest: Digest }[];
  };
  layer = manifest.layers[0]?.digest as Digest;
}, 60_000);
afterAll(() => stack.disposeAsync());

const said = (pushing: Promise<string>): Promise<string> =>
  pushing.then(
    () => 'it was taken',
    (error: Error) => error.message,
  );
const quota = /denied: .*quota exceeded: repository team\/\w+ has \d+ of 3000000 bytes/i;
const atOrigin = async (digest: Digest): Promise<number> => {
  const origin = parts.origins[0]?.url('api') as string;
  return (await fetch(origin + ORIGIN.head.path({ digest }), { method: 'HEAD' })).status;
};

test('skopeo and crane are refused by the size that they say, and the origin got nothing', async () => {
  const to = `docker://${proxy}/team/skopeo:1`;
  const copy = ['copy', '--insecure-policy', '--dest-tls-verify=false', `dir:${join(dir, 'large')}`, to];
  expect(await said(run('skopeo', copy))).toMatch(quota);
  expect(await said(run('crane', ['push', '--insecure', join(dir, 'oci'), `${proxy}/team/crane:1`]))).toMatch(
    /quota exceeded|DENIED/,
  );
  expect(await atOrigin(layer)).toBe(404);
});

test('docker, which says no size, is refused once the layer has come, in words that it shows', async () => {
  const docker = await startDocker(stack);
  await writeContext(join(dir, 'context'), [5 << 20]);
  await docker('build', '-q', '-t', `${proxy}/team/docker:1`, join(dir, 'context'));
  expect(await said(docker('push', `${proxy}/team/docker:1`))).toMatch(quota);
}, 120_000);
