/** A real index over a directory as its backend, killed with -9 at moments drawn by a seed: nothing acknowledged is lost. */

import { mkdir } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Digest } from '../../core/digest.ts';
import { prng } from '../../core/prng.ts';
import type { Backend } from '../../platform/backends/backend.ts';
import { Backends } from '../../platform/backends/backends.ts';
import { backendsShape } from '../../platform/backends/config.ts';
import { CallContext } from '../../platform/clients/context.ts';
import { IndexClient } from '../../platform/clients/index-client.ts';
import { entryUrl } from '../../platform/lifecycle/entry.ts';
import { httpMembers } from '../../platform/members/http.ts';
import { fixedList } from '../../platform/members/list.ts';
import { realClock } from '../../platform/net/clock.ts';
import { silentLog } from '../../platform/telemetry/log.ts';
import { Metrics } from '../../platform/telemetry/metrics.ts';
import { Cluster, type Process } from '../../platform/testing/cluster.ts';
import { freePort } from '../../platform/testing/ports.ts';
import { digestOfBytes, image, inBucket, writeBlobs } from './testing.fixtures.ts';

const seed = Number(process.env['SHOAL_SEED'] ?? 1);
const kills = 6;
const soon = { timeout: 60_000, interval: 100 };
const images = [image('one'), image('two')];
const ctx = CallContext.begin();

let cluster: Cluster;
let port: number;
let backend: Backend;
let rules: readonly object[];
beforeAll(async () => {
  cluster = await Cluster.make();
  port = await freePort();
  const directory = `${cluster.dir}/bucket`;
  await mkdir(directory);
  rules = [{ name: 'main', file: { directory } }];
  const given = { log: silentLog(), metrics: new Metrics(), env: {}, clock: realClock, sharers: () => 1 };
  const backends = await Backends.open(backendsShape().parse(rules), given);
  backend = (backends.named('main') as NonNullable<ReturnType<typeof backends.named>>).backend;
  for (const one of images) await writeBlobs(backend, one);
});
afterAll(() => cluster[Symbol.asyncDispose]());

const start = (): Promise<Process> =>
  cluster.start(entryUrl('../main.ts', import.meta.url), 'index', {
    role: 'index',
    listen: { host: '127.0.0.1', port },
    data: cluster.dataOf('index'),
    backends: rules,
  });

test(`killed ${kills} times, seed ${seed}: each tag is in the bucket as it was acknowledged last`, async () => {
  const random = prng(seed);
  /** What was acknowledged last of each tag; null: its deletion. A write whose answer was lost may have been done. */
  const told = new Map<string, { sure: Digest | null; perhaps: (Digest | null)[] }>();
  let index = await start();
  const client = new IndexClient(httpMembers(fixedList([index.url('api')])));
  for (const { blobs, bytes, digest } of images) {
    for (const blob of blobs) await client.linkBlob('a', digestOfBytes(blob), { size: blob.length }, ctx);
    const put = { mediaType: 'm/x', size: bytes.length, tags: [], blobs: blobs.map(digestOfBytes), manifests: [] };
    await client.putManifest('a', digest, put, ctx);
  }
  const write = async (tag: string, on: Digest | null): Promise<void> => {
    const known = told.get(tag) ?? { sure: null, perhaps: [] };
    told.set(tag, known);
    known.perhaps.push(on);
    if (on === null) await client.deleteTag('a', tag, ctx);
    else await client.putTag('a', tag, { digest: on }, ctx);
    told.set(tag, { sure: on, perhaps: [] });
  };
  let acknowledged = 0;
  for (let kill = 0; kill < kills; kill++) {
    let going = true;
    // Each tag has one writer: what it was told last is what counts.
    const writers = Array.from({ length: 4 }, async (_, writer) => {
      while (going) {
        const on = random.below(4) === 0 ? null : (images[random.below(2)]?.digest as Digest);
        await write(`t${writer}-${random.below(5)}`, on).then(
          () => acknowledged++,
          () => undefined,
        );
      }
    });
    await new Promise((resolve) => setTimeout(resolve, 50 + random.below(400)));
    await index.stop('SIGKILL');
    going = false;
    await Promise.all(writers);
    index = await start();
  }
  await expect.poll(async () => (await client.tag('a', 'none', ctx)) ?? 'none', soon).toBe('none');
  for (const [tag, { sure, perhaps }] of told) {
    const right = [sure, ...perhaps];
    await expect
      .poll(async () => {
        const { record, link } = await inBucket(backend, 'a', tag);
        const now = record?.deleted === true ? null : (record?.digest ?? null);
        return (
          right.includes(now) &&
          (now === null || link === now) &&
          (await client.tag('a', tag, ctx))?.digest === (now ?? undefined)
        );
      }, soon)
      .toBe(true);
  }
  expect(acknowledged).toBeGreaterThan(kills);
}, 180_000);
