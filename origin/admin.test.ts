/** What an operator asks of an origin: over real HTTP, with a real store. */

import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { mkdtemp, open, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type EvictRequest, ORIGIN_ADMIN } from '../core/contracts/origin-admin.ts';
import { type Digest, digestHex, digestOf } from '../core/digest.ts';
import { createHttp, listen } from '../platform/http/server.ts';
import { originPromises } from '../platform/store/options.ts';
import { BlobStore } from '../platform/store/store.ts';
import { silentLog } from '../platform/telemetry/log.ts';
import { Metrics } from '../platform/telemetry/metrics.ts';
import { Workers } from '../platform/workers/workers.ts';
import { addOriginAdminRoutes, OriginAdmin } from './admin.ts';

const stack = new AsyncDisposableStack();
const unneeded = new Set<Digest>();
const wanted: Digest[] = [];
const budgetBytes = 10_000_000;
let store: BlobStore;
let dir: string;
let base: string;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'shoal-admin-'));
  stack.defer(() => rm(dir, { recursive: true, force: true }));
  const workers = stack.use(await Workers.start({ count: 1, arenaBytes: 16 * 1024 * 1024 }));
  const askUnneeded = async (digests: readonly Digest[]) => ({
    unneeded: digests.filter((digest) => unneeded.has(digest)),
    waiting: 0,
  });
  store = stack.use(await BlobStore.open({ dir, ...originPromises, workers, budgetBytes, askUnneeded }));
  const log = silentLog();
  const mending = { replace: async (digest: Digest) => void wanted.push(digest) };
  const ownersOf = () => ['http://one', 'http://two'];
  const app = createHttp({ role: 'origin', log, metrics: new Metrics(), readiness: () => Promise.resolve([]) });
  addOriginAdminRoutes(app, new OriginAdmin({ store, budgetBytes, ownersOf, mending, log }));
  const { port } = stack.use(await listen(app, { host: '127.0.0.1', port: 0 }));
  base = `http://127.0.0.1:${port}`;
});
afterAll(() => stack.disposeAsync());

async function stored(bytes: Buffer): Promise<Digest> {
  const digest = digestOf('sha256', createHash('sha256').update(bytes).digest('hex'));
  const upload = await store.beginUpload(randomUUID(), 'sha256');
  await upload.append(bytes);
  await upload.commit(digest);
  return digest;
}

const ask = async (method: string, path: string, body?: EvictRequest) => {
  const headers = { 'content-type': 'application/json' };
  const sent = body === undefined ? {} : { headers, body: JSON.stringify(body) };
  const response = await fetch(base + path, { method, ...sent });
  return { status: response.status, body: JSON.parse(await response.text()) };
};
const evict = (body: EvictRequest) => ask('POST', ORIGIN_ADMIN.evict.path({}), body);

test('blobs are listed by digest, in pages that meet without a gap; one is described', async () => {
  const digests: Digest[] = [];
  for (let i = 0; i < 7; i += 1) digests.push(await stored(randomBytes(1000 + i)));
  const found: string[] = [];
  for (let last: Digest | undefined, more = true; more; ) {
    const { body } = await ask('GET', ORIGIN_ADMIN.list.path({ n: 3, last }));
    expect(body.blobs.length).toBeLessThanOrEqual(3);
    found.push(...body.blobs.map(({ digest }: { digest: string }) => digest));
    last = body.blobs.at(-1).digest;
    more = body.more;
  }
  expect(found).toEqual([...digests].sort());
  const [digest] = digests as [Digest];
  const { body } = await ask('GET', ORIGIN_ADMIN.status.path({ digest }));
  expect(body).toMatchObject({ digest, size: 1000, state: 'whole', pieces: 1, held: 1, inUse: false });
  expect(body.owners).toEqual(['http://one', 'http://two']);
});

test('verify reads the bytes: right, then decayed once a byte on the disk is another one', async () => {
  const digest = await stored(randomBytes(600_000));
  const verify = () => ask('POST', ORIGIN_ADMIN.verify.path({ digest }));
  expect((await verify()).body).toEqual({ result: 'right' });
  const shard = join(dir, 'blobs/sha256', digestHex(digest).slice(0, 2));
  const name = (await readdir(shard)).find((one) => one.startsWith(digestHex(digest))) as string;
  const file = await open(join(shard, name), 'r+');
  await file.write(Buffer.from('damage'), 0, 6, 300_000);
  await file.close();
  expect((await verify()).body).toMatchObject({ result: 'decayed' });
  expect((await ask('GET', ORIGIN_ADMIN.status.path({ digest }))).body.state).toBe('damaged');
});

test('only what may go is evicted, and the answer says why the rest stays', async () => {
  const [needed, free] = [await stored(randomBytes(50_000)), await stored(randomBytes(50_001))];
  unneeded.add(free);
  // What was pushed just now is not asked about for a moment.
  const { body } = await until(async () => await evict({ digests: [needed, free] }), free);
  expect(body).toMatchObject({ evicted: [free], done: false, budgetBytes });
  expect(body.why).toContain('links to every blob');
  expect(store.get(needed)?.complete).toBe(true);
}, 20_000);

test('evicts the least recently used until a share of the budget is used, and says when it cannot', async () => {
  for (let i = 0; i < 4; i += 1) unneeded.add(await stored(randomBytes(1_000_000 + i)));
  const { body } = await until(async () => await evict({ toPercent: 10 }), [...unneeded][1] as Digest);
  expect(body.usedBytes).toBeLessThanOrEqual(budgetBytes / 10);
  expect(body.done).toBe(true);
  expect((await evict({ toBytes: 0 })).body).toMatchObject({ done: false, why: expect.stringContaining('links to') });
}, 20_000);

test('what makes no sense is refused by name', async () => {
  const digest = digestOf('sha256', '0'.repeat(64));
  expect((await ask('POST', ORIGIN_ADMIN.verify.path({ digest }))).status).toBe(404);
  expect((await evict({})).body.errors[0].message).toContain('name one of');
  expect((await evict({ toBytes: 5, toPercent: 5 })).status).toBe(400);
  expect((await evict({ toPercent: 101 })).body.errors[0].message).toContain('toPercent');
});

/** Asked again until `digest` has gone. */
async function until<T>(act: () => Promise<T>, digest: Digest): Promise<T> {
  for (;;) {
    const result = await act();
    if (store.get(digest) === undefined) return result;
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}
