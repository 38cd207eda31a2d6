/** What is fetched again of what this origin lost: at whose word, in which order and how fast. In virtual time. */

import { expect, test } from 'vitest';
import { ApiError } from '../core/contracts/errors.ts';
import { type Digest, digestOf } from '../core/digest.ts';
import { testMeta } from '../core/handout/fixtures.ts';
import { VirtualClock } from '../platform/net/clock.fixtures.ts';
import type { PullFrom } from '../platform/peer/node.ts';
import { casesMax, Mending, type MendingOptions } from './mending.ts';
import { RepairPace } from './repair/pace.ts';

type Node = MendingOptions['node'];
type Store = MendingOptions['store'];
type Pulled = ReturnType<Node['pull']>;

const bytes = 1_000_000;
const bytesPerS = 10_000_000;
const digestNo = (no: number): Digest => digestOf('sha256', no.toString(16).padStart(64, '0'));
const meta = testMeta(bytes);

/** One origin that lost blobs; whoever has them gives a blob as soon as its bytes are paid for. */
class Scene {
  readonly clock = new VirtualClock();
  readonly pace = new RepairPace(bytesPerS, this.clock);
  readonly lost = new Set<Digest>();
  readonly here = new Set<Digest>();
  readonly begun: { digest: Digest; paced: boolean }[] = [];
  readonly asked: number[] = [];
  readonly told: object[] = [];
  unlinked = new Set<Digest>();
  /** Why pulls fail. */
  fails: ApiError | undefined;
  indexSays = true;
  readonly mending: Mending;
  watcher: Parameters<Store['watch']>[0] = {};

  constructor(missing: readonly Digest[]) {
    for (const digest of missing) this.lost.add(digest);
    this.mending = new Mending({
      store: {
        missing,
        blobs: () => [],
        get: (digest) => (this.here.has(digest) ? ({ complete: true } as ReturnType<Store['get']>) : undefined),
        watch: (watcher) => {
          this.watcher = watcher;
        },
        restore: async () => false,
        remove: async () => undefined,
      },
      node: {
        pull: (digest, from) => this.#pull(digest, from),
        mend: async () => undefined,
        arrived: none,
        drop: none,
      },
      linked: async (digests) => {
        this.asked.push(digests.length);
        if (!this.indexSays) throw new ApiError('UNAVAILABLE', 'no index answers');
        return new Set(digests.filter((digest) => !this.unlinked.has(digest)));
      },
      pace: this.pace,
      clock: this.clock,
      log: { debug: none, info: none, warn: none, error: (fields) => void this.told.push(fields) },
    });
  }

  /** Time passes, and what happens in it ends. */
  async pass(ms: number): Promise<void> {
    const steps = 200;
    for (let step = 0; step < steps; step++) {
      await settled();
      this.clock.until(this.clock.ms + ms / steps);
    }
    await settled();
  }

  #pull(digest: Digest, { pace }: PullFrom = {}): Pulled {
    const known = this.begun.find((one) => one.digest === digest);
    if (known === undefined) this.begun.push({ digest, paced: pace !== undefined });
    const { promise, resolve } = Promise.withResolvers<void>();
    const came = (): void => {
      this.here.add(digest);
      resolve();
    };
    if (this.fails !== undefined) return { complete: Promise.reject(this.fails), entry: undefined } as Pulled;
    if (pace === undefined) came();
    else pace.wait(bytes, came);
    return { complete: promise, entry: undefined } as Pulled;
  }
}

const none = (): void => undefined;
const settled = async (): Promise<void> => {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
};
const many = Array.from({ length: 200 }, (_, no) => digestNo(no));

test('what a lost disk held comes back at the rate of all repairs, and the index is asked of many at once', async () => {
  const scene = new Scene(many);
  scene.mending.begin();
  await scene.pass(10_000);
  // A burst is made up for, and the first one is not waited for.
  expect(scene.here.size).toBeGreaterThanOrEqual(98);
  expect(scene.here.size).toBeLessThanOrEqual(102);
  expect(scene.pace.progress.bytes).toBe(scene.here.size * bytes);
  expect(scene.begun.every(({ paced }) => paced)).toBe(true);
  await scene.pass(12_000);
  expect(scene.here.size).toBe(many.length);
  expect(scene.mending.waiting).toBe(0);
  expect(scene.asked.reduce((sum, one) => sum + one, 0)).toBe(many.length);
});

test('what nothing links to is not fetched, and is asked of twice, as a push may be about to link it', async () => {
  const scene = new Scene(many.slice(0, 4));
  scene.unlinked = new Set(many.slice(0, 2));
  scene.mending.begin();
  await scene.pass(1_000);
  expect([...scene.here]).toEqual(many.slice(2, 4));
  expect(scene.mending.waiting).toBe(2);
  scene.unlinked.delete(many[0] as Digest);
  await scene.pass(60_000);
  expect([...scene.here]).toEqual([...many.slice(2, 4), many[0]]);
  expect(scene.mending.waiting).toBe(0);
});

test('while the index says nothing, nothing is fetched; when it does, all is', async () => {
  const scene = new Scene(many.slice(0, 40));
  scene.indexSays = false;
  scene.mending.begin();
  await scene.pass(120_000);
  expect([scene.begun.length, scene.mending.waiting]).toEqual([0, 40]);
  scene.indexSays = true;
  await scene.pass(60_000);
  expect([scene.here.size, scene.mending.waiting]).toEqual([40, 0]);
});

test('what somebody waits for comes before the rest, and as fast as it can', async () => {
  const scene = new Scene(many);
  scene.mending.begin();
  const last = many.at(-1) as Digest;
  scene.mending.hurry(last);
  // One that is under way already.
  await scene.pass(50);
  const [first] = scene.begun.slice(-1);
  scene.mending.hurry(first?.digest as Digest);
  await scene.pass(1_000);
  expect(scene.here.has(first?.digest as Digest)).toBe(true);
  expect(scene.here.has(last)).toBe(true);
  expect(scene.begun.find(({ digest }) => digest === last)).toEqual({ digest: last, paced: false });
  expect(scene.here.size).toBeLessThan(20);
});

test('of more than it knows by name others are compared with', () => {
  const scene = new Scene([]);
  scene.mending.begin();
  let left = 0;
  scene.mending.left = () => left++;
  for (let no = 0; no < casesMax + 3; no++) scene.watcher.missing?.(digestNo(no), meta);
  expect([scene.mending.waiting, left]).toEqual([casesMax, 3]);
});

test('what could not be fetched is told once, with the reason, and is fetched as soon as it can be', async () => {
  const scene = new Scene([digestNo(1)]);
  scene.fails = new ApiError('STORAGE_FULL', 'no disk has room');
  scene.mending.begin();
  await scene.pass(60_000);
  expect(scene.told).toMatchObject([{ digest: digestNo(1), why: 'no disk has room' }]);
  scene.fails = undefined;
  await scene.pass(1_200_000);
  expect(scene.mending.waiting).toBe(0);
  expect(scene.told.length).toBe(1);
});
