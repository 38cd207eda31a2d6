/** What backends have and no origin: when it is looked for, what of it is fetched, how fast, and what a restart goes on with. In virtual time. */

import { expect, test } from 'vitest';
import { ApiError } from '../../core/contracts/errors.ts';
import { type BlobIn, type Digest, digestOf } from '../../core/digest.ts';
import { Backends, backedBy } from '../../platform/backends/backends.ts';
import { MemoryBackend } from '../../platform/backends/memory.ts';
import { sourceOf } from '../../platform/backends/objects.fixtures.ts';
import { VirtualClock } from '../../platform/net/clock.fixtures.ts';
import { silentLog } from '../../platform/telemetry/log.ts';
import { RepairPace } from '../repair/pace.ts';
import { overMs, Restoring } from './restoring.ts';
import { prefixesOf, storedBlobs } from './stored.ts';

const size = 100_000;
const bytesPerS = 1_000_000;
const digestNo = (no: number): Digest => digestOf('sha256', no.toString(16).padStart(64, '0'));
const numbered = (count: number): Digest[] => Array.from({ length: count }, (_, no) => digestNo(no));

/** An origin `a` of three, and a backend that lists `stored`; the last hex digit of a digest says who owns it. */
class Scene {
  readonly clock = new VirtualClock();
  readonly here = new Set<Digest>();
  readonly fetched: BlobIn[] = [];
  readonly unlinked = new Set<Digest>();
  /** Of the disk. */
  noted: number | undefined;
  silent = new Set<string>();
  compared = true;
  roomFor = Number.POSITIVE_INFINITY;
  fails = new Set<Digest>();
  listed = 0;
  wallMs = 1e12;

  restoring(stored: readonly Digest[]): Restoring {
    const { clock } = this;
    const pace = new RepairPace(bytesPerS, clock);
    return new Restoring({
      note: {
        read: async () => this.noted,
        write: async (sinceMs) => {
          this.noted = sinceMs;
        },
      },
      stored: async function* (this: Scene) {
        this.listed++;
        for (let at = 0; at < stored.length; at += 10)
          yield stored.slice(at, at + 10).map((digest) => ({ digest, size, backend: 'main' }));
      }.bind(this),
      ring: {
        self: 'a',
        owners: (digest) => ({ 0: ['a', 'b'], 1: ['b', 'a'], 2: ['b', 'c'] })[Number(digest.at(-1)) % 3] ?? [],
        others: () =>
          ['b', 'c'].map((place) => ({ place, url: place, live: !this.silent.has(place), client: undefined })),
      },
      here: (digest) => this.here.has(digest),
      linked: async (digests) => new Set(digests.filter((digest) => !this.unlinked.has(digest))),
      repoOf: async (_digest, backend) => (backend === 'main' || backend === undefined ? 'library/app' : undefined),
      bring: async (blob, slowly) => {
        for (let at = 0; at < 10; at++) await slowly(size / 10);
        if (this.fails.has(blob.digest)) throw new ApiError('UNAVAILABLE', 'the backend does not answer');
        this.here.add(blob.digest);
        this.fetched.push(blob);
        return true;
      },
      room: () => this.fetched.length < this.roomFor,
      compared: () => this.compared,
      leaving: () => false,
      ...{ pace, clock, wallMs: () => this.wallMs + clock.ms, log: silentLog() },
    });
  }

  async pass(ms: number, steps = 400): Promise<void> {
    for (let step = 0; step < steps; step++) {
      for (let turn = 0; turn < 60; turn++) await Promise.resolve();
      this.clock.until(this.clock.ms + ms / steps);
    }
    for (let turn = 0; turn < 60; turn++) await Promise.resolve();
  }
}

const firstOf = (digests: readonly Digest[]): Digest[] => digests.filter((digest) => Number(digest.at(-1)) % 3 === 0);
/** Digests whose last digit is a number. */
const decimal = numbered(160).filter((digest) => /[0-9]$/.test(digest));

test('an origin that begins with nothing gets what it is the first owner of, linked, at the rate; then it is over', async () => {
  const scene = new Scene();
  const mine = firstOf(decimal);
  scene.here.add(mine[0] as Digest);
  const restoring = scene.restoring(decimal);
  await restoring.resume(true);
  expect([restoring.active, scene.noted !== undefined]).toEqual([true, true]);
  await scene.pass(2_000 + 2_000);
  const after2s = scene.fetched.length;
  expect(after2s).toBeGreaterThan(14);
  expect(after2s).toBeLessThan(23);
  await scene.pass(20_000);
  expect(scene.fetched.map(({ digest }) => digest).toSorted()).toEqual(mine.slice(1).toSorted());
  expect(new Set(scene.fetched.map(({ repo }) => repo))).toEqual(new Set(['library/app']));
  expect([restoring.active, scene.noted, restoring.blobs]).toEqual([false, undefined, mine.length - 1]);
});

test('one that has lost nothing looks for nothing; one that was killed in the middle goes on', async () => {
  const scene = new Scene();
  const calm = scene.restoring(decimal);
  await calm.resume(false);
  await scene.pass(100_000);
  expect([scene.listed, scene.fetched.length]).toEqual([0, 0]);
  const first = scene.restoring(decimal);
  await first.resume(true);
  await scene.pass(3_000);
  first[Symbol.dispose]();
  await scene.pass(10_000);
  const half = scene.fetched.length;
  expect(half).toBeGreaterThan(0);
  expect(half).toBeLessThan(firstOf(decimal).length);
  const next = scene.restoring(decimal);
  await next.resume(false);
  await scene.pass(20_000);
  expect(scene.fetched.length).toBe(firstOf(decimal).length);
});

test('what nothing links to waits for a reconcile, and what failed for its backend, a day at most', async () => {
  const scene = new Scene();
  const mine = firstOf(decimal);
  for (const digest of decimal) scene.unlinked.add(digest);
  const restoring = scene.restoring(decimal);
  await restoring.resume(true);
  await scene.pass(200_000, 1_000);
  expect([scene.fetched.length, restoring.active]).toEqual([0, true]);
  scene.unlinked.clear();
  const [bad, strange] = mine as [Digest, Digest];
  scene.fails.add(bad);
  scene.unlinked.add(strange);
  await scene.pass(600_000, 4_000);
  expect([scene.fetched.length, restoring.active]).toEqual([mine.length - 2, true]);
  scene.fails.clear();
  await scene.pass(7_300_000, 4_000);
  expect([scene.fetched.length, restoring.active]).toEqual([mine.length - 1, true]);
  await scene.pass(overMs, 4_000);
  expect([restoring.active, scene.noted]).toEqual([false, undefined]);
  // Later and later.
  expect(scene.listed).toBeLessThan(50);
});

test('it waits until lists were compared, but not for ever; the next owner does it for one that is silent; nothing goes for it', async () => {
  const scene = new Scene();
  scene.compared = false;
  scene.silent.add('b');
  scene.roomFor = 5;
  const restoring = scene.restoring(decimal);
  await restoring.resume(true);
  await scene.pass(50_000);
  expect(scene.listed).toBe(0);
  await scene.pass(30_000);
  // What is under way when there is no more room comes.
  expect(scene.fetched.length).toBeGreaterThanOrEqual(5);
  expect(scene.fetched.length).toBeLessThan(5 + 4);
  expect(restoring.active).toBe(false);
  scene.roomFor = Number.POSITIVE_INFINITY;
  await restoring.begin();
  await scene.pass(100_000, 4_000);
  expect(scene.fetched.length).toBe(decimal.filter((digest) => Number(digest.at(-1)) % 3 < 2).length);
});

test('only blobs are listed of a backend, whatever else lies in it, all pages of them', async () => {
  const backend = new MemoryBackend('main');
  const backed = backedBy(backend, { durability: 'origins', required: false });
  const blobs = numbered(2_050).map((digest) => `sha256:${digest.slice(9)}00` as Digest);
  for (const digest of blobs) await backend.write(backed.blobKey(digest), sourceOf(new Uint8Array(3)), never);
  await backend.put('docker/registry/v2/repositories/a/_layers/x', new Uint8Array(3), never);
  expect(prefixesOf(backed)).toEqual(['docker/registry/v2/blobs/sha256/', 'docker/registry/v2/blobs/sha512/']);
  const found: Digest[] = [];
  for await (const page of storedBlobs(new Backends([{ patterns: ['**'], backed }]), never))
    found.push(...page.map(({ digest }) => digest));
  expect(found.toSorted()).toEqual(blobs.toSorted());
});

const never = new AbortController().signal;
