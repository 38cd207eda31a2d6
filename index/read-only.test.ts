/** An index that is read only while its state is copied or moved. */

import { afterAll, beforeAll, expect, test } from 'vitest';
import { INDEX, type ManifestPut } from '../core/contracts/index-api.ts';
import type { ReconcileStep } from '../core/contracts/reconcile.ts';
import type { Digest } from '../core/digest.ts';
import { CallContext } from '../platform/clients/context.ts';
import { HttpClient } from '../platform/clients/http.ts';
import { IndexClient } from '../platform/clients/index-client.ts';
import { createHttp, listen } from '../platform/http/server.ts';
import { httpMembers } from '../platform/members/http.ts';
import { fixedList } from '../platform/members/list.ts';
import { openMemoryTags } from '../platform/tags/memory/memory.ts';
import { silentLog } from '../platform/telemetry/log.ts';
import { Metrics } from '../platform/telemetry/metrics.ts';
import { indexRoutes } from './api.ts';
import { indexSchema } from './config.ts';

const stack = new AsyncDisposableStack();
const store = openMemoryTags();
const digest = (no: number): Digest => `sha256:${no.toString(16).padStart(64, '0')}` as Digest;
const [blob, unlinked, manifest, nobodys] = [1, 2, 3, 4].map(digest) as [Digest, Digest, Digest, Digest];
const put: ManifestPut = { mediaType: 'm/x', size: 5, tags: ['1'], blobs: [blob], manifests: [] };
const ctx = CallContext.begin();
const reconciled: ReconcileStep[] = [];
let index: IndexClient;
let http: HttpClient;

beforeAll(async () => {
  await store.linkBlob('a', blob, { size: 1 });
  await store.linkBlob('a', unlinked, { size: 1 });
  await store.unlinkBlob('a', unlinked, 0);
  await store.putManifest('a', manifest, put, 0);
  const app = createHttp({ role: 'index', log: silentLog(), metrics: new Metrics(), readiness: async () => [] });
  indexRoutes(app, store, {
    allowMissingChildren: [],
    keepUnlinkedMs: 1,
    nowMs: () => 1_000,
    readOnly: true,
    async reconcile(step) {
      reconciled.push(step);
      return { looked: 1, changes: [], broken: [] };
    },
  });
  const base = `http://127.0.0.1:${stack.use(await listen(app, { host: '127.0.0.1', port: 0 })).port}`;
  index = new IndexClient(stack.use(httpMembers(fixedList([base]))));
  http = stack.use(new HttpClient({ base }));
});
afterAll(() => stack.disposeAsync());

test.each<[string, () => Promise<unknown>]>([
  ['a manifest', () => index.putManifest('a', nobodys, { ...put, tags: ['2'] }, ctx)],
  ['a tag', () => index.putTag('a', '2', { digest: manifest }, ctx)],
  ['the end of a tag', () => index.deleteTag('a', '1', ctx)],
  ['the end of a manifest', () => index.deleteManifest('a', manifest, ctx)],
  ['a blob', () => index.linkBlob('a', nobodys, { size: 1 }, ctx)],
  ['the end of a blob', () => index.unlinkBlob('a', blob, ctx)],
  ['a mount', () => index.mount('b', blob, 'a', ctx)],
])('%s is refused in a way that is not tried again, and nothing changes', async (_what, write) => {
  const refused = { code: 'UNSUPPORTED', status: 405, detail: { allow: ['GET', 'HEAD'] } };
  await expect(write()).rejects.toMatchObject({ ...refused, message: expect.stringContaining('readOnly: true') });
  expect(await store.tags('a', { n: 9 })).toEqual({ tags: ['1'], more: false });
  expect(await store.catalog({ n: 9 })).toEqual({ repositories: ['a'], more: false });
  expect((await store.blob('a', blob))?.size).toBe(1);
  expect(await store.blob('a', nobodys)).toBeUndefined();
  expect(await store.blob('b', blob)).toBeUndefined();
});

test('reads go on', async () => {
  expect(await index.tag('a', '1', ctx)).toMatchObject({ digest: manifest });
  expect(await index.manifest('a', manifest, ctx)).toMatchObject({ size: 5 });
  expect(await index.tags('a', { n: 9 }, ctx)).toMatchObject({ tags: ['1'] });
  expect(await index.catalog({ n: 9 }, ctx)).toMatchObject({ repositories: ['a'] });
  expect(await index.blob('a', blob, ctx)).toMatchObject({ size: 1 });
});

test('whoever asks what may be removed is told of nothing, though it would be time', async () => {
  const { condemned, waiting } = await index.condemn([blob, unlinked], ctx);
  expect([condemned, waiting]).toEqual([[], 1]);
  const writable = await store.condemn([unlinked], { nowMs: 1_000, unlinkedMs: 1 });
  expect(writable.condemned).toEqual([unlinked]);
});

test('what a backend has may be looked at, and not brought', async () => {
  const step = (apply: boolean) => http.json('POST', INDEX.reconcile.path({}), { ctx, body: { apply, keys: 1 } });
  await step(false);
  await expect(step(true)).rejects.toMatchObject({ code: 'UNSUPPORTED' });
  expect(reconciled).toMatchObject([{ apply: false }]);
});

test('the configuration says so, and by default it is not', () => {
  const parsed = (more: object) => indexSchema.parse({ role: 'index', ...more }).readOnly;
  expect([parsed({}), parsed({ readOnly: true })]).toEqual([false, true]);
});
