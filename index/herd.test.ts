import { afterEach, expect, test } from 'vitest';
import type { ManifestPut } from '../core/contracts/index-api.ts';
import type { Digest } from '../core/digest.ts';
import { CallContext } from '../platform/clients/context.ts';
import { IndexClient } from '../platform/clients/index-client.ts';
import { createHttp, listen } from '../platform/http/server.ts';
import { httpMembers } from '../platform/members/http.ts';
import { fixedList } from '../platform/members/list.ts';
import { realClock } from '../platform/net/clock.ts';
import { openMemoryTags } from '../platform/tags/memory/memory.ts';
import { silentLog } from '../platform/telemetry/log.ts';
import { Metrics } from '../platform/telemetry/metrics.ts';
import { indexRoutes } from './api.ts';
import { readTogether } from './herd.ts';

let stack = new AsyncDisposableStack();
afterEach(async () => {
  await stack.disposeAsync();
  stack = new AsyncDisposableStack();
});

const digest = (no: number): Digest => `sha256:${no.toString(16).padStart(64, '0')}` as Digest;
const image = (tags: string[]): ManifestPut => ({ mediaType: 'm/x', size: 5, tags, blobs: [], manifests: [] });

/** An index over an engine whose reads take a moment, and how often it was asked. */
async function slowIndex(shared: boolean) {
  const store = stack.use(openMemoryTags());
  const asked = { tags: 0, manifests: 0 };
  const moment = () => new Promise((resolve) => setTimeout(resolve, 2));
  const slow = {
    async tag(repo: string, tag: string) {
      asked.tags += 1;
      const found = await store.tag(repo, tag);
      await moment();
      return found;
    },
    async manifest(repo: string, of: Digest) {
      asked.manifests += 1;
      const found = await store.manifest(repo, of);
      await moment();
      return found;
    },
  };
  const metrics = new Metrics();
  const app = createHttp({ role: 'index', log: silentLog(), metrics, readiness: async () => [] });
  const reads = readTogether(slow, { clock: realClock, metrics, shared });
  indexRoutes(app, store, { allowMissingChildren: [], keepUnlinkedMs: 1_000, nowMs: Date.now, reads });
  const { port } = stack.use(await listen(app, { host: '127.0.0.1', port: 0 }));
  const client = () => new IndexClient(stack.use(httpMembers(fixedList([`http://127.0.0.1:${port}`]))));
  return { asked, client, metrics };
}

const ctx = CallContext.begin({ requestId: 'test' });

test('520 hosts that read one tag while it is written see what was written before they asked, for a few reads', async () => {
  const { asked, client, metrics } = await slowIndex(true);
  const writer = client();
  const hosts = Array.from({ length: 20 }, client);
  let written = 0;
  const reads: Promise<number>[] = [];
  for (let turn = 1; turn <= 26; turn++) {
    await writer.putManifest('a', digest(turn), image(['x']), ctx);
    written = turn;
    for (const host of hosts) {
      const least = written;
      const read = host.tag('a', 'x', ctx);
      reads.push(read.then((found) => Number(`0x${found?.digest.slice(-8)}`) - least));
    }
  }
  const behind = await Promise.all(reads);
  expect(behind).toHaveLength(520);
  expect(behind.filter((by) => by < 0)).toEqual([]);
  expect(asked.tags).toBeLessThan(260);
  expect(await metrics.registry.getSingleMetricAsString('shoal_index_reads_total')).toContain(
    `{by="engine"} ${asked.tags}`,
  );
});

test('of many callers in one process that ask for a tag or a record, a few go to the index', async () => {
  const { asked, client } = await slowIndex(false);
  const proxy = client();
  expect(await proxy.manifest('a', digest(1), ctx)).toBeUndefined();
  const early = proxy.manifest('a', digest(1), ctx);
  await proxy.putManifest('a', digest(1), image(['x']), ctx);
  // It joins nobody who began before the put was acknowledged.
  expect(await proxy.manifest('a', digest(1), ctx)).toMatchObject({ size: 5 });
  await early;
  const before = asked.manifests;
  const all = Array.from({ length: 200 }, () =>
    Promise.all([proxy.tag('a', 'x', ctx), proxy.manifest('a', digest(1), ctx)]),
  );
  for (const [tag, record] of await Promise.all(all))
    expect([tag?.digest, record?.digest]).toEqual([digest(1), digest(1)]);
  expect([asked.tags, asked.manifests - before]).toEqual([2, 2]);
});

test('of an engine in this process a herd costs one read, until something is written, and a failure is not kept', async () => {
  const store = stack.use(openMemoryTags());
  let [asked, broken] = [0, false];
  const counted = {
    manifest: store.manifest,
    async tag(repo: string, tag: string) {
      asked += 1;
      if (broken) throw new Error('the disk does not answer');
      return await store.tag(repo, tag);
    },
  };
  const metrics = new Metrics();
  const reads = readTogether(counted, { clock: realClock, metrics, shared: false, commits: () => store.commits });
  const all = (): Promise<unknown[]> =>
    Promise.all(Array.from({ length: 2_600 }, async () => (await reads.tag('a', 'x'))?.digest));
  expect(new Set(await all())).toEqual(new Set([undefined]));
  expect(asked).toBe(1);
  for (let turn = 1; turn <= 20; turn++) {
    const early = reads.tag('a', 'x');
    await store.putManifest('a', digest(turn), image(['x']), 0);
    expect(new Set(await all())).toEqual(new Set([digest(turn)]));
    expect(asked).toBe(1 + turn);
    await early;
  }
  await store.deleteTag('a', 'x');
  broken = true;
  await expect(reads.tag('a', 'x')).rejects.toThrow('the disk');
  broken = false;
  expect(await reads.tag('a', 'x')).toBeUndefined();
  expect(await metrics.registry.getSingleMetricAsString('shoal_index_reads_total')).toContain(`{by="engine"} ${asked}`);
});
