/** Three index processes on one bucket: any of them, and the bucket's server, may be killed or stopped under load. */

import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Digest } from '../../../core/digest.ts';
import { prng } from '../../../core/prng.ts';
import { CallContext } from '../../../platform/clients/context.ts';
import { IndexClient } from '../../../platform/clients/index-client.ts';
import { entryUrl } from '../../../platform/lifecycle/entry.ts';
import { httpMembers } from '../../../platform/members/http.ts';
import { fixedList } from '../../../platform/members/list.ts';
import { Cluster, type Process } from '../../../platform/testing/cluster.ts';
import { freePort } from '../../../platform/testing/ports.ts';
import { byLength } from '../short.ts';
import type { S3Server } from './servers/s3.ts';
import { started } from './servers/server.ts';
import { startVersitygw } from './servers/versitygw.ts';

const seed = Number(process.env['SHOAL_SEED'] ?? 1);
const random = prng(seed);
const faults = byLength({ short: 3, usual: 6, long: 30 });
const soon = { timeout: 60_000, interval: 100 };
const digest = (no: number): Digest => `sha256:${no.toString(16).padStart(64, '0')}` as Digest;
const layers = [digest(100), digest(101)];
const manifests = [digest(1), digest(2), digest(3)];
const ctx = CallContext.begin();
const stack = new AsyncDisposableStack();

let server: S3Server;
let cluster: Cluster;
const ports: number[] = [];
const indexes: Process[] = [];

beforeAll(async () => {
  server = await started(stack, startVersitygw);
  cluster = stack.use(await Cluster.make());
  for (let i = 0; i < 3; i++) ports.push(await freePort());
  // All at once: one of them makes the store.
  indexes.push(...(await Promise.all([0, 1, 2].map(start))));
});
afterAll(() => stack.disposeAsync());

function start(i: number): Promise<Process> {
  return cluster.start(entryUrl('../../../index/main.ts', import.meta.url), `index-${i}`, {
    role: 'index',
    listen: { host: '127.0.0.1', port: ports[i] },
    data: cluster.dataOf('none'),
    store: { kind: 'bucket', backend: server.rule.name },
    backends: [server.rule],
  });
}

/** Each begins with another index. */
const clientOf = (i: number): IndexClient => {
  const all = ports.map((port) => `http://127.0.0.1:${port}`);
  return new IndexClient(stack.use(httpMembers(fixedList([...all.slice(i % 3), ...all.slice(0, i % 3)]))));
};

/** What was acknowledged last of each tag; null: its deletion. A write whose answer was lost may have been done. */
type Told = Map<string, { sure: Digest | null; perhaps: (Digest | null)[] }>;
type Run = { over: boolean; acknowledged: number };

/** Each tag has one writer: what it was told last is what counts, and is read through another index. */
async function write(me: number, told: Told, run: Run): Promise<void> {
  const [client, other] = [clientOf(me), clientOf(me + 1)];
  while (!run.over) {
    const tag = `t${me}-${random.below(5)}`;
    const on = random.below(4) === 0 ? null : (manifests[random.below(manifests.length)] as Digest);
    const known = told.get(tag) ?? { sure: null, perhaps: [] };
    told.set(tag, known);
    known.perhaps.push(on);
    try {
      if (on === null) await client.deleteTag('a', tag, ctx);
      else await client.putManifest('a', on, { ...pushed, tags: [tag] }, ctx);
      told.set(tag, { sure: on, perhaps: [] });
      run.acknowledged += 1;
      expect({ tag, on: (await other.tag('a', tag, ctx))?.digest ?? null }).toEqual({ tag, on });
    } catch (error) {
      expect(error).toMatchObject({ code: 'UNAVAILABLE' });
      await sleep(20);
    }
  }
}

const pushed = { mediaType: 'm/x', size: 9, tags: [], blobs: layers, manifests: [] };

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

test(`three indexes on a bucket, seed ${seed}: none that is killed or stopped loses what was acknowledged, nor brings back what was replaced`, async () => {
  const client = clientOf(0);
  for (const layer of layers) await client.linkBlob('a', layer, { size: 9 }, ctx);
  const told: Told = new Map();
  const run: Run = { over: false, acknowledged: 0 };
  const writers = Promise.all([0, 1, 2, 3].map((me) => write(me, told, run)));
  const goesOn = async (): Promise<void> => {
    const before = run.acknowledged;
    await expect.poll(() => run.acknowledged, soon).toBeGreaterThan(before + 20);
  };
  for (let no = 0; no < faults; no++) {
    await goesOn();
    await fault(no);
  }
  await goesOn();
  run.over = true;
  await writers;
  for (const [tag, { sure, perhaps }] of told) {
    const now = (await client.tag('a', tag, ctx))?.digest ?? null;
    expect({ tag, now, right: [sure, ...perhaps].includes(now) }).toEqual({ tag, now, right: true });
  }
}, 300_000);
