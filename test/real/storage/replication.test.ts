/** Clusters that send to one another: a burst while the other is up, stopped, killed and up; both ways; three in a ring. */

import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { diffRemote } from '../../../cli/commands/replicate.ts';
import { REPLICATION_HEADERS } from '../../../core/contracts/replicate/headers.ts';
import { MEDIA } from '../../../core/oci/media.ts';
import { OCI_PATHS } from '../../../core/oci/paths.ts';
import { Cluster } from '../../../platform/testing/cluster.ts';
import { type Made, madeImage, madeReferrer, metricOf, pushImage, removeTag } from '../../images.fixtures.ts';
import { ReplicatedSite } from '../../replicated.fixtures.ts';
import { byLength } from '../short.ts';

const tags = byLength({ short: 50, usual: 500, long: 2_000 });
const soon = { timeout: 150_000, interval: 250 } as const;
const stack = new AsyncDisposableStack();
const sites: ReplicatedSite[] = [];

/** a and b send to each other; a to b, b to c, c to a is the ring. */
beforeAll(async () => {
  const cluster = stack.use(await Cluster.make());
  for (const name of ['a', 'b', 'c']) sites.push(await ReplicatedSite.place(cluster, name));
  const [a, b, c] = sites as [ReplicatedSite, ReplicatedSite, ReplicatedSite];
  const ring = (to: string) => ({ repositories: 'ring/**', to, deletes: true });
  const pair = (to: string) => ({ repositories: 'pair/**', to, deletes: true });
  a.replicate = { remotes: { b: b.remote }, rules: [pair('b'), ring('b')] };
  b.replicate = { remotes: { a: a.remote, c: c.remote }, rules: [pair('a'), ring('c')] };
  c.replicate = { remotes: { a: a.remote }, rules: [ring('a')] };
  for (const site of sites) await site.start();
}, 300_000);
afterAll(() => stack.disposeAsync());

const site = (no: number): ReplicatedSite => sites[no] as ReplicatedSite;
const proxy = (no: number) => ({ url: () => site(no).proxyUrl });

async function tagAt(
  no: number,
  repo: string,
  tag: string,
): Promise<{ digest: string | null; version: string | null }> {
  const headers = { accept: MEDIA.ociManifest };
  const answer = await fetch(site(no).proxyUrl + OCI_PATHS.manifest(repo, tag), { method: 'HEAD', headers });
  const { headers: said } = answer;
  return { digest: said.get('docker-content-digest'), version: said.get(REPLICATION_HEADERS.version) };
}

async function differing(no: number, remote: string, repositories: string): Promise<string> {
  const lines: string[] = [];
  const asking = { index: site(no).indexUrl, json: false, signal: new AbortController().signal };
  await diffRemote({ remote, repositories }, asking, (line) => lines.push(line)).catch(() => undefined);
  return lines.at(-1) ?? '';
}

/** Nothing waits anywhere, and nothing more is sent: what came back ended. */
async function quiet(): Promise<void> {
  const waiting = async (): Promise<number[]> =>
    Promise.all(sites.map(({ indexUrl }) => metricOf({ url: () => indexUrl }, 'replication_waiting')));
  await vi.waitFor(async () => expect(await waiting()).toEqual([0, 0, 0]), soon);
}

test('all tags of a burst come there whatever becomes of the other cluster and of the index, with their versions', async () => {
  const images = [madeImage([2_000_000, 200]), madeImage([100]), madeImage([9 << 20])];
  const of = (no: number): Made => images[no % images.length] as Made;
  for (const image of images) await pushImage(proxy(0), 'pair/app', image);
  const part = (n: number): number => Math.floor((n * tags) / 6);
  for (let no = 0; no < tags; no++) {
    if (no === part(1)) site(1).part('proxy').hang();
    if (no === part(2)) site(1).part('proxy').wake();
    if (no === part(3)) await site(1).kill('proxy');
    if (no === part(4)) {
      await site(0).kill('index');
      await site(0).start(['index']);
    }
    if (no === part(5)) await site(1).start(['proxy']);
    await pushImage(proxy(0), 'pair/app', of(no), [`t${no}`]);
    await pushImage(proxy(0), 'pair/app', of(no + 1), ['latest']);
  }
  const all = `1 repositories, ${tags + 1} tags: all the same`;
  await vi.waitFor(async () => expect(await differing(0, 'b', 'pair/**')).toBe(all), soon);
  expect(await tagAt(1, 'pair/app', 'latest')).toEqual(await tagAt(0, 'pair/app', 'latest'));
  expect((await tagAt(1, 'pair/app', 'latest')).digest).toBe(of(tags).digest);
}, 600_000);

test('two that write the same tag come to the same, and so do deletions and what signs later', async () => {
  const [one, two] = [madeImage([1_000]), madeImage([2_000])];
  for (const no of [0, 1]) for (const image of [one, two]) await pushImage(proxy(no), 'pair/both', image);
  for (let turn = 0; turn < 5; turn++)
    await Promise.all([
      pushImage(proxy(0), 'pair/both', turn % 2 === 0 ? one : two, ['x', `a${turn}`]),
      pushImage(proxy(1), 'pair/both', turn % 2 === 0 ? two : one, ['x', `b${turn}`]),
    ]);
  await vi.waitFor(async () => {
    expect(await differing(0, 'b', 'pair/both')).toBe('1 repositories, 11 tags: all the same');
    expect(await differing(1, 'a', 'pair/both')).toBe('1 repositories, 11 tags: all the same');
  }, soon);
  await removeTag(proxy(1), 'pair/both', 'a0');
  const signature = madeReferrer(one);
  await pushImage(proxy(0), 'pair/both', signature);
  const there = async (): Promise<number> =>
    (await fetch(site(1).proxyUrl + OCI_PATHS.manifest('pair/both', signature.digest))).status;
  await vi.waitFor(async () => {
    expect((await tagAt(0, 'pair/both', 'a0')).digest).toBeNull();
    expect(await there()).toBe(200);
  }, soon);
  await quiet();
}, 400_000);

test('what goes round a ring comes everywhere once, and ends', async () => {
  const image = madeImage([5_000]);
  await pushImage(proxy(0), 'ring/app', image, ['1']);
  await pushImage(proxy(1), 'ring/app', image, ['2']);
  await pushImage(proxy(2), 'ring/app', image, ['3']);
  await vi.waitFor(async () => {
    for (const tag of ['1', '2', '3']) {
      const first = await tagAt(0, 'ring/app', tag);
      expect(first.digest).toBe(image.digest);
      for (const no of [1, 2]) expect(await tagAt(no, 'ring/app', tag)).toEqual(first);
    }
  }, soon);
  await quiet();
  const sent = async (): Promise<number[]> =>
    Promise.all(sites.map(({ indexUrl }) => metricOf({ url: () => indexUrl }, 'replications_total')));
  const before = await sent();
  await new Promise((resolve) => setTimeout(resolve, 4_000));
  expect(await sent()).toEqual(before);
}, 400_000);
