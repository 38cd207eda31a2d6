/** A write whose answer is lost is put to the next index on the same store: what becomes of it, and what its caller is told. */

import { createServer, request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import type { TagVersion } from '../core/contracts/index-api.ts';
import type { Digest } from '../core/digest.ts';
import { CallContext } from '../platform/clients/context.ts';
import { IndexClient } from '../platform/clients/index-client.ts';
import { createHttp, listen } from '../platform/http/server.ts';
import { httpMembers } from '../platform/members/http.ts';
import { fixedList } from '../platform/members/list.ts';
import { openMemoryTags } from '../platform/tags/memory/memory.ts';
import type { TagStore } from '../platform/tags/store.ts';
import { silentLog } from '../platform/telemetry/log.ts';
import { Metrics } from '../platform/telemetry/metrics.ts';
import { indexRoutes } from './api.ts';

const ctx = CallContext.begin();
const digest = (no: number): Digest => `sha256:${no.toString(16).padStart(64, '0')}` as Digest;
const [one, two] = [digest(1), digest(2)] as const;
let stack = new AsyncDisposableStack();
afterEach(async () => {
  await stack.disposeAsync();
  stack = new AsyncDisposableStack();
});

async function index(store: TagStore): Promise<number> {
  const app = createHttp({ role: 'index', log: silentLog(), metrics: new Metrics(), readiness: async () => [] });
  indexRoutes(app, store, { allowMissingChildren: [], keepUnlinkedMs: 1, nowMs: () => 0 });
  return stack.use(await listen(app, { host: '127.0.0.1', port: 0 })).port;
}

/** Hands on what it is asked, however often, and never what is answered; `then` happens in between, once. */
async function losing(to: number, then: () => Promise<unknown>): Promise<number> {
  let done: Promise<unknown> | undefined;
  const once = (): Promise<unknown> => {
    done ??= then();
    return done;
  };
  const server = createServer((asked, response) => {
    const { method, url, headers } = asked;
    const on = httpRequest({ host: '127.0.0.1', port: to, method, path: url, headers }, (answer) => {
      // Who only looks whether it is there begins nothing.
      const between = method === 'GET' ? Promise.resolve() : once();
      answer.resume().on('end', () => void between.finally(() => response.destroy()));
    });
    asked.pipe(on);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  stack.defer(() => void server.close());
  return (server.address() as AddressInfo).port;
}

async function made(then: (store: TagStore) => Promise<unknown>): Promise<{ store: TagStore; client: IndexClient }> {
  const store = stack.use(openMemoryTags());
  for (const manifest of [one, two])
    await store.putManifest('a', manifest, { mediaType: 'm', size: 1, tags: [], blobs: [], manifests: [] }, 0);
  const urls = [await losing(await index(store), () => then(store)), await index(store)];
  const members = httpMembers(fixedList(urls.map((port) => `http://127.0.0.1:${port}`)));
  return { store, client: new IndexClient(stack.use(members)) };
}

const others = (store: TagStore) => store.putTag('a', 'x', { digest: two });
const on = async (store: TagStore): Promise<Digest | undefined> => (await store.tag('a', 'x'))?.digest;

test('what others wrote after it is not overwritten, and its own version is told', async () => {
  const { store, client } = await made(others);
  const outcome = await client.putTag('a', 'x', { digest: one }, ctx);
  expect(outcome?.version).toMatch(/^1-/);
  expect(await store.tag('a', 'x')).toMatchObject({ digest: two, version: expect.stringMatching(/^2-/) });
});

test('whoever could be told nothing asks again later, by the same name, and hears what came of it', async () => {
  const store = stack.use(openMemoryTags());
  await store.putManifest('a', one, { mediaType: 'm', size: 1, tags: [], blobs: [], manifests: [] }, 0);
  await store.putManifest('a', two, { mediaType: 'm', size: 1, tags: [], blobs: [], manifests: [] }, 0);
  const through = (port: number) => stack.use(httpMembers(fixedList([`http://127.0.0.1:${port}`])));
  const good = await index(store);
  const write = '0f'.repeat(16);
  const first = new IndexClient(through(await losing(good, () => others(store))), { write });
  await expect(first.putTag('a', 'x', { digest: one, after: null }, ctx)).rejects.toMatchObject({
    code: 'UNAVAILABLE',
  });
  const again = new IndexClient(through(good), { write, again: true });
  expect((await again.putTag('a', 'x', { digest: one, after: null }, ctx))?.version).toMatch(/^1-/);
  expect(await on(store)).toBe(two);
});

test('a deletion does not delete what came after it', async () => {
  const { store, client } = await made(others);
  await others(store);
  expect((await client.deleteTag('a', 'x', ctx))?.version).toMatch(/^2-/);
  expect(await on(store)).toBe(two);
});

test('a condition that it met is not told as one that it missed', async () => {
  const { store, client } = await made(async () => undefined);
  const outcome = await client.putTag('a', 'x', { digest: one, after: null }, ctx);
  expect(outcome?.version).toMatch(/^1-/);
  expect(await client.deleteTag('a', 'x', ctx, outcome?.version)).toMatchObject({ version: expect.any(String) });
  expect(await on(store)).toBeUndefined();
});

test('what was refused is told as refused, and is not done afterwards', async () => {
  const { store, client } = await made(async () => undefined);
  const taken = (await others(store)) as { version: TagVersion };
  await expect(client.putTag('a', 'x', { digest: one, after: null }, ctx)).rejects.toMatchObject({
    code: 'TAG_CHANGED',
    detail: taken,
  });
  expect(await client.deleteTag('a', 'y', ctx)).toBeUndefined();
  expect(await client.deleteManifest('a', digest(9), ctx)).toBe(false);
  expect(await on(store)).toBe(two);
});

test('a name that is none is refused', async () => {
  const port = await index(stack.use(openMemoryTags()));
  for (const query of ['write=x', `write=${'0f'.repeat(16)}&again=1`, `write=${'0f'.repeat(16)}&write=1`]) {
    const answer = await new Promise<number | undefined>((resolve) => {
      const path = `/v1/repos/a/tags/x?${query}`;
      httpRequest({ host: '127.0.0.1', port, method: 'DELETE', path }, ({ statusCode }) => resolve(statusCode)).end();
    });
    expect(answer).toBe(400);
  }
});
