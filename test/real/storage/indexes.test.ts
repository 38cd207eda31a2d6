/** Three index processes on one PostgreSQL, with a backend: any of them, and the database, may be killed or stopped under load. */

import { mkdir } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Digest } from '../../../core/digest.ts';
import { prng } from '../../../core/prng.ts';
import { digestOfBytes, image, inBucket, writeBlobs } from '../../../index/backing/testing.fixtures.ts';
import type { Backend } from '../../../platform/backends/backend.ts';
import { Backends } from '../../../platform/backends/backends.ts';
import { backendsShape } from '../../../platform/backends/config.ts';
import { CallContext } from '../../../platform/clients/context.ts';
import { IndexClient } from '../../../platform/clients/index-client.ts';
import { entryUrl } from '../../../platform/lifecycle/entry.ts';
import { httpMembers } from '../../../platform/members/http.ts';
import { fixedList } from '../../../platform/members/list.ts';
import { realClock } from '../../../platform/net/clock.ts';
import { silentLog } from '../../../platform/telemetry/log.ts';
import { Metrics } from '../../../platform/telemetry/metrics.ts';
import { Cluster, type Process } from '../../../platform/testing/cluster.ts';
import { freePort } from '../../../platform/testing/ports.ts';
import { byLength } from '../short.ts';
import type { DatabaseServer } from './servers/databases.ts';
import { startPostgres } from './servers/postgres.ts';
import { started } from './servers/server.ts';

const seed = Number(process.env['SHOAL_SEED'] ?? 1);
const random = prng(seed);
const faults = byLength({ short: 3, usual: 6, long: 30 });
const soon = { timeout: 60_000, interval: 100 };
const images = [image('one'), image('two')];
const ctx = CallContext.begin();
const stack = new AsyncDisposableStack();

let server: DatabaseServer;
let cluster: Cluster;
let backend: Backend;
let rules: readonly object[];
const ports: number[] = [];
const indexes: Process[] = [];

beforeAll(async () => {
  server = await started(stack, (dir) => startPostgres(dir));
  cluster = stack.use(await Cluster.make());
  const directory = `${cluster.dir}/bucket`;
  await mkdir(directory);
  rules = [{ name: 'main', file: { directory } }];
  const given = { log: silentLog(), metrics: new Metrics(), env: {}, clock: realClock, sharers: () => 1 };
  const backends = stack.use(await Backends.open(backendsShape().parse(rules), given));
  backend = (backends.named('main') as NonNullable<ReturnType<typeof backends.named>>).backend;
  for (const one of images) await writeBlobs(backend, one);
  for (let i = 0; i < 3; i++) ports.push(await freePort());
  // All at once: the first to come makes the tables.
  indexes.push(...(await Promise.all([0, 1, 2].map(start))));
});
afterAll(() => stack.disposeAsync());

function start(i: number): Promise<Process> {
  const { host, port, database, username, password } = server.settings();
  return cluster.start(entryUrl('../../../index/main.ts', import.meta.url), `index-${i}`, {
    role: 'index',
    listen: { host: '127.0.0.1', port: ports[i] },
    data: cluster.dataOf('none'),
    store: { kind: 'postgres', host, port, database, username, password },
    backends: rules,
  });
}

const urls = (): string[] => ports.map((port) => `http://127.0.0.1:${port}`);
/** Each begins with another index. */
const clientOf = (i: number): IndexClient => {
  const all = urls();
  return new IndexClient(stack.use(httpMembers(fixedList([...all.slice(i % 3), ...all.slice(0, i % 3)]))));
};

/** What was acknowledged last of each tag; null: its deletion. A write whose answer was lost may have been done. */
type Told = Map<string, { sure: Digest | null; perhaps: (Digest | null)[] }>;
type Run = { over: boolean; acknowledged: number; read: number };

/** Each tag has one writer, who reads what it wrote: what it was told last is what counts. */
async function write(me: number, told: Told, run: Run): Promise<void> {
  const client = clientOf(me);
  while (!run.over) {
    const tag = `t${me}-${random.below(5)}`;
    const on = random.below(4) === 0 ? null : (images[random.below(2)]?.digest as Digest);
    const known = told.get(tag) ?? { sure: null, perhaps: [] };
    told.set(tag, known);
    known.perhaps.push(on);
    try {
      if (on === null) await client.deleteTag('a', tag, ctx);
      else await client.putTag('a', tag, { digest: on }, ctx);
      told.set(tag, { sure: on, perhaps: [] });
      run.acknowledged += 1;
      // Through whichever index: of another client, that begins with another one.
      expect((await clientOf(me + 1).tag('a', tag, ctx))?.digest ?? null).toBe(on);
      run.read += 1;
    } catch (error) {
      expect(error).toMatchObject({ code: 'UNAVAILABLE' });
      await sleep(20);
    }
  }
}

async function fault(no: number): Promise<void> {
  const i = random.below(3);
  switch (no % 3) {
    case 0:
      await indexes[i]?.stop('SIGKILL');
      await sleep(300);
      indexes[i] = await start(i);
      return;
    case 1:
      process.kill(indexes[i]?.pid ?? 0, 'SIGSTOP');
      await sleep(4_000);
      process.kill(indexes[i]?.pid ?? 0, 'SIGCONT');
      return;
    default:
      await server.kill();
      await expect.poll(() => server.start().then(() => 'up', String), soon).toBe('up');
  }
}

test(`three indexes, seed ${seed}: none that is killed or stopped loses what was acknowledged, nor brings back what was replaced`, async () => {
  const client = clientOf(0);
  for (const { blobs, bytes, digest } of images) {
    for (const blob of blobs) await client.linkBlob('a', digestOfBytes(blob), { size: blob.length }, ctx);
    const put = { mediaType: 'm/x', size: bytes.length, tags: [], blobs: blobs.map(digestOfBytes), manifests: [] };
    await client.putManifest('a', digest, put, ctx);
  }
  const told: Told = new Map();
  const run: Run = { over: false, acknowledged: 0, read: 0 };
  const writers = Promise.all([0, 1, 2, 3].map((me) => write(me, told, run)));
  for (let no = 0; no < faults; no++) {
    const before = run.acknowledged;
    await expect.poll(() => run.acknowledged, soon).toBeGreaterThan(before + 20);
    await fault(no);
  }
  const before = run.acknowledged;
  await expect.poll(() => run.acknowledged, soon).toBeGreaterThan(before + 20);
  run.over = true;
  await writers;
  // Who wrote a row back, and died of it, has left it to the others.
  for (const [tag, { sure, perhaps }] of told) {
    const right = [sure, ...perhaps];
    await expect
      .poll(async () => {
        const { record, link } = await inBucket(backend, 'a', tag);
        const now = record?.deleted === true ? null : (record?.digest ?? null);
        const there = right.includes(now) && (now === null || link === now);
        return there && ((await client.tag('a', tag, ctx))?.digest ?? null) === now;
      }, soon)
      .toBe(true);
  }
  expect(run.read).toBeGreaterThan(100);
}, 300_000);
