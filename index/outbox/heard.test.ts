/** What a store says of its outbox: a lane looks at once, and what a full target is not told of is counted, and logged once. */

import { afterEach, expect, test, vi } from 'vitest';
import type { Digest } from '../../core/digest.ts';
import { prng } from '../../core/prng.ts';
import { openMemoryTags } from '../../platform/tags/memory/memory.ts';
import type { OutboxRow } from '../../platform/tags/outbox.ts';
import type { OutboxTarget } from '../../platform/tags/targets.ts';
import { silentLog } from '../../platform/telemetry/log.ts';
import { Metrics } from '../../platform/telemetry/metrics.ts';
import { eventsShape } from '../events/config.ts';
import { eventTargets } from '../events/targets.ts';
import { OutboxHeard } from './heard.ts';
import { OutboxLoop } from './loop.ts';

const digest = `sha256:${'1'.repeat(64)}` as Digest;
const bare = { mediaType: 'm/x', size: 5, blobs: [], manifests: [] };

let stack = new AsyncDisposableStack();
afterEach(async () => {
  vi.useRealTimers();
  await stack.disposeAsync();
  stack = new AsyncDisposableStack();
});

function opened(targets: readonly OutboxTarget[], logged: object[] = []) {
  const metrics = new Metrics();
  const log = { error: (about: object) => void logged.push(about) };
  const heard = new OutboxHeard({ log, metrics });
  const store = stack.use(openMemoryTags({ targetsOf: () => targets, ...heard.options, nowMs: Date.now }));
  return { heard, metrics, store };
}

/** Rounds of the event loop, in which no timer comes. */
async function rounds(until: () => boolean): Promise<void> {
  for (let round = 0; round < 1_000 && !until(); round++) await new Promise((resolve) => setImmediate(resolve));
}

type Opened = ReturnType<typeof opened>;

function looping({ heard, store }: Opened, one: (row: OutboxRow, signal: AbortSignal) => Promise<void>): OutboxLoop {
  const [log, random] = [silentLog(), prng(1)];
  const own = { target: 'main', rowsMax: 4, nowMs: Date.now, random, log, tell: () => undefined };
  const loop = stack.use(new OutboxLoop({ ...own, store, one }));
  heard.lanes.set('main', { kick: () => loop.kick(), wake: () => loop.wake(), why: () => undefined });
  loop.start();
  return loop;
}

test('a write is begun without any clock: whoever tries the rows of its target hears of it', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const at = opened([{ name: 'main', kinds: ['tag'] }]);
  const done: string[] = [];
  looping(at, async (row) => {
    done.push(row.name);
    await at.store.written(row);
  });
  await rounds(() => false);
  for (const tag of ['x', 'y']) {
    await at.store.putManifest('a', digest, { ...bare, tags: [tag] }, 0);
    await rounds(() => done.includes(tag));
  }
  expect(done).toEqual(['x', 'y']);
});

test('what one has under way another one on the store does not touch, and takes up as soon as it stops', async () => {
  const at = opened([{ name: 'main', kinds: ['tag'] }]);
  const begun: string[] = [];
  const first = looping(at, (row, signal) => {
    begun.push(`first ${row.name}`);
    return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
  });
  await at.store.putManifest('a', digest, { ...bare, tags: ['x'] }, 0);
  await expect.poll(() => begun, { timeout: 60_000 }).toEqual(['first x']);
  const second = looping(at, async (row) => {
    begun.push(`second ${row.name}`);
    await at.store.written(row);
  });
  await at.store.putManifest('b', digest, { ...bare, tags: ['y'] }, 0);
  await expect.poll(() => begun, { timeout: 60_000 }).toEqual(['first x', 'second y']);
  await first[Symbol.asyncDispose]();
  second.kick();
  await expect.poll(() => begun, { timeout: 60_000 }).toEqual(['first x', 'second y', 'second x']);
});

test('a target that is away is tried with one row at a time, and has all of them once it is back', async () => {
  const at = opened([{ name: 'main', kinds: ['tag'] }]);
  let [away, underWay, most] = [true, 0, 0];
  const loop = looping(at, async (row) => {
    most = Math.max(most, ++underWay);
    await new Promise((resolve) => setImmediate(resolve));
    underWay -= 1;
    if (away) {
      loop.away();
      await at.store.failed(row, { cause: 'unavailable', dueMs: Date.now() });
    } else {
      loop.back();
      await at.store.written(row);
    }
  });
  const tags = Array.from({ length: 9 }, (_, no) => `t${no}`);
  await at.store.putManifest('a', digest, { ...bare, tags }, 0);
  await expect.poll(() => most, { timeout: 60_000 }).toBe(4);
  await expect.poll(() => underWay, { timeout: 60_000 }).toBe(0);
  most = 0;
  loop.wake();
  await expect.poll(() => most, { timeout: 60_000 }).toBeGreaterThan(0);
  expect(most).toBe(1);
  away = false;
  loop.wake();
  await expect.poll(() => at.store.outbox(), { timeout: 60_000 }).toEqual([]);
});

test('writes go on where a target is full: what it is not told of is counted, logged once, and told again when there is room', async () => {
  const events = eventsShape().parse({ endpoints: [{ name: 'ci', url: 'http://ci.example' }] });
  const [target] = eventTargets(events)?.targetsOf('a') ?? [];
  const logged: object[] = [];
  const { store, heard, metrics } = opened([{ ...(target as OutboxTarget), rowsMax: 3 }], logged);
  const put = (tag: string, n: number) =>
    Promise.all(Array.from({ length: n }, () => store.putTag('a', tag, { digest })));
  await store.putManifest('a', digest, { ...bare, tags: ['x'] }, 0);
  await put('x', 1_050);
  const waiting = (await store.outbox()).reduce((sum, { rows }) => sum + rows, 0);
  const lost = heard.lost().get('event:ci') ?? 0;
  expect(lost).toBeGreaterThan(0);
  expect(waiting + lost).toBe(1_051);
  expect(await metrics.text()).toContain(`shoal_outbox_lost_total{target="event:ci"} ${lost}`);
  expect(logged).toEqual([expect.objectContaining({ target: 'event:ci' })]);
  await store.drop({ target: 'event:ci' });
  await put('y', 150);
  expect((await store.outbox()).reduce((sum, { rows }) => sum + rows, 0)).toBeGreaterThan(0);
});

test('an object of somebody else that rows wait for is logged once, with its name, and counted once', async () => {
  const logged: object[] = [];
  const { heard, metrics } = opened([], logged);
  for (const why of ['x/one is none', 'x/one is none', 'x/two is none']) heard.options.onDamaged?.('main', why);
  const told = ['x/one is none', 'x/two is none'].map((why) => ({ target: 'main', why }));
  expect(logged).toEqual(told);
  expect(await metrics.text()).toContain('shoal_outbox_damaged_total{target="main"} 2');
});
