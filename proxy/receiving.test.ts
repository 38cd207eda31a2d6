/** Writes of another cluster, over real HTTP: whose versions are believed, and what stands. */

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { REPLICATION_HEADERS as H, introducedIn } from '../core/contracts/replicate/headers.ts';
import { MEDIA } from '../core/oci/media.ts';
import { OCI_PATHS } from '../core/oci/paths.ts';
import { CallContext } from '../platform/clients/context.ts';
import type { ReceiveSettings } from './receiving.ts';
import { type Answer, digestOfBytes, TestCluster } from './testing/cluster.ts';

const repo = 'library/app';
const secret = 'a secret of two clusters';
const elsewhere = 'ab'.repeat(16);
const at = (no: number): string => `${no}-${elsewhere}`;
let cluster: TestCluster | undefined;
afterEach(() => cluster?.close());

async function started(receive?: ReceiveSettings): Promise<TestCluster> {
  cluster = await TestCluster.start(receive === undefined ? {} : { receive });
  return cluster;
}

async function manifest(of: TestCluster, name: string): Promise<Buffer> {
  const config = Buffer.from(`{"of":"${name}"}`);
  await of.push(repo, config);
  const descriptor = {
    mediaType: 'application/vnd.oci.image.config.v1+json',
    digest: digestOfBytes(config),
    size: config.length,
  };
  return Buffer.from(
    JSON.stringify({ schemaVersion: 2, mediaType: MEDIA.ociManifest, config: descriptor, layers: [] }),
  );
}

const shown = (version: string, token?: string) => ({ [H.version]: version, ...(token && { [H.token]: token }) });
const put = (of: TestCluster, tag: string, body: Buffer, headers: Record<string, string> = {}): Promise<Answer> =>
  of.proxy.send('PUT', OCI_PATHS.manifest(repo, tag), {
    body,
    headers: { 'content-type': MEDIA.ociManifest, ...headers },
  });
const remove = (of: TestCluster, tag: string, headers: Record<string, string> = {}): Promise<Answer> =>
  of.proxy.send('DELETE', OCI_PATHS.manifest(repo, tag), { headers });
const digestAt = async (of: TestCluster, tag: string): Promise<unknown> =>
  (await of.proxy.send('HEAD', OCI_PATHS.manifest(repo, tag))).headers['docker-content-digest'];

test('a write with a version is kept with it; an older one changes nothing, and is told what stands', async () => {
  const of = await started({ tokens: ['another secret of them', secret] });
  const [one, two] = [await manifest(of, 'one'), await manifest(of, 'two')];
  const first = await put(of, 'x', one, shown(at(50), secret));
  expect([first.status, first.headers[H.version]]).toEqual([201, at(50)]);
  const older = await put(of, 'x', two, shown(at(49), secret));
  expect([older.status, older.headers[H.version]]).toEqual([201, at(50)]);
  expect(await digestAt(of, 'x')).toBe(digestOfBytes(one));
  const again = await put(of, 'x', one, shown(at(50), secret));
  expect([again.status, again.headers[H.version]]).toEqual([201, at(50)]);
  // What is written here comes after all of that.
  const own = String((await put(of, 'x', two)).headers[H.version]);
  expect(Number(own.split('-')[0])).toBeGreaterThan(50);
  expect((await of.proxy.send('HEAD', OCI_PATHS.manifest(repo, 'x'))).headers[H.version]).toBe(own);
});

test('a deletion with a version is remembered, of a tag that was never here as well', async () => {
  const of = await started({ tokens: [secret] });
  const one = await manifest(of, 'one');
  const gone = await remove(of, 'x', shown(at(60), secret));
  expect([gone.status, gone.headers[H.version]]).toEqual([202, at(60)]);
  const late = await put(of, 'x', one, shown(at(55), secret));
  expect(late.headers[H.version]).toBe(at(60));
  expect(await digestAt(of, 'x')).toBeUndefined();
  await put(of, 'x', one, shown(at(70), secret));
  expect((await remove(of, 'x', shown(at(65), secret))).headers[H.version]).toBe(at(70));
  expect(await digestAt(of, 'x')).toBe(digestOfBytes(one));
});

test('without a secret a version is passed over; with a wrong one, or where nobody is believed, nothing is written', async () => {
  const of = await started({ tokens: [secret] });
  const one = await manifest(of, 'one');
  const own = await put(of, 'x', one, shown(at(90)));
  expect(own.status).toBe(201);
  expect(own.headers[H.version]).not.toBe(at(90));
  for (const token of ['x', `${secret} `.repeat(2), secret.toUpperCase()]) {
    expect((await put(of, 'y', one, shown(at(90), token))).status).toBe(403);
    expect((await remove(of, 'x', shown(at(99), token))).status).toBe(403);
  }
  expect(await digestAt(of, 'y')).toBeUndefined();
  expect(await digestAt(of, 'x')).toBe(digestOfBytes(one));
  await of.close();
  const closed = await started();
  expect((await put(closed, 'x', await manifest(closed, 'one'), shown(at(90), secret))).status).toBe(403);
});

test.each([
  '',
  'x',
  '1',
  `1-${'g'.repeat(32)}`,
  `99999999999999999-${elsewhere}`,
  `-1-${elsewhere}`,
  `${at(1)}, ${at(2)}`,
])('a version that is none is refused: %j', async (version) => {
  const of = await started({ tokens: [secret] });
  const answer = await put(of, 'x', await manifest(of, 'one'), shown(version, secret));
  expect(answer.status).toBe(400);
  expect(await digestAt(of, 'x')).toBeUndefined();
});

test('who asks is told which cluster this is, and whether its secret is one of ours; who does not ask is told nothing', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'shoal-receiving-'));
  const tokenFile = join(dir, 'tokens');
  await writeFile(tokenFile, `short\n${secret}\n`);
  const of = await started({ tokens: [], tokenFile });
  const ask = async (token?: string) => {
    const headers = { [H.taken]: 'ask', ...(token && { [H.token]: token }) };
    return introducedIn((await of.proxy.send('GET', OCI_PATHS.base, { headers })).headers);
  };
  const said = await ask(secret);
  expect(said).toMatchObject({
    taken: 'taken',
    deletions: true,
    cluster: await of.index.identity(CallContext.begin()),
  });
  expect(await ask('short')).toMatchObject({ taken: 'refused' });
  expect(await ask()).toMatchObject({ taken: 'refused' });
  await writeFile(tokenFile, 'a new secret of both of them\n');
  expect(await ask(secret)).toMatchObject({ taken: 'refused' });
  await rm(dir, { recursive: true });
  expect(await ask(secret)).toBeUndefined();
  expect((await of.proxy.send('GET', OCI_PATHS.base)).headers[H.cluster]).toBeUndefined();
  of.index.down = true;
  expect((await of.proxy.send('GET', OCI_PATHS.base, { headers: { [H.taken]: 'ask' } })).status).toBe(503);
  expect((await of.proxy.send('GET', OCI_PATHS.base)).status).toBe(200);
  await of.close();
  expect(
    introducedIn(
      (await (await started()).proxy.send('GET', OCI_PATHS.base, { headers: { [H.taken]: 'ask' } })).headers,
    ),
  ).toMatchObject({ taken: 'off' });
});

test('a manifest that was deleted elsewhere goes unless a tag is on it; whoever shows no secret deletes it as any client', async () => {
  const of = await started({ tokens: [secret] });
  const [one, two] = [await manifest(of, 'one'), await manifest(of, 'two')];
  await put(of, 'x', one);
  await put(of, digestOfBytes(two), two);
  const needed = await remove(of, digestOfBytes(one), shown(at(5), secret));
  expect([needed.status, JSON.parse(String(needed.body)).errors[0]]).toMatchObject([
    409,
    { code: 'MANIFEST_NEEDED', detail: { tags: ['x'] } },
  ]);
  expect(await digestAt(of, 'x')).toBe(digestOfBytes(one));
  expect((await remove(of, digestOfBytes(two), shown(at(5), 'not the secret'))).status).toBe(403);
  expect((await remove(of, digestOfBytes(two), shown(at(5), secret))).status).toBe(202);
  expect((await remove(of, digestOfBytes(two), shown(at(5), secret))).status).toBe(404);
  expect((await remove(of, digestOfBytes(one), shown(at(6)))).status).toBe(202);
  expect(await digestAt(of, 'x')).toBeUndefined();
});
