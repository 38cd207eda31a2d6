/** A queue as its operators see it over HTTP. */

import { afterEach, beforeEach, expect, test } from 'vitest';
import { QUEUE, type QueueChoice } from '../../core/contracts/queue.ts';
import { prng } from '../../core/prng.ts';
import { createHttp, listen } from '../http/server.ts';
import { silentLog } from '../telemetry/log.ts';
import { Metrics } from '../telemetry/metrics.ts';
import { finalAttemptsMax, Queue } from './queue.ts';
import { addQueueRoutes } from './routes.ts';
import type { Row } from './row.ts';
import { runHere } from './runners.ts';

let stack: AsyncDisposableStack;
let queue: Queue;
let base: string;
let woken = 0;
let nowMs = 1_000_000;

beforeEach(async () => {
  stack = new AsyncDisposableStack();
  const broken = (error: Error): never => {
    throw error;
  };
  const runner = runHere({ file: ':memory:', name: 'test queue', rowsMax: 5_000 }, broken);
  queue = stack.use(new Queue({ runner, nowMs: () => nowMs, random: prng(7) }));
  const log = silentLog();
  const app = createHttp({ role: 'origin', log, metrics: new Metrics(), readiness: () => Promise.resolve([]) });
  addQueueRoutes(app, { queue, wake: () => void woken++, log });
  const { port } = stack.use(await listen(app, { host: '127.0.0.1', port: 0 }));
  base = `http://127.0.0.1:${port}`;
});
afterEach(() => stack.disposeAsync());

const get = async (path: string) => JSON.parse(await (await fetch(base + path)).text());
const post = async (path: string, body: QueueChoice) => {
  const headers = { 'content-type': 'application/json' };
  return JSON.parse(await (await fetch(base + path, { method: 'POST', headers, body: JSON.stringify(body) })).text());
};
const add = (key: string, lane = 'main') => queue.add([{ key, lane, about: `about ${key}`, bytes: 5, data: 'hidden' }]);

/** Fails until it is dead. */
async function kill(key: string): Promise<void> {
  for (let attempt = 0; attempt < finalAttemptsMax; attempt += 1) {
    nowMs += 1e9;
    const row = (await queue.take('main', 100)).find((one) => one.key === key) as Row;
    await queue.failed(row, { cause: 'denied', message: 'main: it may not be written', final: true });
  }
}

test('rows are listed in pages, with why they failed last and without what is theirs alone', async () => {
  for (let no = 0; no < 5; no += 1) await add(`k${no}`, no === 4 ? 'other' : 'main');
  const seen: string[] = [];
  for (let after: number | undefined; ; ) {
    const { rows, next } = await get(QUEUE.list.path({ n: 2, after, lane: 'main' }));
    seen.push(...rows.map(({ key }: Row) => key));
    expect(JSON.stringify(rows)).not.toContain('hidden');
    if (next === undefined) break;
    after = next;
  }
  expect(seen).toEqual(['k0', 'k1', 'k2', 'k3']);
});

test('what is dead is listed, tried again one by one or all, or dropped; what is alive is not dropped', async () => {
  await add('dead 1');
  await kill('dead 1');
  await add('alive');
  const dead = QUEUE.list.path({ n: 9, dead: true });
  expect((await get(dead)).rows).toMatchObject([{ key: 'dead 1', cause: 'denied', dead: true }]);
  const { lanes } = await get(QUEUE.lanes.path({}));
  expect(lanes).toMatchObject([{ lane: 'main', waiting: 1, dead: 1, causes: [{ cause: 'denied', rows: 1 }] }]);
  const before = woken;
  expect(await post(QUEUE.retry.path({}), {})).toEqual({ rows: 1 });
  expect(woken).toBe(before + 1);
  expect((await get(dead)).rows).toEqual([]);
  await queue.take('main', 100);
  expect(await post(QUEUE.drop.path({}), { key: 'alive' })).toEqual({ rows: 0 });
  expect(await queue.get('alive')).toBeDefined();
});

test('dropping what is dead', async () => {
  await add('dead 1');
  await kill('dead 1');
  expect(await post(QUEUE.drop.path({}), { key: 'dead 1' })).toEqual({ rows: 1 });
  expect(await queue.get('dead 1')).toBeUndefined();
});
