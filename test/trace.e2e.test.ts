/** One request's id and trace, through a cluster of real processes, as each of them logs it. */

import { createHash, randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { Cluster } from '../platform/testing/cluster.ts';
import { send, startParts } from './cluster.fixtures.ts';

const content = randomBytes(300_000);
const digest = `sha256:${createHash('sha256').update(content).digest('hex')}`;
const parentId = 'cd'.repeat(8);
/** A line is written once its request has been answered. */
const timeout = 10_000;

type Line = {
  requestId?: string;
  traceId?: string;
  spanId?: string;
  parentId?: string;
  path?: string;
  method?: string;
};

test('a push leads from the proxy to origins and index, a question from the agent to the tracker, under one trace', async () => {
  await using cluster = await Cluster.make();
  const { proxy, agent } = await startParts(cluster, { origins: 2 });
  const linesOf = async (name: string, traceId: string): Promise<Line[]> =>
    (await cluster.log(name))
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as Line)
      .filter((line) => line.traceId === traceId && line.path !== undefined);
  const edge = (requestId: string, traceId: string) => ({
    'x-request-id': requestId,
    traceparent: `00-${traceId}-${parentId}-01`,
  });

  const pushed = randomBytes(16).toString('hex');
  const at = `${proxy.url('registry')}/v2/a/b/blobs/uploads/?digest=${digest}`;
  expect((await send('POST', at, content, edge('push-1', pushed))).statusCode).toBe(201);
  await expect
    .poll(() => linesOf('proxy', pushed), { timeout })
    .toMatchObject([{ requestId: 'push-1', parentId, method: 'POST' }]);
  // Begun, filled and committed at both of them, and linked.
  for (const [name, methods] of [
    ['origin-1', ['PATCH', 'POST', 'PUT']],
    ['origin-2', ['PATCH', 'POST', 'PUT']],
    ['index', ['PUT']],
  ] as const) {
    const found = async (): Promise<(string | undefined)[]> =>
      [...new Set((await linesOf(name, pushed)).map(({ method }) => method))].toSorted();
    await expect.poll(found, { message: name, timeout }).toEqual(expect.arrayContaining([...methods]));
    for (const line of await linesOf(name, pushed)) expect(line).toMatchObject({ requestId: 'push-1' });
  }
  const spans = (
    await Promise.all(['proxy', 'origin-1', 'origin-2', 'index'].map((name) => linesOf(name, pushed)))
  ).flat();
  expect(new Set(spans.map(({ spanId }) => spanId)).size).toBe(spans.length);
  // No two calls are one span, and none is the client's own.
  expect(new Set(spans.map((span) => span.parentId)).size).toBe(spans.length);

  const asked = randomBytes(16).toString('hex');
  const head = await send('HEAD', `${agent.url('registry')}/v2/a/b/blobs/${digest}`, undefined, edge('head-1', asked));
  expect(head.statusCode).toBe(200);
  for (const name of ['agent', 'tracker'])
    await expect.poll(() => linesOf(name, asked), { message: name, timeout }).toMatchObject([{ requestId: 'head-1' }]);
});
