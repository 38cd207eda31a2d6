/** What the index says about how many origins hold a repository's blobs governs its pushes. */

import { afterEach, expect, test } from 'vitest';
import type { ReplicaRules } from '../core/rendezvous/replicas.ts';
import { IndexRules } from './index-rules.ts';
import { type Answer, digestOfBytes, TestCluster } from './testing/cluster.ts';
import type { FakeOrigin } from './testing/fake-origin.ts';

const bytes = Buffer.from('a layer');
const rules: ReplicaRules = { default: 2, rules: [{ repositories: ['scratch/*'], replicas: 1 }] };

let cluster: TestCluster | undefined;
afterEach(() => cluster?.close());

const push = (repo: string): Promise<Answer> =>
  (cluster as TestCluster).proxy.send('POST', `/v2/${repo}/blobs/uploads/?digest=${digestOfBytes(bytes)}`, {
    body: bytes,
  });

test('a repository of which one origin is to hold each blob needs one, and goes to one; others need as many as before', async () => {
  cluster = await TestCluster.start({ origins: 2, required: 2, replicas: rules });
  expect((await push('scratch/a')).status).toBe(201);
  expect(cluster.holders(bytes)).toBe(1);
  expect((await push('library/a')).status).toBe(201);
  expect(cluster.holders(bytes)).toBe(2);
  await (cluster.origins[0] as FakeOrigin).kill();
  expect([(await push('scratch/b')).status, (await push('library/b')).status]).toEqual([201, 503]);
});

test('what the index said last holds while it does not answer', async () => {
  let asked = 0;
  const says = [undefined, rules];
  const replicaRules = async (): Promise<ReplicaRules | undefined> => {
    if (++asked > 1) throw new Error('down');
    return says[asked];
  };
  await using told = new IndexRules(replicaRules);
  await expect.poll(() => told.rules).toEqual(rules);
  expect(asked).toBe(1);
});
