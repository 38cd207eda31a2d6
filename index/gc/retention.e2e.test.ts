/** Index, proxy and origin as real processes: what is pushed over goes by a rule, with its children; what is needed stays. */

import { createHash, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { entryUrl } from '../../platform/lifecycle/entry.ts';
import { Cluster } from '../../platform/testing/cluster.ts';
import { freePort } from '../../platform/testing/ports.ts';

const ephemeral = { host: '127.0.0.1', port: 0 };
const imageType = 'application/vnd.oci.image.manifest.v1+json';
const indexType = 'application/vnd.oci.image.index.v1+json';
const repo = 'team/app';
const long = { timeout: 60_000 };

let cluster: Cluster;
let proxy: string;
let index: string;

beforeAll(async () => {
  cluster = await Cluster.make();
  const port = await freePort();
  const origins = [`http://127.0.0.1:${port}`];
  const started = await cluster.start(entryUrl('../main.ts', import.meta.url), 'index', {
    ...{ role: 'index', listen: ephemeral, data: cluster.dataOf('index'), keepUnlinked: '1s' },
    gc: { grace: '1s', every: '1s', retention: [{ repositories: ['team/**'], untagged: '8s' }] },
  });
  index = started.url('api');
  await cluster.start(entryUrl('../../origin/main.ts', import.meta.url), 'origin', {
    ...{ role: 'origin', listen: { ...ephemeral, port }, peer: ephemeral, data: cluster.dataOf('origin') },
    ...{ trackers: ['http://127.0.0.1:1'], disk: { budget: '1GB' }, index: [index], origins },
  });
  const settings = { role: 'proxy', listen: ephemeral, index: [index], origins };
  proxy = (await cluster.start(entryUrl('../../proxy/main.ts', import.meta.url), 'proxy', settings)).url('registry');
}, 180_000);
afterAll(() => cluster?.[Symbol.asyncDispose]());

const digestOf = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
const call = (method: string, path: string, init: RequestInit = {}): Promise<Response> =>
  fetch(proxy + path, { method, ...init });

type Pushed = { readonly mediaType: string; readonly digest: string; readonly size: number };

type Body = { readonly mediaType: string } & Readonly<Record<string, unknown>>;

async function put(at: string, reference: string | undefined, body: Body): Promise<Pushed> {
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, ...body }));
  const digest = digestOf(bytes);
  const headers = { 'content-type': body.mediaType };
  const answer = await call('PUT', `/v2/${at}/manifests/${reference ?? digest}`, { body: bytes, headers });
  expect([answer.status, await answer.text()]).toEqual([201, '']);
  return { mediaType: body.mediaType, digest, size: bytes.length };
}

async function image(at: string, more: { reference?: string; subject?: Pushed } = {}): Promise<Pushed> {
  const bytes = randomBytes(5_000);
  const blob = digestOf(bytes);
  const answer = await call('POST', `/v2/${at}/blobs/uploads/?digest=${blob}`, { body: bytes });
  expect([answer.status, await answer.text()]).toEqual([201, '']);
  const config = { mediaType: 'a/b', digest: blob, size: bytes.length };
  const { reference, subject } = more;
  return put(at, reference, { mediaType: imageType, config, layers: [], ...(subject && { subject }) });
}

const isThere = async (at: string, { digest }: Pushed): Promise<boolean> =>
  (await call('HEAD', `/v2/${at}/manifests/${digest}`)).status === 200;

const went = async (): Promise<number> => {
  const said = await (await fetch(`${index}/metrics`)).text();
  return Number(/^shoal_gc_retention_manifests_total\S* (\d+)$/m.exec(said)?.[1] ?? 0);
};

test('an index that was pushed over goes with its children and their signatures; what has a tag, and its, stays', async () => {
  // Each push is far shorter than the rule's time, as anybody's is.
  const [old, shared] = [await image(repo), await image(repo)];
  const first = await put(repo, 'v1', { mediaType: indexType, manifests: [old, shared] });
  const signature = await image(repo, { subject: old });
  const kept = await image(repo, { subject: shared });
  const elsewhere = await image('other/app');
  const fresh = await image(repo);
  const second = await put(repo, 'v1', { mediaType: indexType, manifests: [shared, fresh] });
  // Nobody asks for anything meanwhile: that would keep it.
  await expect.poll(went, long).toBe(3);
  for (const one of [first, old, signature]) expect(await isThere(repo, one)).toBe(false);
  for (const one of [second, shared, fresh, kept]) expect(await isThere(repo, one)).toBe(true);
  expect(await isThere('other/app', elsewhere)).toBe(true);
  const referrers = await (await call('GET', `/v2/${repo}/referrers/${shared.digest}`)).json();
  expect(referrers).toMatchObject({ manifests: [{ digest: kept.digest }] });
}, 100_000);
