/** The audit log as an auditor meets it: real processes, a proxy and an index that are killed, a disk without room. */

import { execFile } from 'node:child_process';
import { readFile, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { INDEX_GC } from '../core/contracts/gc/routes.ts';
import { PROBES } from '../core/contracts/probes.ts';
import { MEDIA } from '../core/oci/media.ts';
import { OCI_PATHS } from '../core/oci/paths.ts';
import { entryUrl } from '../platform/lifecycle/entry.ts';
import { Cluster, type Process } from '../platform/testing/cluster.ts';
import { type Parts, startParts } from './cluster.fixtures.ts';
import { madeImage, pushImage, removeTag } from './images.fixtures.ts';

const run = promisify(execFile);
const repo = 'library/app';
const loopback = { host: '127.0.0.1', port: 0 };
const image = madeImage([500]);
const soon = { timeout: 60_000 };

let cluster: Cluster;
let parts: Parts;
const fileOf = (name: string): string => join(cluster.dir, `${name}.audit`);
const audited = (name: string): object => ({ audit: { file: fileOf(name) } });

beforeAll(async () => {
  cluster = await Cluster.make();
  parts = await startParts(cluster, { proxy: audited('proxy'), index: audited('index') });
  await pushImage(parts.proxy, repo, image, ['latest']);
}, 180_000);
afterAll(() => cluster[Symbol.asyncDispose]());

type Line = { readonly [field: string]: unknown };
async function linesOf(name: string): Promise<Line[]> {
  const text = await readFile(fileOf(name), 'utf8');
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Line);
}

function startProxy(name: string, more: object): Promise<Process> {
  return cluster.start(entryUrl('../proxy/main.ts', import.meta.url), name, {
    ...{ role: 'proxy', listen: loopback, index: [parts.index.url('api')] },
    ...{ origins: parts.origins.map((origin) => origin.url('api')), ...more },
  });
}

const put = (proxy: Process, tag: string): Promise<Response> =>
  fetch(proxy.url('registry') + OCI_PATHS.manifest(repo, tag), {
    method: 'PUT',
    body: image.bytes,
    headers: { 'content-type': MEDIA.ociManifest, 'x-request-id': `put-${tag}` },
  });

test('a push, its blobs and a deletion are written with who, what, which, and what came of it', async () => {
  await put(parts.proxy, 'second');
  await removeTag(parts.proxy, repo, 'second');
  const lines = await linesOf('proxy');
  const common = { result: 'done', address: '127.0.0.1', repo, time: expect.stringMatching(/^\d{4}-.*Z$/) };
  const [config, layer] = image.blobs;
  expect(lines).toEqual([
    { ...common, what: 'push blob', digest: config?.digest, requestId: expect.any(String) },
    { ...common, what: 'push blob', digest: layer?.digest, requestId: expect.any(String) },
    {
      ...{ ...common, what: 'push', reference: 'latest', digest: image.digest },
      ...{ version: expect.stringMatching(/^\d+-/), requestId: expect.any(String) },
    },
    {
      ...{ ...common, what: 'push', reference: 'second', digest: image.digest },
      ...{ version: expect.any(String), requestId: 'put-second' },
    },
    {
      ...{ ...common, what: 'delete', reference: 'second', version: expect.any(String), requestId: expect.any(String) },
    },
  ]);
});

test('an index writes down what operators have it change, and nothing of what they only ask', async () => {
  const cli = fileURLToPath(entryUrl('../cli/main.ts', import.meta.url));
  const shoal = (...args: string[]) => run(process.execPath, [cli, ...args, '--index', parts.index.url('api')]);
  const digest = image.blobs[1]?.digest as string;
  await shoal('block', digest, '--reason', 'CVE-2026-1');
  await shoal('block', 'ls');
  await vi.waitFor(async () => expect((await put(parts.proxy, 'denied')).status).toBe(403), soon);
  await shoal('unblock', digest);
  await vi.waitFor(async () => expect((await put(parts.proxy, 'again')).status).toBe(201), soon);
  const step = (apply: boolean): Promise<Response> =>
    fetch(parts.index.url('api') + INDEX_GC.step.path({}), {
      method: 'POST',
      body: JSON.stringify({ apply }),
      headers: { 'content-type': 'application/json' },
    });
  await step(false);
  expect((await step(true)).status).toBe(200);
  const common = { result: 'done', address: expect.any(String), version: expect.any(String) };
  expect(await linesOf('index')).toMatchObject([
    { ...common, what: 'block', digest, detail: { reason: 'CVE-2026-1', by: expect.stringContaining('@') } },
    { ...common, what: 'unblock', digest, detail: { reason: 'CVE-2026-1' } },
    { what: 'operate', result: 'done', detail: { asked: `POST ${INDEX_GC.step.pattern}`, body: { apply: true } } },
  ]);
  const refused = (await linesOf('proxy')).find(({ result }) => result !== 'done');
  expect(refused).toMatchObject({ what: 'push', result: 'DENIED', reference: 'denied' });
});

test('killed while images are pushed, every push that was acknowledged has its line', {
  timeout: 240_000,
}, async () => {
  const acknowledged: string[] = [];
  let pushing = true;
  let proxy = await startProxy('killed', audited('killed'));
  const pusher = async (lane: number): Promise<void> => {
    for (let no = 0; pushing; no++) {
      const tag = `t${lane}-${no}`;
      const answer = await put(proxy, tag).catch(() => undefined);
      if (answer?.status === 201) acknowledged.push(tag);
      else await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  const pushers = [0, 1, 2, 3].map(pusher);
  for (let kills = 1; kills <= 3; kills++) {
    const before = acknowledged.length;
    await vi.waitFor(() => expect(acknowledged.length).toBeGreaterThan(before + 10), { ...soon, interval: 5 });
    await proxy.stop('SIGKILL');
    proxy = await startProxy('killed', audited('killed'));
  }
  pushing = false;
  await Promise.all(pushers);
  const written = new Set((await linesOf('killed')).map(({ reference }) => reference));
  expect(acknowledged.length).toBeGreaterThan(30);
  expect(acknowledged.filter((tag) => !written.has(tag))).toEqual([]);
});

test('where it cannot be written nothing is pushed, and pulls go on; once it can be, pushes do', {
  timeout: 240_000,
}, async () => {
  await symlink('/dev/full', fileOf('full'));
  const proxy = await startProxy('full', audited('full'));
  const first = await put(proxy, 'full-1');
  expect(first.status).toBe(507);
  expect(await first.text()).toContain('audit log');
  expect((await put(proxy, 'full-2')).status).toBe(507);
  const at = proxy.url('registry') + OCI_PATHS.manifest(repo, 'latest');
  expect((await fetch(at)).status).toBe(200);
  const ready = await (await fetch(proxy.url('registry') + PROBES.readiness.pattern)).json();
  expect(ready).toMatchObject({ status: 'ready', warnings: [expect.stringContaining('ENOSPC')] });
  await rm(fileOf('full'));
  await vi.waitFor(async () => expect((await put(proxy, 'full-3')).status).toBe(201), soon);
  const lines = await linesOf('full');
  expect(lines[0]).toMatchObject({ what: 'resume', detail: { failedSince: expect.any(String) } });
  expect(lines.at(-1)).toMatchObject({ what: 'push', reference: 'full-3' });
  // Nothing was begun of what was refused at once.
  expect((await fetch(proxy.url('registry') + OCI_PATHS.manifest(repo, 'full-2'))).status).toBe(404);
});
