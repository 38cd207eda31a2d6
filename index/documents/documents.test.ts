/** Documents from the index's door to those who follow them, over real connections. */

import { mkdtemp, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { documentBytesMax } from '../../core/contracts/documents/documents.ts';
import { CallContext } from '../../platform/clients/context.ts';
import { DocumentClient } from '../../platform/clients/documents.ts';
import { FollowedDocument } from '../../platform/clients/followed.ts';
import { HttpClient } from '../../platform/clients/http.ts';
import { createHttp, listen } from '../../platform/http/server.ts';
import { httpMembers } from '../../platform/members/http.ts';
import { fixedList } from '../../platform/members/list.ts';
import { realClock } from '../../platform/net/clock.ts';
import { openMemoryTags } from '../../platform/tags/memory/memory.ts';
import { silentLog } from '../../platform/telemetry/log.ts';
import { Metrics } from '../../platform/telemetry/metrics.ts';
import { documentRoutes } from './routes.ts';
import { DocumentWatch } from './watch.ts';

const ctx = CallContext.begin();
const soon = { timeout: 60_000 };
let stack: AsyncDisposableStack;
let dir: string;
let metrics: Metrics;
beforeEach(async () => {
  stack = new AsyncDisposableStack();
  metrics = new Metrics();
  dir = await mkdtemp(join(tmpdir(), 'shoal-documents-'));
});
afterEach(async () => {
  await stack.disposeAsync();
  await rm(dir, { recursive: true });
});

type Site = { readonly base: string; readonly end: () => Promise<void>; readonly watch: DocumentWatch };

/** An index process over that store. */
async function site(store = openMemoryTags(), { readOnly = false, port = 0 } = {}): Promise<Site> {
  const own = stack.use(new AsyncDisposableStack());
  const watch = new DocumentWatch({ store: store.documents, clock: realClock });
  const app = createHttp({ role: 'index', log: silentLog(), metrics: new Metrics(), readiness: async () => [] });
  documentRoutes(app, { watch, nowMs: Date.now, readOnly });
  const door = own.use(await listen(app, { host: '127.0.0.1', port }));
  own.use(watch);
  return { base: `http://127.0.0.1:${door.port}`, end: () => own.disposeAsync(), watch };
}

function clientOf(...sites: readonly { base: string }[]): DocumentClient {
  return new DocumentClient(stack.use(httpMembers(fixedList(sites.map(({ base }) => base)))));
}

const texts = (body: unknown): string => {
  if (typeof body !== 'string') throw new Error('it is no text');
  return body;
};

async function follower(documents: DocumentClient, kept = dir): Promise<FollowedDocument<string>> {
  const options = {
    name: 'blocks',
    documents,
    parse: texts,
    dir: kept,
    clock: realClock,
    log: silentLog(),
    metrics,
  } as const;
  const followed = new FollowedDocument(options);
  await followed.start();
  stack.use(followed);
  return followed;
}

test('what one writes the others have, through whichever index, and keep for the next start', async () => {
  const store = openMemoryTags();
  const [one, two] = [await site(store), await site(store)];
  const [here, there] = [clientOf(one), clientOf(two)];
  const followed = await follower(there);
  expect(followed.value()).toBeUndefined();
  const version = await here.put('blocks', 'first', 0, ctx);
  await vi.waitFor(() => expect(followed.value()).toBe('first'), soon);
  expect(followed.version).toBe(version);
  expect(followed.ageMs()).toBeLessThan(60_000);
  await here.change('blocks', (body) => `${String(body)}, second`, ctx);
  await vi.waitFor(() => expect(followed.value()).toBe('first, second'), soon);
  const file = join(dir, 'documents', 'blocks.json');
  await vi.waitFor(async () => expect(JSON.parse(await readFile(file, 'utf8')).body).toBe('first, second'), soon);
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  expect(await metrics.text()).toMatch(/shoal_document_version{document="blocks"} \d{13}/);
});

test('a document is changed by one after the other, and by who read it last only', async () => {
  const documents = clientOf(await site());
  expect(await documents.read('blocks', ctx)).toEqual({ version: 0 });
  const add = (one: number) => (body: unknown) => [...((body as number[] | undefined) ?? []), one];
  await Promise.all(Array.from({ length: 8 }, (_, i) => documents.change('blocks', add(i), ctx)));
  const { version, body } = await documents.read('blocks', ctx);
  expect((body as number[]).toSorted()).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  expect(await documents.put('blocks', [], version - 1, ctx)).toBeUndefined();
  // An answer that was lost: what is there is what was to be written.
  expect(await documents.put('blocks', body, version - 1, ctx)).toBe(version);
  expect(await documents.change('blocks', () => undefined, ctx)).toEqual({ version, changed: false });
});

test('what cannot be a document is refused, and an index that is read only takes none', async () => {
  const own = await site();
  const documents = clientOf(own);
  await expect(documents.put('blocks', 'x'.repeat(documentBytesMax), 0, ctx)).rejects.toMatchObject({
    code: 'SIZE_INVALID',
  });
  const http = stack.use(new HttpClient({ base: own.base }));
  const put = (body: unknown) => http.json('PUT', '/v1/documents/blocks', { body, tries: 1 });
  for (const body of [
    {},
    { expected: 0 },
    { expected: -1, body: 1 },
    { expected: '0', body: 1 },
    [],
    'x',
    { expected: 0, body: null },
  ])
    await expect(put(body), JSON.stringify(body)).rejects.toMatchObject({ status: 400 });
  const deep = `{"expected":0,"body":${'['.repeat(400_000)}${']'.repeat(400_000)}}`;
  await expect(
    http.json('PUT', '/v1/documents/blocks', { body: deep, headers: { 'content-type': 'application/json' }, tries: 1 }),
  ).rejects.toMatchObject({ status: 400 });
  await expect(http.json('GET', '/v1/documents/blocks?after=x', { tries: 1 })).rejects.toMatchObject({ status: 400 });
  await expect(http.json('GET', '/v1/documents/other', { tries: 1 })).rejects.toMatchObject({ code: 'NOT_FOUND' });
  expect(await documents.read('blocks', ctx)).toEqual({ version: 0 });
  const closed = clientOf(await site(openMemoryTags(), { readOnly: true }));
  await expect(closed.put('blocks', 'x', 0, ctx)).rejects.toMatchObject({ code: 'UNSUPPORTED' });
});

test('a host that is cut off goes on with what it knew, from its file, and says how old that is', async () => {
  const own = await site();
  const documents = clientOf(own);
  await documents.put('blocks', 'known', 0, ctx);
  const before = await follower(documents);
  await vi.waitFor(() => expect(before.value()).toBe('known'), soon);
  await before[Symbol.asyncDispose]();
  await own.end();
  const file = join(dir, 'documents', 'blocks.json');
  const then = new Date(Date.now() - 3_600_000);
  await utimes(file, then, then);
  const after = await follower(documents);
  expect(after.value()).toBe('known');
  expect(after.ageMs()).toBeGreaterThan(3_500_000);
  expect(after.problems()).toEqual([expect.stringMatching(/document blocks is 3\d{3} s old/)]);
  const port = Number(new URL(own.base).port);
  const again = clientOf(await site(openMemoryTags(), { port }));
  await again.put('blocks', 'new', 0, ctx);
  await vi.waitFor(() => expect(after.value()).toBe('new'), soon);
  expect(after.problems()).toEqual([]);
});

test('an index that hangs keeps nobody from what the others know', async () => {
  let asked = 0;
  const hung = createServer(({ url }) => {
    if (url?.startsWith('/v1/documents/')) asked += 1;
  });
  await new Promise<void>((resolve) => hung.listen(0, '127.0.0.1', resolve));
  stack.defer(() => {
    hung.closeAllConnections();
    hung.close();
  });
  const well = await site();
  const followed = await follower(clientOf({ base: `http://127.0.0.1:${(hung.address() as AddressInfo).port}` }, well));
  // Both are asked, and neither has answered.
  await vi.waitFor(() => expect([asked, well.watch.waiting]).toEqual([1, 1]), soon);
  await clientOf(well).put('blocks', 'known', 0, ctx);
  await vi.waitFor(() => expect(followed.value()).toBe('known'), soon);
});

test('a version that cannot be understood changes nothing, is told, and the next one that can be is taken', async () => {
  const documents = clientOf(await site());
  const followed = await follower(documents);
  await documents.change('blocks', () => 'good', ctx);
  await vi.waitFor(() => expect(followed.value()).toBe('good'), soon);
  await documents.change('blocks', () => ({ not: 'a text' }), ctx);
  await vi.waitFor(
    () => expect(followed.problems()).toEqual([expect.stringMatching(/cannot be understood \(it is no text\)/)]),
    soon,
  );
  expect(followed.value()).toBe('good');
  expect(await metrics.text()).toContain('shoal_document_refused_total{document="blocks"} 1');
  await documents.change('blocks', () => 'better', ctx);
  await vi.waitFor(() => expect(followed.value()).toBe('better'), soon);
  expect(followed.problems()).toEqual([]);
});

test.each([
  '',
  '{',
  '{"version":"x","body":"y"}',
  '{"version":1,"body":5}',
  `{"version":1,"body":"${'x'.repeat(documentBytesMax + 2_000)}"}`,
])('a file that is damaged is as none: %#', async (text) => {
  const documents = clientOf(await site());
  await documents.put('blocks', 'right', 0, ctx);
  const first = await follower(documents);
  await vi.waitFor(() => expect(first.value()).toBe('right'), soon);
  await first[Symbol.asyncDispose]();
  await writeFile(join(dir, 'documents', 'blocks.json'), text);
  const followed = await follower(documents);
  await vi.waitFor(() => expect(followed.value()).toBe('right'), soon);
});

test('an index that has lost its documents does not have them forgotten', async () => {
  const own = await site();
  const documents = clientOf(own);
  await documents.put('blocks', 'known', 0, ctx);
  const followed = await follower(documents);
  await vi.waitFor(() => expect(followed.value()).toBe('known'), soon);
  await own.end();
  const empty = await site(openMemoryTags(), { port: Number(new URL(own.base).port) });
  await vi.waitFor(() => expect(empty.watch.waiting).toBe(1), soon);
  expect(followed.value()).toBe('known');
});
