/**
 * A power cut at many moments of an origin's life, on a real ext4: the disk under it keeps what was synced, and of the
 * rest whichever sectors chance wants. What is mounted then must open as a store that has every blob that was
 * acknowledged, and none that is torn.
 */

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { prng } from '../../../core/prng.ts';
import { Child, nodeCommand } from '../../../platform/lifecycle/child.ts';
import { originPromises } from '../../../platform/store/options.ts';
import { readAll, sameBlob } from '../../../platform/store/store.fixtures.ts';
import { type BlobEntry, BlobStore } from '../../../platform/store/store.ts';
import { Workers } from '../../../platform/workers/workers.ts';
import { temporary } from '../processes.ts';
import { blobNo } from './blobs.ts';
import { ImageDisk, mounted } from './image.ts';
import { cutAt, decodeLog, tearing } from './log.ts';

const imageBytes = 48 * 2 ** 20;
const blobs = 60;
/** Looked at until so much time has passed, and at least some of them. */
const cuts = { most: 150, least: 30, ms: 40_000 };
const seed = Number(process.env['SHOAL_SEED'] ?? 1);

/** `at`: the log had so many entries when it was known. */
type Told = { readonly kind: 'acked' | 'removed'; readonly no: number; readonly at: number };

/** Everything that was written while blobs were pushed, and what was acknowledged when. */
async function live(folder: string, stack: AsyncDisposableStack, plant = 'nothing') {
  const disk = await ImageDisk.start(folder, imageBytes, stack);
  const command = nodeCommand(new URL('./writer.ts', import.meta.url), [join(disk.path, 'data'), `${blobs}`, plant]);
  const writer = stack.use(Child.start({ name: 'writer', command, output: 'lines', channel: true }));
  const told: Promise<Told>[] = [];
  writer.onMessage((message) => {
    const { kind, no } = message as { kind: string; no: number };
    if (kind === 'acked' || kind === 'removed') told.push(disk.position().then((at) => ({ kind, no, at })));
  });
  await writer.message((message): message is unknown => (message as { kind: string }).kind === 'finished', 120_000);
  const all = await Promise.all(told);
  const log = decodeLog(await readFile(await disk.save()));
  const base = await readFile(join(folder, 'base'));
  return { told: all, log, base };
}

/** What is wrong with the store that a cut leaves. */
async function wrongAt(dir: string, told: readonly Told[], workers: Workers): Promise<string[]> {
  const base = { dir, ...originPromises, workers, budgetBytes: 1e9, flushEveryMs: 0 };
  let store: BlobStore;
  try {
    store = await BlobStore.open(base);
  } catch (error) {
    return [`the store does not open: ${(error as Error).message}`];
  }
  try {
    const wrong: string[] = [];
    for (let no = 0; no < blobs; no += 1) {
      const what = await wrongOf(store.get(blobNo(no).digest), no, { told, workers });
      if (what !== undefined) wrong.push(`blob ${no} ${what}`);
    }
    return wrong;
  } finally {
    await store[Symbol.asyncDispose]();
  }
}

async function wrongOf(
  entry: BlobEntry | undefined,
  no: number,
  { told, workers }: { readonly told: readonly Told[]; readonly workers: Workers },
): Promise<string | undefined> {
  const was = (kind: Told['kind']): boolean => told.some((one) => one.kind === kind && one.no === no);
  // Its removal may have begun.
  const mayBeGone = no % 7 === 3;
  if (entry?.complete !== true) {
    if (!was('acked') || mayBeGone) return undefined;
    return `was acknowledged, and is ${entry === undefined ? 'gone' : 'not whole'}`;
  }
  if (was('removed')) return 'was removed, and is back';
  return sameBlob(await readAll(workers.arena, entry), blobNo(no)) ? undefined : 'is visible, and torn';
}

/** What is wrong at any of many cuts; at the first that shows something, where that is all that is asked. */
async function cutAndLook(plant: string, first: boolean): Promise<{ looked: number; acked: number; wrong: string[] }> {
  await using stack = new AsyncDisposableStack();
  const folder = await temporary(stack, 'disk');
  const workers = stack.use(await Workers.start({ count: 1, arenaBytes: 64 * 2 ** 20 }));
  const { told, log, base } = await live(folder, stack, plant);
  const random = prng(seed);
  const begunMs = performance.now();
  const image = join(folder, 'cut');
  let [looked, acked] = [0, 0];
  const wrong: string[] = [];
  while (looked < cuts.most && (looked < cuts.least || performance.now() - begunMs < cuts.ms)) {
    const position = random.below(log.length);
    await writeFile(image, cutAt(base, log, position, tearing(random)));
    const before = told.filter(({ at }) => at <= position);
    acked = Math.max(acked, before.length);
    const found = await mounted(image, join(folder, 'mnt'), () =>
      wrongAt(join(folder, 'mnt', 'data'), before, workers),
    );
    wrong.push(...found.map((what) => `SEED=${seed}, cut at ${position} of ${log.length}: ${what}`));
    looked += 1;
    if (first && wrong.length > 0) break;
  }
  return { looked, acked, wrong };
}

test('a power cut at any moment loses nothing that was acknowledged, and shows nothing torn', async () => {
  const { looked, acked, wrong } = await cutAndLook('nothing', false);
  expect(wrong).toEqual([]);
  expect(looked).toBeGreaterThanOrEqual(cuts.least);
  expect(acked).toBeGreaterThan(blobs / 2);
});

test.each(['data', 'names'])('it would show a store that does not sync its %s', async (plant) => {
  const { wrong } = await cutAndLook(plant, true);
  expect(wrong.length).toBeGreaterThan(0);
});
