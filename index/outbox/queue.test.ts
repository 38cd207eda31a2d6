/** What waits in an index for its backend, as an operator sees it over HTTP, and has it tried at once. */

import { afterEach, expect, test } from 'vitest';
import { QUEUE, type QueuePage } from '../../core/contracts/queue.ts';
import { FaultyBackend } from '../../platform/backends/faulty.fixtures.ts';
import { MemoryBackend } from '../../platform/backends/memory.ts';
import { createHttp } from '../../platform/http/server.ts';
import { openMemoryTags } from '../../platform/tags/memory/memory.ts';
import type { OutboxKey } from '../../platform/tags/outbox.ts';
import { silentLog } from '../../platform/telemetry/log.ts';
import { Metrics } from '../../platform/telemetry/metrics.ts';
import { depth, image, push, site, writeBlobs } from '../backing/testing.fixtures.ts';
import { addOutboxRoutes } from './queue.ts';

let stack = new AsyncDisposableStack();
afterEach(async () => {
  await stack.disposeAsync();
  stack = new AsyncDisposableStack();
});

test('pages, sums, and what is tried again at once; a key that is none is named', async () => {
  const backend = stack.use(new FaultyBackend(new MemoryBackend('main')));
  const a = await site(stack, backend);
  const one = image('one');
  // Its blobs are not there: all of it waits.
  await push(a.answering, 'team/app', one, ['1']);
  await expect.poll(async () => (await a.store.outbox()).map(({ cause }) => cause)).toEqual(['waiting']);
  const app = createHttp({ role: 'index', log: silentLog(), metrics: new Metrics(), readiness: async () => [] });
  stack.defer(() => app.close());
  let woken = 0;
  const why = (row: OutboxKey) => (row.kind === 'tag' ? { cause: 'denied', message: 'main: no' } : undefined);
  const tried = new Map([['main', { kick: () => undefined, wake: () => void woken++, why }]]);
  const heard = { lanes: tried, lost: () => new Map<string, number>() };
  addOutboxRoutes(app, { store: a.store, heard, configured: (name) => name === 'main' });
  const list = async (query: object) => (await app.inject({ url: QUEUE.list.path({ n: 1000, ...query }) })).json();

  const rows = [];
  for (let after: number | undefined = 0; after !== undefined; ) {
    const page: { rows: { key: string; lane: string; cause: string }[]; next?: number } = await list({ n: 2, after });
    rows.push(...page.rows);
    after = page.next;
  }
  expect(rows).toHaveLength(2 + one.blobs.length);
  const tag = rows.find(({ key }) => key === 'tag/team/app/1@main');
  expect(tag).toMatchObject({ lane: 'main', about: '1', cause: 'denied', message: 'main: no', dead: false });
  const link = rows.find(({ key }) => key.startsWith('blob/'));
  expect(link).toMatchObject({ lane: 'main', cause: 'waiting', message: '' });
  expect([await list({ lane: 'other' }), await list({ dead: true })]).toEqual([{ rows: [] }, { rows: [] }]);
  const { lanes } = (await app.inject({ url: QUEUE.lanes.path({}) })).json();
  expect(lanes).toMatchObject([
    { lane: 'main', waiting: rows.length, causes: [{ cause: 'waiting', rows: rows.length }] },
  ]);

  const retry = (payload: object) => app.inject({ method: 'POST', url: QUEUE.retry.path({}), payload });
  expect((await retry({ key: tag?.key })).json()).toEqual({ rows: 1 });
  // As a release before has shown it.
  expect((await retry({ key: 'tag/team/app/1' })).json()).toEqual({ rows: 1 });
  for (const key of ['tag/team/app/never@main', 'tag/team/app/1@other', 'tag/team/app/1@main~5', '@other'])
    expect([key, (await retry({ key })).json()]).toEqual([key, { rows: 0 }]);
  expect((await retry({ key: '@main' })).json()).toEqual({ rows: rows.length });
  expect((await retry({})).json()).toEqual({ rows: rows.length });
  expect(woken).toBe(8);
  for (const key of [
    'tag',
    'tag/1',
    'other/team/app/1',
    'tag/a/1@',
    'tag/a/1@main~x',
    'tag/a/1@main@b',
    '@',
    '@main~1',
  ]) {
    const refused = await retry({ key });
    expect([refused.statusCode, refused.body]).toEqual([400, expect.stringContaining(key)]);
  }
  // What was promised is not given up, but for what nobody is configured to have any more.
  const drop = async (payload: object) =>
    (await app.inject({ method: 'POST', url: QUEUE.drop.path({}), payload })).json();
  for (const payload of [{}, { key: tag?.key }, { key: '@main' }, { key: '@other' }])
    expect(await drop(payload)).toEqual({ rows: 0 });
  await writeBlobs(backend, one);
  await expect.poll(() => depth(a), { timeout: 20_000 }).toBe(0);
  expect(await list({})).toEqual({ rows: [] });
});

test('what is dead is told, and dropped; so is what waits for a target that is configured no more', async () => {
  const kinds = ['tag'] as const;
  const targetsOf = () => [
    { name: 'remote:east', kinds },
    { name: 'remote:west', kinds },
  ];
  const store = stack.use(openMemoryTags({ targetsOf, nowMs: () => 5 }));
  const bare = { mediaType: 'm', size: 1, blobs: [], manifests: [] };
  await store.putManifest('a/b', image('one').digest, { ...bare, tags: ['x', 'y'] }, 0);
  const app = createHttp({ role: 'index', log: silentLog(), metrics: new Metrics(), readiness: async () => [] });
  stack.defer(() => app.close());
  const heard = { lanes: new Map<string, never>(), lost: () => new Map([['event:ci', 3]]) };
  addOutboxRoutes(app, { store, heard, configured: (name) => name === 'remote:east' });
  const ask = async (url: string, payload?: object) =>
    (await app.inject(payload === undefined ? { url } : { method: 'POST', url, payload })).json();
  const x = await store.pending({ target: 'remote:east', repo: 'a/b', kind: 'tag', name: 'x' });
  await store.failed(x!, { cause: 'denied', dueMs: 5, dead: true });
  const keys = async (query: object) =>
    ((await ask(QUEUE.list.path({ n: 9, ...query }))) as QueuePage).rows.map(({ key, dead }) => `${key} ${dead}`);
  expect(await keys({ lane: 'remote:east' })).toEqual(['tag/a/b/x@remote:east true', 'tag/a/b/y@remote:east false']);
  expect(await keys({ dead: true })).toEqual(['tag/a/b/x@remote:east true']);
  const { lanes } = await ask(QUEUE.lanes.path({}));
  expect(lanes).toMatchObject([
    { lane: 'remote:east', waiting: 1, dead: 1, oldestMs: 5, causes: [{ cause: 'denied', rows: 1 }] },
    { lane: 'remote:west', waiting: 2, dead: 0 },
    { lane: 'event:ci', waiting: 0, dead: 0, lost: 3 },
  ]);
  expect(await ask(QUEUE.drop.path({}), { key: '@remote:east' })).toEqual({ rows: 1 });
  expect(await ask(QUEUE.drop.path({}), {})).toEqual({ rows: 0 });
  expect(await ask(QUEUE.drop.path({}), { key: '@remote:west' })).toEqual({ rows: 2 });
  expect(await keys({})).toEqual(['tag/a/b/y@remote:east false']);
});

test('why each row waits, in words: what is not there yet; of a backend that is down, what it said', async () => {
  const backend = stack.use(new FaultyBackend(new MemoryBackend('main')));
  const a = await site(stack, backend);
  const app = createHttp({ role: 'index', log: silentLog(), metrics: new Metrics(), readiness: async () => [] });
  stack.defer(() => app.close());
  a.addRoutes(app);
  const whys = async (): Promise<string[]> => {
    const { rows } = (await app.inject({ url: QUEUE.list.path({ n: 1000 }) })).json() as QueuePage;
    return rows.map(({ key, cause, message }) => `${key.slice(0, 3)} ${cause}: ${message}`);
  };
  const one = image('one');
  await push(a.answering, 'team/app', one, ['1']);
  const waits = /^(tag|man|blo) waiting: main has no docker\/registry.* yet$/;
  await expect.poll(whys, { timeout: 10_000 }).toEqual(Array(2 + one.blobs.length).fill(expect.stringMatching(waits)));
  backend.fail({ on: 'any', what: 'denied', times: Number.POSITIVE_INFINITY });
  await push(a.answering, 'team/other', image('two'), ['1']);
  const down = expect.stringMatching(/^\w+ denied: main: .*denied/);
  await expect.poll(whys, { timeout: 20_000 }).toEqual(expect.arrayContaining([down]));
  // What was not tried for it says so as well.
  expect((await whys()).filter((why) => / : $/.test(why))).toEqual([]);
  backend.heal();
  for (const each of [one, image('two')]) await writeBlobs(backend, each);
  await expect.poll(whys, { timeout: 30_000 }).toEqual([]);
});
