/** Kraken's paths of an origin as its users' scripts take them: real processes, and the curl script of examples/. */

import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { crc32 } from 'node:zlib';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { KRAKEN_ORIGIN } from '../core/contracts/kraken-origin.ts';
import { ORIGIN } from '../core/contracts/origin.ts';
import { type Digest, digestHex, digestOf } from '../core/digest.ts';
import { Cluster } from '../platform/testing/cluster.ts';
import { type Parts, startParts } from './cluster.fixtures.ts';

const run = promisify(execFile);
const script = fileURLToPath(new URL('../examples/kraken-origin.sh', import.meta.url));
const hasCurl = await run('curl', ['--version']).then(
  () => true,
  () => false,
);
const needs = hasCurl ? '' : ' (skipped: needs curl: apt-get install curl)';
const ns = 'library/kraken';
let cluster: Cluster;
let parts: Parts;
beforeAll(async () => {
  cluster = await Cluster.make();
  parts = await startParts(cluster, { origins: 2 });
}, 180_000);
afterAll(() => cluster[Symbol.asyncDispose]());

type Sent = { readonly body?: Uint8Array; readonly range?: string };
/** Of the first origin, or another one. */
const ask = (method: string, path: string, { body, range }: Sent = {}, no = 0) =>
  fetch((parts.origins[no]?.url('api') as string) + path, {
    method,
    body: body?.slice() ?? null,
    headers: range === undefined ? {} : { 'content-range': range },
  });
const digestOfBytes = (bytes: Uint8Array): Digest =>
  digestOf('sha256', createHash('sha256').update(bytes).digest('hex'));

async function uploaded(bytes: Buffer): Promise<Digest> {
  const digest = digestOfBytes(bytes);
  const uid = (await ask('POST', KRAKEN_ORIGIN.begin.path({ ns, digest }))).headers.get('location') as string;
  const chunk = { body: bytes, range: `0-${bytes.length}` };
  expect((await ask('PATCH', KRAKEN_ORIGIN.append.path({ ns, digest, uid }), chunk)).status).toBe(200);
  expect((await ask('PUT', KRAKEN_ORIGIN.commit.path({ ns, digest, uid }))).status).toBe(200);
  return digest;
}

test.runIf(hasCurl)(
  `the curl script gets the statuses that it expects of Kraken${needs}`,
  async () => {
    const file = join(cluster.dir, 'blob');
    writeFileSync(file, randomBytes(9_000_001));
    const { stdout } = await run('bash', [script, parts.origins[0]?.url('api') as string, file]);
    expect(stdout).toContain('202 DELETE it');
  },
  30_000,
);

test('metainfo is the CRC-32 of each 4 MiB', async () => {
  const bytes = randomBytes(5_000_000);
  const digest = await uploaded(bytes);
  const metainfo = await (await ask('GET', KRAKEN_ORIGIN.metainfo.path({ ns, digest }))).json();
  const PieceSums = [crc32(bytes.subarray(0, 4 * 1024 * 1024)), crc32(bytes.subarray(4 * 1024 * 1024))];
  const Info = { PieceLength: 4 * 1024 * 1024, PieceSums, Name: digestHex(digest), Length: bytes.length };
  expect(metainfo).toEqual({ Info });
});

test('what another origin has is on its way (202), and then there', async () => {
  const bytes = randomBytes(300_000);
  const digest = await uploaded(bytes);
  // The other one owns it as well, and may have taken it over by itself.
  await vi.waitFor(
    async () => {
      const answer = await ask('GET', KRAKEN_ORIGIN.read.path({ ns, digest }), {}, 1);
      expect([200, 202]).toContain(answer.status);
      expect(answer.status).toBe(200);
      expect(Buffer.from(await answer.arrayBuffer()).equals(bytes)).toBe(true);
    },
    { timeout: 15_000 },
  );
  const location = (await ask('GET', KRAKEN_ORIGIN.locations.path({ digest }), {}, 1)).headers.get('origin-locations');
  const hosts = parts.origins.map((origin) => new URL(origin.url('api')).host);
  expect(location?.split(',').sort()).toEqual(hosts.sort());
});

test('bytes of another digest are not committed; a chunk must be as long as it says', async () => {
  const digest = digestOfBytes(Buffer.from('right'));
  const begin = async () =>
    (await ask('POST', KRAKEN_ORIGIN.begin.path({ ns, digest }))).headers.get('location') as string;
  const wrong = await begin();
  await ask('PATCH', KRAKEN_ORIGIN.append.path({ ns, digest, uid: wrong }), {
    body: Buffer.from('wrong'),
    range: '0-5',
  });
  expect((await ask('PUT', KRAKEN_ORIGIN.commit.path({ ns, digest, uid: wrong }))).status).toBe(400);
  expect((await ask('HEAD', ORIGIN.head.path({ digest }))).status).toBe(404);
  const short = KRAKEN_ORIGIN.append.path({ ns, digest, uid: await begin() });
  const answer = await ask('PATCH', short, { body: Buffer.from('right'), range: '0-9' });
  expect([answer.status, await answer.text()]).toEqual([400, expect.stringContaining('stands at 5')]);
  expect((await ask('PATCH', short, { body: Buffer.from('right') })).status).toBe(400);
});

test('cleanup removes nothing that something may link to, and says so', async () => {
  const digest = await uploaded(randomBytes(1000));
  const answer = await ask('POST', KRAKEN_ORIGIN.cleanup.path({ ttl_hr: 0 }));
  const { deleted, errors } = (await answer.json()) as { deleted: string[]; errors: string[] };
  expect(deleted).toEqual([]);
  expect(errors.some((line) => line.startsWith(`${digest} stays: `))).toBe(true);
  expect((await ask('HEAD', ORIGIN.head.path({ digest }))).status).toBe(200);
});

test('sending to another cluster is refused by name', async () => {
  const digest = digestOfBytes(Buffer.from('x'));
  const answer = await ask('POST', KRAKEN_ORIGIN.remote.path({ ns, digest, remote: 'other:80' }));
  expect([answer.status, await answer.text()]).toEqual([405, expect.stringContaining('another cluster')]);
});
