/** What goes from backends, by the store in memory and a backend that fails as real ones do. */

import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ApiError } from '../../core/contracts/errors.ts';
import type { Digest } from '../../core/digest.ts';
import { backedBy } from '../../platform/backends/backends.ts';
import { FaultyBackend } from '../../platform/backends/faulty.fixtures.ts';
import { MemoryBackend } from '../../platform/backends/memory.ts';
import { linkProved } from '../../platform/clients/copies.ts';
import { type DoomingTagStore, lateMs } from '../../platform/tags/doomed.ts';
import { openMemoryTags } from '../../platform/tags/memory/memory.ts';
import { silentLog } from '../../platform/telemetry/log.ts';
import { Metrics } from '../../platform/telemetry/metrics.ts';
import { BackendDeletion } from './deletion.ts';
import { deletionMetrics } from './metrics.ts';

const graceMs = 3_600_000;
const digest = (no: number): Digest => `sha256:${no.toString(16).padStart(64, '0')}` as Digest;
const [one, two] = [digest(1), digest(2)] as const;
const never = new AbortController().signal;

let nowMs: number;
let off: string | undefined;
let store: DoomingTagStore;
let backend: FaultyBackend;
let mended: Digest[];
let held: boolean | ApiError;
let metrics: Metrics;
let deletion: BackendDeletion;

beforeEach(async () => {
  nowMs = 1_000_000_000;
  off = undefined;
  mended = [];
  held = true;
  metrics = new Metrics();
  store = openMemoryTags({ targetsOf: () => [], nowMs: () => nowMs });
  await store.doomed.deletesFrom(['main']);
  backend = new FaultyBackend(new MemoryBackend('main'));
  deletion = opened();
});
afterEach(async () => {
  backend.heal();
  await deletion[Symbol.asyncDispose]();
});

const backed = () => backedBy(backend, { durability: 'origins', required: false, deletes: true });

function opened(): BackendDeletion {
  return new BackendDeletion({
    ...{ doomed: store.doomed, backends: [backed()], nowMs: () => nowMs, graceMs, everyMs: 1_000, rate: 1_000 },
    off: () => off,
    mend: async (of) => {
      mended.push(of);
      if (held instanceof ApiError) throw held;
      return held;
    },
    metrics: deletionMetrics(metrics),
    log: silentLog(),
  });
}

const keyOf = (of: Digest): string => backed().blobKey(of, undefined);
const write = (of: Digest) => backend.put(keyOf(of), Buffer.from(of), never);
const there = async (of: Digest): Promise<boolean> => (await backend.stat(keyOf(of), never)) !== undefined;

async function lost(...digests: Digest[]): Promise<void> {
  for (const of of digests) {
    await write(of);
    await store.linkBlob('a', of, { size: 9 });
    await store.unlinkBlob('a', of, nowMs);
  }
}

test('what was lost goes once its grace is over, and once more a grace later; nothing else does', async () => {
  await lost(one);
  await write(two);
  expect(await deletion.step(true)).toMatchObject({ gone: 0, waiting: 1, due: 0 });
  nowMs += graceMs;
  expect(await deletion.step(false)).toMatchObject({ gone: 0, waiting: 0, due: 1 });
  expect(await there(one)).toBe(true);
  expect(await deletion.step(true)).toMatchObject({ gone: 1, failed: 0, due: 0, off: undefined });
  expect(await there(one)).toBe(false);
  // An origin had still owed it.
  await write(one);
  nowMs += graceMs;
  expect(await deletion.step(true)).toMatchObject({ gone: 1 });
  expect(await there(one)).toBe(false);
  nowMs += graceMs;
  expect(await deletion.step(true)).toMatchObject({ gone: 0, waiting: 0, due: 0 });
  expect(await there(two)).toBe(true);
  expect(await metrics.registry.metrics()).toContain('shoal_gc_backend_deleted_total{backend="main"} 2');
});

test('a backend that does not do it says why, keeps nobody from linking, and is asked again', async () => {
  await lost(one, two);
  nowMs += graceMs;
  backend.fail({ on: 'remove', what: 'denied', times: 8 });
  const step = await deletion.step(true);
  expect(step).toMatchObject({ gone: 0, failed: 2, due: 2, more: false, off: expect.stringContaining('main: ') });
  expect(await metrics.registry.metrics()).toMatch(
    /shoal_gc_backend_failures_total\{backend="main",cause="denied"\} [12]/,
  );
  let proof: number | undefined;
  for (let turn = 0; turn < 2; turn++) proof = await store.linkBlob('a', one, { size: 9, proof });
  expect(proof).toBeUndefined();
  backend.heal();
  expect(await deletion.step(true)).toMatchObject({ gone: 1, failed: 0, due: 0, off: undefined });
  expect([await there(one), await there(two)]).toEqual([true, false]);
});

test('whoever links it while it goes waits, and has it proved after that', async () => {
  await lost(one);
  nowMs += graceMs;
  backend.fail({ on: 'remove', what: 'hang' });
  const step = deletion.step(true);
  await vi.waitFor(() => expect(backend.calls).toContainEqual({ operation: 'remove', key: keyOf(one) }));
  let proofs = 0;
  const linked = linkProved(
    async (proof) => {
      const generation = await store.linkBlob('a', one, { size: 9, proof });
      if (generation !== undefined) throw new ApiError('BLOB_CONDEMNED', 'prove it', { generation });
    },
    // An origin writes it back as soon as it has proved it, unless it is there.
    async () => {
      proofs += 1;
      if (!(await there(one))) await write(one);
      return true;
    },
  );
  await vi.waitFor(() => expect(proofs).toBe(1));
  backend.heal();
  expect(await step).toMatchObject({ gone: 1 });
  expect(await linked).toBe(true);
  expect([proofs, await there(one)]).toEqual([2, true]);
  expect(mended).toEqual([]);
});

test('nothing goes while collection is off, nor from a backend that others filled', async () => {
  await lost(one);
  nowMs += graceMs;
  off = 'the index was restored';
  expect(await deletion.step(true)).toMatchObject({ gone: 0, due: 1, off, more: false });
  off = undefined;
  await store.doomed.broughtFrom('main');
  expect(await deletion.step(true)).toMatchObject({ gone: 0, off: expect.stringContaining('others filled each') });
  expect(await there(one)).toBe(true);
});

test('what was linked after somebody died who deleted it is looked for by origins, until nothing can come late', async () => {
  await lost(one);
  nowMs += graceMs;
  await store.doomed.claimDoomed({ nowMs, beforeMs: nowMs - graceMs, untilMs: nowMs + 1, n: 9 });
  nowMs += 1;
  let proof: number | undefined;
  for (let turn = 0; turn < 3; turn++) proof = await store.linkBlob('a', one, { size: 9, proof });
  expect(proof).toBeUndefined();
  held = new ApiError('UNAVAILABLE', 'no origin answers');
  await deletion.step(true);
  held = true;
  await deletion.step(true);
  nowMs += lateMs;
  await deletion.step(true);
  expect(mended).toEqual([one, one, one]);
  await deletion.step(true);
  expect([mended.length, await there(one)]).toEqual([3, true]);
});

test('what no origin holds any more is told of', async () => {
  await lost(one);
  nowMs += graceMs;
  const { claims } = await store.doomed.claimDoomed({ nowMs, beforeMs: nowMs - graceMs, untilMs: nowMs, n: 9 });
  let proof: number | undefined;
  for (let turn = 0; turn < 3; turn++) proof = await store.linkBlob('a', one, { size: 9, proof });
  held = false;
  await deletion.step(true);
  expect(await metrics.registry.metrics()).toContain('shoal_gc_backend_lost_total 1');
  expect(await store.doomed.settleDoomed(claims, true, nowMs)).toEqual([one]);
});

test('it goes by itself', async () => {
  await lost(one);
  nowMs += graceMs;
  deletion.begin();
  await vi.waitFor(async () => expect(await there(one)).toBe(false), 20_000);
});
