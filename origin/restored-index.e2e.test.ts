/** Index, proxy and origin as real processes, and the index restored from a backup: what it forgot stays until it is trusted. */

import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { entryUrl } from '../platform/lifecycle/entry.ts';
import { backUpTags } from '../platform/tags/sqlite/backup.ts';
import { tagsFile } from '../platform/tags/sqlite/data.ts';
import { restoreTags } from '../platform/tags/sqlite/restore.ts';
import { Cluster, type Process } from '../platform/testing/cluster.ts';
import { freePort } from '../platform/testing/ports.ts';

const ephemeral = { host: '127.0.0.1', port: 0 };
const keepUnlinkedMs = 500;
/** Longer than an origin waits after it asked in vain. */
const againMs = 5_500;
const repo = 'team/app';
/** Two of these are more than the origin has room for. */
const large = 60_000_000;

let cluster: Cluster;
let proxy: string;
let index: Process;
let indexPort: number;

beforeAll(async () => {
  cluster = await Cluster.make();
  indexPort = await freePort();
  index = await startIndex();
  const indexes = [`http://127.0.0.1:${indexPort}`];
  const port = await freePort();
  const origins = [`http://127.0.0.1:${port}`];
  await cluster.start(entryUrl('./main.ts', import.meta.url), 'origin', {
    ...{ role: 'origin', listen: { ...ephemeral, port }, peer: ephemeral, data: cluster.dataOf('origin') },
    ...{ trackers: ['http://127.0.0.1:1'], disk: { budget: '100MB' }, index: indexes, origins },
  });
  const settings = { role: 'proxy', listen: ephemeral, index: indexes, origins };
  proxy = (await cluster.start(entryUrl('../proxy/main.ts', import.meta.url), 'proxy', settings)).url('registry');
}, 180_000);
afterAll(() => cluster?.[Symbol.asyncDispose]());

function startIndex(): Promise<Process> {
  return cluster.start(entryUrl('../index/main.ts', import.meta.url), 'index', {
    ...{ role: 'index', listen: { ...ephemeral, port: indexPort }, data: cluster.dataOf('index') },
    keepUnlinked: `${keepUnlinkedMs}ms`,
  });
}

const digestOf = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

async function push(bytes: Uint8Array): Promise<{ status: number; text: string }> {
  const path = `/v2/${repo}/blobs/uploads/?digest=${digestOf(bytes)}`;
  const answer = await fetch(proxy + path, { method: 'POST', body: bytes.slice() });
  return { status: answer.status, text: await answer.text() };
}

test('what a restored index forgot is not removed before it is trusted; then origins go by it by themselves', async () => {
  const [first, second] = [randomBytes(large), randomBytes(large)];
  const data = cluster.dataOf('index');
  const backup = join(data, '..', 'backup.db');
  await backUpTags(tagsFile(data), backup, {});
  // The origin has heard who its index is.
  expect((await push(first)).status).toBe(201);
  expect((await push(second)).status).toBe(507);
  await sleep(againMs);
  expect((await push(second)).status).toBe(507);
  const file = join(cluster.dataOf('origin'), 'index');
  await expect.poll(() => existsSync(file)).toBe(true);
  const noted = () => readFileSync(file, 'utf8').trim();
  const before = noted();
  await index.stop();
  await restoreTags({ from: backup, data, replace: true, nowMs: Date.now(), copying: {} });
  index = await startIndex();

  await sleep(keepUnlinkedMs + againMs);
  const refused = await push(second);
  expect([refused.status, refused.text]).toEqual([507, expect.stringContaining('was restored from a backup')]);
  await sleep(keepUnlinkedMs + againMs);
  expect((await push(second)).status).toBe(507);
  expect(noted()).toBe(before);

  const trusted = await fetch(`http://127.0.0.1:${indexPort}/v1/trust`, {
    ...{ method: 'POST', body: '{}', headers: { 'content-type': 'application/json' } },
  });
  expect(await trusted.json()).toEqual({ of: [before], trusted: false });
  // By now nothing links to it, as it says, and it is the index that the origin goes by.
  await expect.poll(async () => (await push(second)).status, { timeout: 30_000, interval: 2_000 }).toBe(201);
  expect(noted()).not.toBe(before);
}, 120_000);
