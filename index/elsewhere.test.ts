/** Writes of another cluster as an index takes them over HTTP, from the client of ours. */

import { afterEach, expect, test } from 'vitest';
import type { TagVersion } from '../core/contracts/index-api.ts';
import type { Digest } from '../core/digest.ts';
import { CallContext } from '../platform/clients/context.ts';
import { IndexClient } from '../platform/clients/index-client.ts';
import { createHttp, listen } from '../platform/http/server.ts';
import { httpMembers } from '../platform/members/http.ts';
import { fixedList } from '../platform/members/list.ts';
import { openMemoryTags } from '../platform/tags/memory/memory.ts';
import { unversioned } from '../platform/tags/versions.ts';
import { silentLog } from '../platform/telemetry/log.ts';
import { Metrics } from '../platform/telemetry/metrics.ts';
import { indexRoutes } from './api.ts';

const ctx = CallContext.begin();
const digest = (no: number): Digest => `sha256:${no.toString(16).padStart(64, '0')}` as Digest;
const theirs = (no: number): TagVersion => `${no}-${'e'.repeat(32)}` as TagVersion;
const nowMs = 1_000_000_000;
const dayMs = 24 * 3_600_000;
const put = { mediaType: 'm', size: 1, tags: ['x'], blobs: [], manifests: [] };
let stack = new AsyncDisposableStack();
afterEach(async () => {
  await stack.disposeAsync();
  stack = new AsyncDisposableStack();
});

async function client(): Promise<IndexClient> {
  const app = createHttp({ role: 'index', log: silentLog(), metrics: new Metrics(), readiness: async () => [] });
  const store = stack.use(openMemoryTags());
  indexRoutes(app, store, { allowMissingChildren: [], keepUnlinkedMs: 1, nowMs: () => nowMs });
  const { port } = stack.use(await listen(app, { host: '127.0.0.1', port: 0 }));
  return new IndexClient(stack.use(httpMembers(fixedList([`http://127.0.0.1:${port}`]))));
}

test('what is made is told with its version, what is kept with that which is here', async () => {
  const index = await client();
  expect(await index.putManifest('a', digest(1), { ...put, as: theirs(50) }, ctx)).toEqual({ version: theirs(50) });
  const kept = { version: theirs(50), kept: true };
  expect(await index.putManifest('a', digest(2), { ...put, blobs: [digest(9)], as: theirs(49) }, ctx)).toEqual(kept);
  expect(await index.putTag('a', 'x', { digest: digest(1), as: theirs(50) }, ctx)).toEqual(kept);
  expect(await index.putTag('a', 'x', { digest: digest(1), as: theirs(51) }, ctx)).toEqual({ version: theirs(51) });
  expect(await index.putTag('a', 'x', { digest: digest(3), as: theirs(52) }, ctx)).toBeUndefined();
  expect(await index.deleteTag('a', 'x', ctx, { as: theirs(51) })).toEqual({ version: theirs(51), kept: true });
  expect(await index.deleteTag('a', 'x', ctx, { as: theirs(53) })).toEqual({ version: theirs(53) });
  expect(await index.deleteTag('b', 'y', ctx, { as: theirs(1) })).toEqual({ version: theirs(1) });
  expect(await index.tag('a', 'x', ctx)).toBeUndefined();
});

test('a version from the future, or of nobody, is refused by its name, and changes nothing', async () => {
  const index = await client();
  await index.putManifest('a', digest(1), put, ctx);
  const before = await index.tag('a', 'x', ctx);
  const code = 'TAG_VERSION_INVALID';
  for (const [as, why] of [
    [theirs(nowMs + dayMs + 1), 'more than 24 h in the future'],
    [theirs(2 ** 52), 'more than 24 h in the future'],
    [unversioned, 'nobody'],
  ] as const) {
    const refused = { code, message: expect.stringMatching(`${as} .*${why}`) };
    await expect(index.putTag('a', 'x', { digest: digest(1), as }, ctx)).rejects.toMatchObject(refused);
    await expect(index.putManifest('a', digest(2), { ...put, as }, ctx)).rejects.toMatchObject(refused);
    await expect(index.deleteTag('a', 'x', ctx, { as })).rejects.toMatchObject(refused);
  }
  expect(await index.tag('a', 'x', ctx)).toEqual(before);
  expect(await index.manifest('a', digest(2), ctx)).toBeUndefined();
  const most = theirs(nowMs + dayMs);
  expect(await index.putTag('a', 'x', { digest: digest(1), as: most }, ctx)).toEqual({ version: most });
});
