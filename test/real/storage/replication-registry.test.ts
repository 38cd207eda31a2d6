/** A registry of distribution as a remote: a burst while it is up, stopped, killed and up again; what signs goes along. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { diffRemote } from '../../../cli/commands/replicate.ts';
import { MEDIA } from '../../../core/oci/media.ts';
import { OCI_PATHS } from '../../../core/oci/paths.ts';
import { Cluster } from '../../../platform/testing/cluster.ts';
import { type Made, madeImage, madeIndex, madeReferrer, metricOf, pushImage } from '../../images.fixtures.ts';
import { ReplicatedSite } from '../../replicated.fixtures.ts';
import { byLength } from '../short.ts';
import { type DistributionServer, registryLogin, startDistribution } from './servers/distribution.ts';

const tags = byLength({ short: 60, usual: 500, long: 2_000 });
const soon = { timeout: 400_000, interval: 250 } as const;
const stack = new AsyncDisposableStack();
let server: DistributionServer;
let site: ReplicatedSite;

beforeAll(async () => {
  const dir = await mkdtemp(join(tmpdir(), 'shoal-distribution-'));
  stack.defer(() => rm(dir, { recursive: true, force: true }));
  server = stack.use(await startDistribution(dir, { auth: 'basic' }));
  const cluster = stack.use(await Cluster.make());
  site = await ReplicatedSite.place(cluster, 'here');
  const hub = { url: `http://${server.address}`, kind: 'registry', credentials: registryLogin, stall: '1s' };
  site.replicate = { remotes: { hub }, rules: [{ repositories: 'team/**', to: 'hub' }] };
  await site.start();
}, 120_000);
afterAll(() => stack.disposeAsync());

const shown = {
  // Else it gives none of these.
  accept: [MEDIA.ociManifest, MEDIA.ociIndex].join(', '),
  authorization: `Basic ${Buffer.from(`${registryLogin.username}:${registryLogin.password}`).toString('base64')}`,
};
const there = (path: string): Promise<Response> => fetch(`http://${server.address}${path}`, { headers: shown });
const asking = () => ({ index: site.indexUrl, json: false, signal: new AbortController().signal });
const proxy = { url: () => site.proxyUrl };

/** As clients do it: whoever is told 503, as by an index that has just started on a busy machine, tries again. */
const tagged = (image: Made, tag: string): Promise<void> =>
  vi.waitFor(() => pushImage(proxy, 'team/app', { ...image, blobs: [] }, [tag]), soon);

async function differing(): Promise<string[]> {
  const lines: string[] = [];
  const what = { remote: 'hub', repositories: 'team/**' };
  await diffRemote(what, asking(), (line) => lines.push(line)).catch(() => undefined);
  return lines;
}

test('all tags of a burst come there, whatever becomes of the registry and of the index meanwhile', async () => {
  const images = [madeImage([3_000_000, 200]), madeImage([100]), madeImage([9 << 20])];
  const of = (no: number): Made => images[no % images.length] as Made;
  for (const image of images) await pushImage(proxy, 'team/app', image);
  for (let no = 0; no < tags; no++) {
    if (no === Math.floor(tags / 5)) process.kill(server.process.pid, 'SIGSTOP');
    if (no === Math.floor((2 * tags) / 5)) await server.process.kill();
    if (no === Math.floor((3 * tags) / 5)) await server.process.start();
    if (no === Math.floor((4 * tags) / 5)) {
      await site.kill('index');
      await site.start(['index']);
    }
    await tagged(of(no), `t${no}`);
    await tagged(of(no + 1), 'latest');
  }
  process.stderr.write(`PUSHED ${new Date().toISOString()}\n`);
  await vi.waitFor(
    async () => expect(await metricOf({ url: () => site.indexUrl }, 'replication_waiting')).toBe(0),
    soon,
  );
  await vi.waitFor(
    async () => expect(await differing()).toEqual([`1 repositories, ${tags + 1} tags: all the same`]),
    soon,
  );
  const last = await there(OCI_PATHS.manifest('team/app', 'latest'));
  expect(last.headers.get('docker-content-digest')).toBe(of(tags).digest);
}, 900_000);

test('an index with its images, and what signs one of them later: each comes there', async () => {
  const images = [madeImage([1_000]), madeImage([2_000])];
  for (const image of images) await pushImage(proxy, 'team/multi', image);
  await pushImage(proxy, 'team/multi', madeIndex(images), ['v1', 'v2']);
  const manifest = (name: string): string => OCI_PATHS.manifest('team/multi', name);
  await vi.waitFor(async () => expect((await there(manifest('v1'))).status).toBe(200), soon);
  const signed = images[0] as Made;
  const signature = madeReferrer(signed);
  await pushImage(proxy, 'team/multi', signature);
  await vi.waitFor(async () => expect((await there(manifest(signature.digest))).status).toBe(200), soon);
  // Distribution 2.8 lists no referrers itself.
  const listed = async (): Promise<unknown> => (await there(manifest(signed.digest.replace(':', '-')))).json();
  await vi.waitFor(
    async () => expect(await listed()).toMatchObject({ manifests: [{ digest: signature.digest }] }),
    soon,
  );
}, 200_000);
