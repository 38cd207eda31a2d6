/** Kraken's lists and statuses of an index, over a store in memory, without origins; those with origins: test/kraken-index.e2e.test.ts. */

import { afterEach, beforeEach, expect, test } from 'vitest';
import { KRAKEN_INDEX, type KrakenList } from '../../core/contracts/kraken/index.ts';
import { testDigest } from '../../core/handout/fixtures.ts';
import { createHttp } from '../../platform/http/server.ts';
import { openMemoryTags } from '../../platform/tags/memory/memory.ts';
import type { TagStore } from '../../platform/tags/store.ts';
import { silentLog } from '../../platform/telemetry/log.ts';
import { Metrics } from '../../platform/telemetry/metrics.ts';
import { indexRoutes } from '../api.ts';

const digest = testDigest(1);
const put = { mediaType: 'm/x', size: 5, blobs: [], manifests: [] };
let store: TagStore;
let app: ReturnType<typeof createHttp>;

beforeEach(async () => {
  store = openMemoryTags();
  app = served(store);
  // `lib.x` and `lib-x` sort between `lib` and `lib/a`.
  for (const [repo, tags] of [
    ['lib', ['1', '2']],
    ['lib-x', ['1']],
    ['lib.x', ['1']],
    ['lib/a', ['B', 'a', 'c']],
    ['lib/b/c', ['1']],
    ['lib/none', []],
    ['zed', ['1']],
  ] as const)
    await store.putManifest(repo, digest, { ...put, tags }, 0);
});
afterEach(() => store[Symbol.asyncDispose]());

function served(of: TagStore, readOnly = false) {
  const http = createHttp({ role: 'index', log: silentLog(), metrics: new Metrics(), readiness: async () => [] });
  indexRoutes(http, of, { allowMissingChildren: [], keepUnlinkedMs: 1, nowMs: () => 1, readOnly });
  return http;
}

async function listed(url: string): Promise<KrakenList> {
  const { statusCode, body } = await app.inject({ method: 'GET', url });
  expect(statusCode, body).toBe(200);
  return KRAKEN_INDEX.list.reply(JSON.parse(body), 'x');
}

/** Every page's names, by the way that each says. */
async function pages(url: string): Promise<readonly (readonly string[])[]> {
  const all: (readonly string[])[] = [];
  for (let next = url; next !== ''; ) {
    const { Links, size, result } = await listed(next);
    expect([Links.self, size]).toEqual([next, result.length]);
    all.push(result);
    next = Links.next;
  }
  return all;
}

const below = ['lib:1', 'lib:2', 'lib/a:a', 'lib/a:B', 'lib/a:c', 'lib/b/c:1'];

test.each([
  ['lib', below],
  ['lib/', below],
  ['lib/a', below.slice(2, 5)],
  ['lib/_manifests/tags', below.slice(0, 2)],
  ['lib%2Fb', ['lib/b/c:1']],
  ['li', []],
  ['lib/none', []],
])('a list of %s, page by page, is what it is at once', async (prefix, names) => {
  expect(await pages(`/list/${prefix}`)).toEqual([names]);
  for (const limit of [1, 2, 4]) expect((await pages(`/list/${prefix}?limit=${limit}`)).flat()).toEqual(names);
});

test('a list of all has every name once; one of a repository has its tags', async () => {
  const all = (await pages('/list/?limit=2')).flat();
  expect(all.toSorted()).toEqual([...below, 'lib-x:1', 'lib.x:1', 'zed:1'].toSorted());
  expect(await pages('/repositories/lib%2Fa/tags?limit=2')).toEqual([['a', 'B'], ['c']]);
  expect(await pages('/repositories/nobody/tags')).toEqual([[]]);
});

test.each(['/list/?limit=0', '/list/lib?n=1', '/list/?limit=x', '/list/?limit=-1', '/repositories/lib/tags?limit=0'])(
  '%s is refused',
  async (url) => {
    expect((await app.inject({ method: 'GET', url })).statusCode).toBe(400);
  },
);

test('an index that knows no origins sets tags on manifests that it knows, and on no others', async () => {
  const status = async (tag: string, of = digest) =>
    (await app.inject({ method: 'PUT', url: KRAKEN_INDEX.put.path({ tag, digest: of }) })).statusCode;
  expect(await status('lib:new')).toBe(200);
  expect((await store.tag('lib', 'new'))?.digest).toBe(digest);
  const url = KRAKEN_INDEX.put.path({ tag: 'lib:other', digest: testDigest(2) });
  const { statusCode, body } = await app.inject({ method: 'PUT', url });
  expect([statusCode, body]).toEqual([500, expect.stringContaining('name the origins')]);
  expect(await store.tag('lib', 'other')).toBeUndefined();
  expect((await app.inject({ method: 'GET', url: KRAKEN_INDEX.origin.path({}) })).statusCode).toBe(405);
});

test('neighbours of a mixed cluster are heard as anybody else is', async () => {
  const of = { tag: 'lib:dup', digest };
  const duplicate = { method: 'PUT', url: KRAKEN_INDEX.duplicatePut.path(of), payload: { delay: 5 } } as const;
  expect((await app.inject(duplicate)).statusCode).toBe(200);
  const url = KRAKEN_INDEX.duplicateReplicate.path(of);
  expect((await app.inject({ method: 'POST', url, payload: { dependencies: [], delay: 5 } })).statusCode).toBe(200);
  const none = KRAKEN_INDEX.duplicateReplicate.path({ tag: 'lib:none', digest });
  expect((await app.inject({ method: 'POST', url: none })).statusCode).toBe(404);
});

test('an index that is read only sets no tag', async () => {
  const url = KRAKEN_INDEX.put.path({ tag: 'lib:new', digest });
  expect((await served(store, true).inject({ method: 'PUT', url })).statusCode).toBe(405);
});
