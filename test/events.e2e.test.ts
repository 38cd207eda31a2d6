/** Events from a push to a receiver: real processes, and the receiver of examples/. */

import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import { MEDIA } from '../core/oci/media.ts';
import { OCI_PATHS } from '../core/oci/paths.ts';
import { indexSchema } from '../index/config.ts';
import { entryUrl } from '../platform/lifecycle/entry.ts';
import { Cluster } from '../platform/testing/cluster.ts';
import { freePort } from '../platform/testing/ports.ts';
import { type Parts, startParts } from './cluster.fixtures.ts';

const receiver = fileURLToPath(new URL('../examples/events-receiver.mjs', import.meta.url));
let cluster: Cluster;
let parts: Parts;
let port: number;
let events: object;
beforeAll(async () => {
  cluster = await Cluster.make();
  port = await freePort();
  events = { endpoints: [{ name: 'ci', url: `http://127.0.0.1:${port}/hook` }] };
  parts = await startParts(cluster, { index: { events } });
}, 180_000);
afterAll(() => cluster[Symbol.asyncDispose]());

async function pushed(repo: string, tag: string): Promise<string> {
  const proxy = parts.proxy.url('registry');
  const config = Buffer.from(JSON.stringify({ repo, tag }));
  const digest = `sha256:${createHash('sha256').update(config).digest('hex')}`;
  const begun = await fetch(proxy + OCI_PATHS.uploads(repo), { method: 'POST' });
  const at = new URL(begun.headers.get('location') as string, proxy);
  at.searchParams.set('digest', digest);
  expect((await fetch(at, { method: 'PUT', body: config })).status).toBe(201);
  const descriptor = { mediaType: MEDIA.ociConfig, digest, size: config.length };
  const body = JSON.stringify({ schemaVersion: 2, mediaType: MEDIA.ociManifest, config: descriptor, layers: [] });
  const headers = { 'content-type': MEDIA.ociManifest };
  const put = await fetch(proxy + OCI_PATHS.manifest(repo, tag), { method: 'PUT', body, headers });
  expect(put.status).toBe(201);
  return put.headers.get('docker-content-digest') as string;
}

test('what was pushed while nobody listened, and the index was killed since, is told once somebody does', async () => {
  const digest = await pushed('team/app', 'v1');
  const listen = { host: '127.0.0.1', port: parts.index.ports['api'] };
  await parts.index.stop('SIGKILL');
  const again = { role: 'index', listen, data: cluster.dataOf('index'), events };
  await cluster.start(entryUrl('../index/main.ts', import.meta.url), 'index', again);
  await using stack = new AsyncDisposableStack();
  const child = spawn(process.execPath, [receiver, String(port)], { stdio: ['ignore', 'pipe', 'inherit'] });
  stack.defer(async () => {
    child.kill('SIGKILL');
    await once(child, 'exit');
  });
  let said = '';
  child.stdout.on('data', (chunk) => {
    said += chunk;
  });
  await expect.poll(() => said, { timeout: 40_000 }).toContain(`push team/app v1 ${digest}`);
  expect(said).toMatch(new RegExp(`listening on ${port}\\npush team/app v1 ${digest}\\n`));
}, 180_000);

test("the page's configuration is one that an index takes", () => {
  const page = readFileSync(new URL('../docs/events.md', import.meta.url), 'utf8');
  const [, yaml = ''] = /```yaml\n([\s\S]*?)```/.exec(page) ?? [];
  const { data } = indexSchema.safeParse({ role: 'index', ...parse(yaml) });
  expect(data?.events.endpoints[0]).toMatchObject({ name: 'ci', timeout: 10_000, actions: ['push', 'delete'] });
});

test.each([
  [{ endpoints: [{ name: 'A', url: 'http://x' }] }, 'small letters'],
  [{ endpoints: [{ name: 'a', url: 'ftp://x' }] }, 'https://'],
  [{ endpoints: [{ name: 'a', url: 'http://x', headers: { 'x y': '1' } }] }, 'header|key'],
  [{ endpoints: [1, 2].map(() => ({ name: 'a', url: 'http://x' })) }, 'there twice'],
])('what cannot be told is refused: %j', (events, why) => {
  const { error } = indexSchema.safeParse({ role: 'index', events });
  expect(error?.issues.map(({ message }) => message).join('\n')).toMatch(new RegExp(why));
});
