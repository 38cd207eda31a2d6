/** What goes by retention rules, by the store in memory. */

import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ApiError } from '../../core/contracts/errors.ts';
import type { ManifestPut } from '../../core/contracts/index-api.ts';
import type { Digest } from '../../core/digest.ts';
import { openMemoryTags } from '../../platform/tags/memory/memory.ts';
import type { RetiringTagStore } from '../../platform/tags/untagged.ts';
import { silentLog } from '../../platform/telemetry/log.ts';
import { Metrics } from '../../platform/telemetry/metrics.ts';
import { notingAsked } from './asked.ts';
import { retentionMetrics } from './metrics.ts';
import { Retention } from './retention.ts';

const dayMs = 24 * 3_600_000;
const digest = (no: number): Digest => `sha256:${no.toString(16).padStart(64, '0')}` as Digest;
const [one, two, three] = [digest(1), digest(2), digest(3)] as const;
const rules = [
  { repositories: ['team/keep', 'team/keep/**'], untagged: 300 * dayMs },
  { repositories: ['team/**'], untagged: 7 * dayMs },
];

let nowMs: number;
let off: string | undefined;
let store: RetiringTagStore;
let metrics: Metrics;
let retention: Retention;

beforeEach(() => {
  nowMs = 1_000_000_000;
  off = undefined;
  metrics = new Metrics();
  store = openMemoryTags({ targetsOf: () => [], nowMs: () => nowMs });
  retention = opened();
});
afterEach(() => retention[Symbol.asyncDispose]());

function opened(): Retention {
  return new Retention({
    ...{ rules, store, untagged: store.untagged, nowMs: () => nowMs, graceMs: dayMs, everyMs: 100, rate: 100_000 },
    ...{ off: () => off, log: silentLog(), ...retentionMetrics(metrics) },
  });
}

const put = (repo: string, of: Digest, more: Partial<ManifestPut> = {}) =>
  store.putManifest(repo, of, { mediaType: 'm', size: 5, tags: [], blobs: [], manifests: [], ...more }, nowMs);
const isThere = async (repo: string, of: Digest): Promise<boolean> => (await store.manifest(repo, of)) !== undefined;

/** Of the two rules: what went, would, and is younger. */
async function stepped(apply: boolean): Promise<number[][]> {
  for (;;) {
    const { retention: said, more } = await retention.step(apply);
    if (!more) return said.map(({ gone, due, waiting }) => [gone, due, waiting]);
  }
}

test('what has had no tag for as long as its rule says goes; what another rule, or none, is for stays', async () => {
  const all = ['team/app', 'team/keep', 'team/keep/more', 'other'];
  for (const repo of all) await put(repo, one);
  await put('team/app', two, { tags: ['v1'] });
  expect(await stepped(true)).toEqual([
    [0, 0, 2],
    [0, 0, 1],
  ]);
  nowMs += 7 * dayMs;
  expect(await stepped(false)).toEqual([
    [0, 0, 2],
    [0, 1, 0],
  ]);
  expect(await isThere('team/app', one)).toBe(true);
  expect(await stepped(true)).toEqual([
    [0, 0, 2],
    [1, 0, 0],
  ]);
  expect(await Promise.all(all.map((repo) => isThere(repo, one)))).toEqual([false, true, true, true]);
  expect(await isThere('team/app', two)).toBe(true);
  const said = await metrics.registry.metrics();
  expect(said).toContain('shoal_gc_retention_manifests_total{rule="team/**"} 1');
  expect(said).toContain('shoal_gc_retention_waiting{rule="team/keep"} 2');
});

test('only to count notes nothing', async () => {
  await put('team/app', one);
  await stepped(false);
  nowMs += 9 * dayMs;
  await stepped(true);
  expect(await isThere('team/app', one)).toBe(true);
});

test('an index goes with all that only it had, in one run, however many they are', async () => {
  const children = Array.from({ length: 450 }, (_, i) => digest(1_000 + i));
  for (const child of children) await put('team/app', child);
  // Looked at after its children, and before them.
  await put('team/app', digest(9_000), { manifests: children.slice(0, 300) });
  await put('team/app', one, { manifests: children.slice(200) });
  await put('team/app', two, { subject: one });
  await put('team/app', three, { manifests: children.slice(440), tags: ['stays'] });
  await stepped(true);
  nowMs += 7 * dayMs;
  expect((await stepped(false))[1]).toEqual([0, 2, 0]);
  expect((await stepped(true))[1]).toEqual([443, 0, 0]);
  expect((await store.used({ n: 9 })).repositories).toMatchObject([{ manifests: 11 }]);
});

test('nothing goes while collection is off, and what is due is told', async () => {
  await put('team/app', one);
  await stepped(true);
  nowMs += 7 * dayMs;
  off = 'the index is read only';
  expect((await stepped(true))[1]).toEqual([0, 1, 0]);
  expect(await isThere('team/app', one)).toBe(true);
});

test('who asks for it has it begin anew, before he is answered; many at once are one write', async () => {
  let writes = 0;
  const askedFor: RetiringTagStore['untagged']['askedFor'] = (...of) => {
    writes += 1;
    return store.untagged.askedFor(...of);
  };
  const reads = notingAsked(store, { untagged: { askedFor }, nowMs: () => nowMs, leastMs: 7 * dayMs, off: () => off });
  await put('team/app', one);
  await stepped(true);
  nowMs += 7 * dayMs;
  const records = await Promise.all(Array.from({ length: 50 }, () => reads.manifest('team/app', one)));
  expect(records.every((record) => record?.digest === one)).toBe(true);
  expect(writes).toBe(1);
  expect((await stepped(true))[1]).toEqual([0, 0, 1]);
  nowMs += 3_600_000;
  await reads.manifest('team/app', one);
  expect(writes).toBe(2);
  nowMs += 7 * dayMs - 1;
  expect((await stepped(true))[1]).toEqual([0, 0, 1]);
  nowMs += 1;
  expect((await stepped(true))[1]).toEqual([1, 0, 0]);
  expect(await reads.manifest('team/app', one)).toBeUndefined();
});

test('it goes, or somebody is told that it is there: never both', async () => {
  const reads = notingAsked(store, {
    untagged: store.untagged,
    nowMs: () => nowMs,
    leastMs: 7 * dayMs,
    off: () => off,
  });
  for (let turn = 0; turn < 20; turn++) {
    const of = digest(5_000 + turn);
    await put('team/app', of);
    await stepped(true);
    nowMs += 7 * dayMs;
    const [record] = await Promise.all([reads.manifest('team/app', of), stepped(true)]);
    expect(await isThere('team/app', of)).toBe(record !== undefined);
    // Pushed again it is told of at once, whatever was said just before.
    await put('team/app', of);
    expect((await reads.manifest('team/app', of))?.digest).toBe(of);
    await store.deleteManifest('team/app', of, nowMs);
  }
});

test('where it cannot be noted who asks, he is answered all the same, and it is tried again', async () => {
  let tries = 0;
  const askedFor = async (): Promise<never> => {
    tries += 1;
    throw new ApiError('UNAVAILABLE', 'no store');
  };
  const reads = notingAsked(store, { untagged: { askedFor }, nowMs: () => nowMs, leastMs: dayMs, off: () => off });
  await put('team/app', one);
  for (let turn = 0; turn < 2; turn++) expect((await reads.manifest('team/app', one))?.digest).toBe(one);
  expect(tries).toBe(2);
  off = 'the index is read only';
  await reads.manifest('team/app', one);
  expect(tries).toBe(2);
});

test('it goes by itself', async () => {
  await put('team/app', one);
  await stepped(true);
  nowMs += 7 * dayMs;
  retention.begin();
  await vi.waitFor(async () => expect(await isThere('team/app', one)).toBe(false), 20_000);
});
