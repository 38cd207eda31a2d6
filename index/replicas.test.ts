/** How many origins are to hold what, as the index tells it of what its repositories hold. */

import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Digest, digestOf } from '../core/digest.ts';
import type { ReplicaRules } from '../core/rendezvous/replicas.ts';
import { CallContext } from '../platform/clients/context.ts';
import { IndexClient } from '../platform/clients/index-client.ts';
import { createHttp, listen } from '../platform/http/server.ts';
import { httpMembers } from '../platform/members/http.ts';
import { fixedList } from '../platform/members/list.ts';
import { openMemoryTags } from '../platform/tags/memory/memory.ts';
import { silentLog } from '../platform/telemetry/log.ts';
import { Metrics } from '../platform/telemetry/metrics.ts';
import { indexRoutes } from './api.ts';

const stack = new AsyncDisposableStack();
const store = openMemoryTags();
const [one, two, three, none] = ['1', '2', '3', '4'].map((c) => digestOf('sha256', c.repeat(64))) as [
  Digest,
  Digest,
  Digest,
  Digest,
];
const ctx = CallContext.begin();
const rules: ReplicaRules = {
  default: 2,
  rules: [
    { repositories: ['prod/**'], replicas: 3 },
    { repositories: ['scratch/*'], replicas: 1 },
    { repositories: ['rare'], replicas: 7 },
  ],
};

async function client(replicas: ReplicaRules | undefined): Promise<IndexClient> {
  const app = createHttp({ role: 'index', log: silentLog(), metrics: new Metrics(), readiness: async () => [] });
  indexRoutes(app, store, { allowMissingChildren: [], keepUnlinkedMs: 1, nowMs: () => 0, replicas });
  const { port } = stack.use(await listen(app, { host: '127.0.0.1', port: 0 }));
  return new IndexClient(stack.use(httpMembers(fixedList([`http://127.0.0.1:${port}`]))));
}

beforeAll(async () => {
  for (const [repo, digest] of [
    ['scratch/a', one],
    ['scratch/a', two],
    ['library/x', two],
    ['scratch/b', three],
    ['prod/x/y', three],
  ] as const)
    await store.linkBlob(repo, digest, { size: 1 });
});
afterAll(() => stack.disposeAsync());

test('a digest gets the most that a repository which has it asks for; one that none has, nothing', async () => {
  const index = await client(rules);
  expect(await index.replicas([one, two, three, none], ctx)).toEqual([1, 2, 3, 0]);
  expect(await index.replicaRules(ctx)).toEqual(rules);
});

test('of one that very many have it is the most of all rules', async () => {
  for (let i = 0; i < 65; i++) await store.linkBlob(`scratch/base-${i}`, none, { size: 1 });
  expect(await (await client(rules)).replicas([none], ctx)).toEqual([7]);
});

test('an index without rules says nothing', async () => {
  const index = await client(undefined);
  expect([await index.replicas([one, three], ctx), await index.replicaRules(ctx)]).toEqual([[0, 0], undefined]);
});
