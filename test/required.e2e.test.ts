/** Origin and index with a backend that is required: readiness follows it, in real processes. */

import { mkdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { PROBES } from '../core/contracts/probes.ts';
import { entryUrl } from '../platform/lifecycle/entry.ts';
import { Cluster, type Process } from '../platform/testing/cluster.ts';

async function ready(process: Process): Promise<{ status: number; text: string }> {
  const answer = await fetch(process.url('api') + PROBES.readiness.pattern);
  return { status: answer.status, text: await answer.text() };
}

async function comes(process: Process, status: number): Promise<void> {
  while ((await ready(process)).status !== status) await new Promise((resolve) => setTimeout(resolve, 100));
}

test('a directory that is not there keeps them from being ready, until it is', { timeout: 60_000 }, async () => {
  await using cluster = await Cluster.make();
  const directory = join(cluster.dir, 'store');
  const backends = [{ name: 'main', file: { directory }, required: true }];
  const listen = { host: '127.0.0.1', port: 0 };
  const start = (role: string, more: object): Promise<Process> =>
    cluster.start(entryUrl(`../${role}/main.ts`, import.meta.url), role, {
      role,
      data: cluster.dataOf(role),
      listen,
      backends,
      ...more,
    });
  const index = await start('index', {});
  const peer = { host: '127.0.0.1', port: 0 };
  const origin = await start('origin', { peer, trackers: ['http://127.0.0.1:1'], origins: ['http://127.0.0.1:1'] });
  for (const process of [index, origin]) {
    const { status, text } = await ready(process);
    expect(status).toBe(503);
    expect(text).toContain(`backend missing: main: there is no directory ${directory}`);
  }
  await mkdir(directory);
  for (const process of [index, origin]) await comes(process, 200);
  await rename(directory, `${directory}.away`);
  for (const process of [index, origin]) await comes(process, 503);
});
