/** Quotas as those who push and those who operate meet them: real processes, HTTP, and `shoal quota ls`. */

import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { PROBES } from '../core/contracts/probes.ts';
import type { Digest } from '../core/digest.ts';
import { MEDIA } from '../core/oci/media.ts';
import { OCI_PATHS } from '../core/oci/paths.ts';
import { indexSchema } from '../index/config.ts';
import { entryUrl } from '../platform/lifecycle/entry.ts';
import { Cluster } from '../platform/testing/cluster.ts';
import { answerOf, open, type Parts, startParts } from './cluster.fixtures.ts';

const run = promisify(execFile);
const quotas = [
  { repositories: 'team/**', bytes: '10kB', tags: 2 },
  { repositories: '**', bytes: '1GB', each: 'pattern' },
];
let cluster: Cluster;
let parts: Parts;
beforeAll(async () => {
  cluster = await Cluster.make();
  parts = await startParts(cluster, { index: { quotas } });
}, 180_000);
afterAll(() => cluster[Symbol.asyncDispose]());

const proxy = () => parts.proxy.url('registry');
const digestOfBytes = (bytes: Uint8Array) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

async function pushed(repo: string, bytes: Buffer): Promise<Response> {
  const begun = await fetch(proxy() + OCI_PATHS.uploads(repo), { method: 'POST' });
  const at = new URL(begun.headers.get('location') as string, proxy());
  at.searchParams.set('digest', digestOfBytes(bytes));
  return fetch(at, { method: 'PUT', body: bytes.slice() });
}

async function tagged(repo: string, tag: string, config: Buffer): Promise<Response> {
  const descriptor = { mediaType: MEDIA.ociConfig, digest: digestOfBytes(config), size: config.length };
  const manifest = { schemaVersion: 2, mediaType: MEDIA.ociManifest, config: descriptor, layers: [] };
  const headers = { 'content-type': MEDIA.ociManifest };
  const to = proxy() + OCI_PATHS.manifest(repo, tag);
  return fetch(to, { method: 'PUT', body: JSON.stringify(manifest), headers });
}

async function textOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

const shoal = async (...args: string[]) => {
  const cli = fileURLToPath(entryUrl('../cli/main.ts', import.meta.url));
  return (await run(process.execPath, [cli, ...args, '--index', parts.index.url('api')])).stdout;
};

test('a push beyond a quota is refused with what is used and allowed; one of what is there is not', async () => {
  const config = randomBytes(5_000);
  expect((await pushed('team/app', config)).status).toBe(201);
  expect((await tagged('team/app', '1', config)).status).toBe(201);
  const refused = await pushed('team/app', randomBytes(6_000));
  const body = (await refused.json()) as { errors: { code: string; message: string }[] };
  expect([refused.status, body.errors[0]?.code]).toEqual([403, 'DENIED']);
  expect(body.errors[0]?.message).toMatch(
    /^quota exceeded: repository team\/app has 5\d\d\d of 10000 bytes .* adds 6000/,
  );
  expect((await pushed('team/app', config)).status).toBe(201);
  expect((await tagged('team/app', '2', config)).status).toBe(201);
  expect((await tagged('team/app', '3', config)).status).toBe(403);
  expect((await fetch(proxy() + OCI_PATHS.manifest('team/app', '2'), { method: 'DELETE' })).status).toBe(202);
  expect((await tagged('team/app', '3', config)).status).toBe(201);
  expect((await pushed('else/where', randomBytes(60_000))).status).toBe(201);
  const metrics = await (await fetch(parts.index.url('api') + PROBES.metrics.pattern)).text();
  expect(metrics).toMatch(/^shoal_index_quota_refused_total\{rule="team\/\*\*",each="repository",of="tags"\} 1$/m);
  expect(metrics).toMatch(/^shoal_index_quota_limit\{rule="\*\*",each="pattern",of="bytes"\} 1000000000$/m);
});

test('shoal quota ls tells each quota and what is used of it', async () => {
  const { quotas: lines } = JSON.parse(await shoal('quota', 'ls', '--json')) as { quotas: object[] };
  const rule = { repositories: ['team/**'], each: 'repository', bytes: 10_000, tags: 2 };
  const used = { bytes: expect.any(Number), tags: 2, manifests: 1 };
  expect(lines[1]).toEqual({ repository: 'team/app', quota: rule, used });
  expect(lines[0]).toMatchObject({ repository: null, used: { tags: 2, manifests: 1 } });
  expect(lines).toHaveLength(2);
  const text = await shoal('quota', 'ls', '--all');
  expect(text).toMatch(/^all of \*\* +65\.\d kB of 1(\.0)? GB/m);
  expect(text).toMatch(/^team\/app .* 2 of 2 \(100 ?%\)/m);
  expect(text).toMatch(/^else\/where /m);
}, 180_000);

test.each([
  ['POST', 'the blob in one request', (at: string) => `${at}?digest=${digestOfBytes(Buffer.from('x'))}`],
  ['PATCH', 'a chunk', (at: string) => at],
  [
    'PUT',
    'the end of an upload',
    (at: string) => `${at}${at.includes('?') ? '&' : '?'}digest=${digestOfBytes(Buffer.from('x'))}`,
  ],
] as const)(
  '%s, %s: refused before a byte is sent where its length is known, and where there is no room for one',
  async (method, _what, pathOf) => {
    const sending = async (repo: string, headers: Record<string, string>) => {
      const begun = await fetch(proxy() + OCI_PATHS.uploads(repo), { method: 'POST' });
      const at = method === 'POST' ? OCI_PATHS.uploads(repo) : (begun.headers.get('location') as string);
      const request = open(method, new URL(pathOf(at), proxy()).href, headers);
      const answer = answerOf(request);
      request.flushHeaders();
      try {
        const response = await answer;
        return { status: response.statusCode, body: await textOf(response) };
      } finally {
        request.destroy();
      }
    };
    const refused = await sending('team/early', { 'content-length': '5000000000' });
    expect(refused).toMatchObject({
      status: 403,
      body: expect.stringMatching(
        /DENIED.*quota exceeded: repository team\/early has 0 of 10000 bytes.*adds 5000000000/,
      ),
    });
    if ((await pushed('team/early', Buffer.alloc(10_000, 1))).status !== 201) throw new Error('it was not filled');
    const full = await sending('team/early', { 'transfer-encoding': 'chunked' });
    expect(full).toMatchObject({ status: 403, body: expect.stringContaining('10000 of 10000 bytes') });
    // What is there adds nothing.
    expect((await pushed('team/early', Buffer.alloc(10_000, 1))).status).toBe(201);
    const removed = await fetch(
      proxy() + OCI_PATHS.blob('team/early', digestOfBytes(Buffer.alloc(10_000, 1)) as Digest),
      { method: 'DELETE' },
    );
    expect(removed.status).toBe(202);
  },
);

test.each([
  [{ store: { kind: 'bucket', backend: 'b' }, quotas }, 'does not count'],
  [{ quotas: [{ repositories: '**' }] }, 'limits nothing'],
  [{ quotas: [quotas[0], { repositories: 'team/x', tags: 1 }] }, 'never holds'],
  [{ quotas: [{ repositories: 'a', tags: -1 }] }, '>=0'],
])('what no index can keep is refused by name: %j', (config, why) => {
  const { error } = indexSchema.safeParse({ role: 'index', ...config });
  expect(error?.issues.map(({ message }) => message).join('\n')).toContain(why);
});
