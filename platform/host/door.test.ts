import { expect, test } from 'vitest';
import { Drain } from '../lifecycle/drain.ts';
import { silentLog } from '../telemetry/log.ts';
import { Metrics } from '../telemetry/metrics.ts';
import { openDoor } from './door.ts';

const at = { host: '127.0.0.1', port: 0 };

test('a door answers its routes, probes and metrics, refuses what is new once the role drains, and closes with the stack', async () => {
  const drain = new Drain();
  const problems: string[] = ['no tracker answers'];
  const stack = new AsyncDisposableStack();
  const port = await openDoor(
    { role: 'agent', log: silentLog(), metrics: new Metrics(), drain },
    {
      at,
      readiness: async () => problems,
      workOf: (_, path) => (path === '/more' ? { kind: 'uploads', continues: true } : undefined),
      routes: (app) => {
        for (const path of ['/new', '/more']) app.get(path, async () => ({ path }));
      },
    },
    stack,
  );
  const status = async (path: string): Promise<number> =>
    (await fetch(`http://127.0.0.1:${port}${path}`, { headers: { connection: 'close' } })).status;
  expect(await status('/new')).toBe(200);
  expect(await status('/health')).toBe(200);
  expect(await status('/metrics')).toBe(200);
  expect(await status('/readiness')).toBe(503);
  problems.length = 0;
  expect(await status('/readiness')).toBe(200);
  drain.start();
  expect(await status('/new')).toBe(503);
  expect(await status('/more')).toBe(200);
  expect(await status('/readiness')).toBe(503);
  await stack.disposeAsync();
  await expect(status('/health')).rejects.toThrow('fetch failed');
});

test('a door without a word about readiness is always ready', async () => {
  await using stack = new AsyncDisposableStack();
  const context = { role: 'tracker', log: silentLog(), metrics: new Metrics(), drain: new Drain() } as const;
  const port = await openDoor(context, { at, routes: () => undefined }, stack);
  expect((await fetch(`http://127.0.0.1:${port}/readiness`)).status).toBe(200);
});
