/** Two origins with one identity, as a cloned disk makes them. */
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { eventually, repo, Site } from './site.ts';

const noticedMsMax = 30_000;
const layerBytes = 300_000;
const nobody = { status: 0, body: Buffer.alloc(0) };

test('each says so, the two count as one copy, and all is well once one is itself again', async () => {
  await using stack = new AsyncDisposableStack();
  const site = await Site.start(stack, { origin: 2, tracker: 1, proxy: 1, index: 1, agent: 1 });
  const { manifest } = await site.push('v1', layerBytes);
  const id = (await readFile(join(site.dataOf('origin-1'), 'id'), 'utf8')).trim();
  await site.stop('origin-2');
  await site.clone('origin-1', 'origin-2');
  await site.start('origin-2', false);
  for (const name of ['origin-1', 'origin-2']) {
    const look = () => site.readiness(name).catch(() => nobody);
    const { status, body } = await eventually(look, (it) => it.status === 503 && it.body.includes(id), noticedMsMax);
    expect([name, status, body.toString()]).toEqual([name, 503, expect.stringContaining(id)]);
  }
  // Two copies are asked for, and there is one disk, as far as anybody knows.
  const refused = await eventually(
    () => site.tryPush('v2', layerBytes),
    ({ image }) => image === undefined,
    noticedMsMax,
  );
  expect(refused.failure).toMatchObject({ status: 503, code: 'UNAVAILABLE' });
  // What is there is given all the same.
  expect((await site.registry('agent-1').manifest(repo, 'v1')).digest).toBe(manifest);
  await site.stop('origin-2');
  await rm(join(site.dataOf('origin-2'), 'id'));
  await site.start('origin-2');
  await site.ready('origin-1');
  const after = await eventually(
    () => site.tryPush('v3', layerBytes),
    ({ image }) => image !== undefined,
    noticedMsMax,
  );
  expect(after.failure).toBeUndefined();
  for (const { digest } of after.image?.blobs ?? [])
    for (const name of ['origin-1', 'origin-2']) expect(await site.holds(name, digest)).toBe(true);
});
