/** Events told to receivers over real HTTP: in order, again until they are taken, and what becomes of those that are refused. */

import type { IncomingMessage, ServerResponse } from 'node:http';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Digest } from '../../core/digest.ts';
import { prng } from '../../core/prng.ts';
import { httpServer, requester } from '../../platform/backends/web/web.fixtures.ts';
import { openMemoryTags } from '../../platform/tags/memory/memory.ts';
import type { TagStore } from '../../platform/tags/store.ts';
import { tagVersion } from '../../platform/tags/versions.ts';
import { silentLog } from '../../platform/telemetry/log.ts';
import { Metrics } from '../../platform/telemetry/metrics.ts';
import { type EventEndpoint, eventsShape } from './config.ts';
import { eventsMediaType } from './event.ts';
import { EventLane, type EventLaneParts } from './lane.ts';
import { eventsMetrics } from './metrics.ts';
import { eventTarget, eventTargets } from './targets.ts';

type Told = {
  id: string;
  action: string;
  target: { repository: string; tag?: string; digest?: string; size?: number };
};
const digest = (no: number): Digest => `sha256:${no.toString(16).padStart(64, '0')}` as Digest;
const image = { mediaType: 'm/x', size: 5, blobs: [], manifests: [] };
const registry = 'http://registry.example';

let stack: AsyncDisposableStack;
let heard: Told[];
let answer: (response: ServerResponse, times: number) => void;
beforeEach(() => {
  stack = new AsyncDisposableStack();
  heard = [];
  answer = (response) => response.writeHead(202).end();
});
afterEach(() => stack.disposeAsync());

type Lanes = { readonly lanes?: number; readonly again?: EventLaneParts['again'] };

/** Whoever listens there hears what is written to the store. */
async function told(more: Partial<EventEndpoint> = {}, { lanes = 1, again }: Lanes = {}) {
  const requests: IncomingMessage[] = [];
  const url = await httpServer(stack, async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    requests.push(request);
    heard.push(...(JSON.parse(body) as { events: Told[] }).events);
    answer(response, requests.length);
  });
  const { endpoints } = eventsShape().parse({ endpoints: [{ name: 'ci', url, headers: { 'x-token': 's' } }] });
  const endpoint = { ...(endpoints[0] as EventEndpoint), ...more };
  const targets = eventTargets({ registry, endpoints: [endpoint] });
  const store = stack.use(openMemoryTags({ targetsOf: targets?.targetsOf ?? (() => []), nowMs: Date.now }));
  const { index: database } = await store.unlinked([]);
  const lane = () =>
    stack.use(
      new EventLane({
        ...{ endpoint, target: eventTarget('ci'), store, web: stack.use(requester({ stallMs: 300 })) },
        ...{ origin: { database, address: 'here:1', registry }, metrics: eventsMetrics(new Metrics()) },
        ...{ log: silentLog(), nowMs: Date.now, random: prng(1), again },
      }),
    );
  const all = Array.from({ length: lanes }, lane);
  return { store, requests, lane: all[0] as EventLane };
}

const short = ({ action, target }: Told): string =>
  `${action} ${target.repository} ${target.tag ?? target.digest?.slice(-1)}`;
const waits = async (store: TagStore) => (await store.outbox()).reduce((sum, { rows }) => sum + rows, 0);
const anyKey = { target: eventTarget('ci'), repo: 'a', kind: 'tag', name: 'x' } as const;
const until = { timeout: 15_000 };

test("pushes and deletions are told in Docker's form, those of a repository in their order, by one of two indexes", async () => {
  const { store, requests } = await told({}, { lanes: 2 });
  await store.putManifest('a/b', digest(1), { ...image, tags: ['x'] }, 0);
  await store.putTag('a/b', 'y', { digest: digest(1) });
  await store.deleteTag('a/b', 'x');
  await store.deleteManifest('a/b', digest(1), 0);
  await expect.poll(() => waits(store), until).toBe(0);
  expect(heard.map(short).slice(0, 4)).toEqual(['push a/b x', 'push a/b y', 'delete a/b x', 'delete a/b 1']);
  expect(new Set(heard.map(({ id }) => id)).size).toBe(heard.length);
  expect(requests[0]?.headers).toMatchObject({ 'content-type': eventsMediaType, 'x-token': 's' });
  expect(requests[0]?.method).toBe('POST');
  expect(heard[0]).toMatchObject({
    timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
    target: { digest: digest(1), url: `${registry}/v2/a/b/manifests/${digest(1)}` },
    source: { addr: 'here:1', instanceID: expect.stringMatching(/^[0-9a-f]{32}$/) },
  });
});

test('only the actions and the repositories that it wants', async () => {
  const { store } = await told({ actions: ['delete'], repositories: ['a/*'] });
  await store.putManifest('a/b', digest(1), { ...image, tags: ['x'] }, 0);
  await store.putManifest('c', digest(1), { ...image, tags: ['x'] }, 0);
  await store.deleteTag('c', 'x');
  await store.deleteTag('a/b', 'x');
  await expect.poll(() => waits(store), until).toBe(0);
  expect(heard.map(short)).toEqual(['delete a/b x']);
});

test.each<[string, (response: ServerResponse) => void]>([
  ['answers 500', (response) => void response.writeHead(500).end('broken')],
  ['answers 404', (response) => void response.writeHead(404).end()],
  ['sends elsewhere', (response) => void response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end()],
  ['hangs', () => undefined],
  ['cuts the connection', (response) => void response.destroy()],
])(
  'a receiver that %s hears the same event again, with the same id, and no later one before it',
  async (_what, fail) => {
    answer = (response, times) => (times <= 2 ? fail(response) : void response.writeHead(200).end());
    const { store, lane } = await told({ timeout: 300 });
    await store.putManifest('a', digest(1), { ...image, tags: [] }, 0);
    await store.putManifest('a', digest(2), { ...image, tags: [] }, 0);
    await expect.poll(() => heard.length, until).toBeGreaterThan(0);
    await expect.poll(async () => lane.why(anyKey)?.message, until).toMatch(/ci|main/);
    await expect.poll(() => waits(store), until).toBe(0);
    expect(heard.map(short)).toEqual(['push a 1', 'push a 1', 'push a 1', 'push a 2']);
    expect(new Set(heard.map(({ id }) => id)).size).toBe(2);
  },
);

test('an event that its receiver refuses again and again is dead in the end, and the next one is told', async () => {
  answer = (response) => void response.writeHead(heard.at(-1)?.target.digest === digest(1) ? 400 : 200).end('no');
  const { store } = await told({}, { again: { delayMs: 1, delayMsMax: 1 } });
  await store.putManifest('a', digest(1), { ...image, tags: [] }, 0);
  await store.putManifest('a', digest(2), { ...image, tags: [] }, 0);
  const rows = async () => (await store.outbox()).map(({ dead, rows: count }) => [dead, count]);
  await expect.poll(rows, until).toEqual([[true, 1]]);
  expect(heard.map(short).at(-1)).toBe('push a 2');
  expect(heard.filter(({ target }) => target.digest === digest(1))).toHaveLength(10);
});

test('what another cluster wrote is told as replicate, a push of here after it as push', async () => {
  const { store } = await told();
  const theirs = tagVersion(Date.now(), 'ab'.repeat(16));
  await store.putManifest('a', digest(1), { ...image, tags: ['x'], as: theirs }, 0);
  await store.putTag('a', 'y', { digest: digest(1), as: theirs });
  await store.putTag('a', 'x', { digest: digest(1) });
  await store.deleteTag('a', 'y', { as: tagVersion(Date.now() + 1, 'ab'.repeat(16)) });
  await expect.poll(() => waits(store), until).toBe(0);
  expect(heard.map(short)).toEqual(['replicate a x', 'replicate a y', 'push a x', 'delete a y']);
});

test('an endpoint that wants what comes from elsewhere hears of nothing else', async () => {
  const { store } = await told({ actions: ['replicate'] });
  await store.putManifest('a', digest(1), { ...image, tags: ['x'] }, 0);
  await store.putTag('a', 'y', { digest: digest(1), as: tagVersion(Date.now(), 'ab'.repeat(16)) });
  await expect.poll(() => waits(store), until).toBe(0);
  expect(heard.map(short)).toEqual(['replicate a y']);
});
