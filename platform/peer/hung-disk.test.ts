/** A disk of an origin that hangs as the list of a blob is read for a peer: what lies on others goes on, on the same link. */

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { MoodyDisk } from '../store/volumes/moody-disk.fixtures.ts';
import { MemoryTracker, readBlob, seedBlob, startNode, type TestBlob, type TestNode } from './fixtures.ts';

const blobBytes = 600 * 1024;

test('a peer that opens a blob on a disk that hangs is fed what lies on others, and that blob once it answers', async () => {
  await using stack = new AsyncDisposableStack();
  const dir = mkdtempSync(join(tmpdir(), 'shoal-hung-'));
  stack.defer(() => rmSync(dir, { recursive: true }));
  const [sick, well] = ['sick', 'well'].map((name) => join(dir, name)) as [string, string];
  for (const path of [sick, well]) mkdirSync(path);
  const disk = new MoodyDisk();
  const tracker = new MemoryTracker();
  const origin = (): Promise<TestNode> =>
    startNode(tracker, {
      role: 'origin',
      dir: join(dir, 'data'),
      store: (workers) => ({
        ...{ disk, workers: disk.io(workers), flushEveryMs: 0 },
        volumes: [sick, well].map((path) => ({ path, weight: 1 })),
        // It is not found out to hang while this runs.
        watch: { hungMs: 60_000, lookMs: 60_000 },
      }),
    });
  const before = await origin();
  const on: Record<string, TestBlob[]> = { [sick]: [], [well]: [] };
  while (on[sick]?.length === 0 || on[well]?.length === 0) {
    const blob = await seedBlob(before, blobBytes);
    on[before.store.get(blob.digest)?.file.path.startsWith(sick) ? sick : well]?.push(blob);
  }
  const one = (path: string) => {
    const [blob] = on[path] ?? [];
    const meta = blob && before.store.get(blob.digest)?.meta;
    if (blob === undefined || meta === undefined) throw new Error(`nothing lies on ${path}`);
    return { ...blob, meta };
  };
  const [hung, fine] = [one(sick), one(well)];
  await before.stop();
  // It knows the names, and has read no list.
  const after = stack.use(await origin());
  stack.defer(() => disk.calm());
  for (const blob of [hung, fine]) after.node.seed(blob);
  const agent = stack.use(await startNode(tracker));
  disk.mood(sick, 'hangs');
  const late = agent.node.pull(hung.digest);
  await vi.waitFor(() => expect(after.node.stats().links.accepted).toBeGreaterThan(0), 30_000);
  await agent.node.pull(fine.digest).complete;
  expect(await readBlob(agent, fine.digest)).toEqual(fine.bytes);
  expect(late.entry).toBeUndefined();
  disk.calm();
  await late.complete;
  expect(await readBlob(agent, hung.digest)).toEqual(hung.bytes);
}, 120_000);
