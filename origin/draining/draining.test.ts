/** When an origin says that it may be switched off: of what is on no other disk, only once a backend says that it has it. In virtual time. */

import { expect, test } from 'vitest';
import { ApiError } from '../../core/contracts/errors.ts';
import { type Digest, digestOf } from '../../core/digest.ts';
import { testMeta } from '../../core/handout/fixtures.ts';
import { VirtualClock } from '../../platform/net/clock.fixtures.ts';
import { silentLog } from '../../platform/telemetry/log.ts';
import type { HeldHere } from '../repair/listing.ts';
import { Draining, settleMs } from './draining.ts';

const size = 100;
const blobNo = (no: number): HeldHere => ({
  digest: digestOf('sha256', no.toString(16).padStart(64, '0')),
  meta: testMeta(size),
});
const many = (count: number): HeldHere[] => Array.from({ length: count }, (_, no) => blobNo(no));

class Scene {
  readonly clock = new VirtualClock();
  /** What some owner lacks; what nothing links to; what the backend has. */
  unsafe: HeldHere[] = [];
  readonly unlinked = new Set<Digest>();
  readonly backed = new Set<Digest>();
  owed = 0;
  confirms = 0;
  indexSays = true;
  noted = false;
  readonly draining: Draining;

  constructor() {
    this.draining = new Draining({
      file: {
        read: async () => this.noted,
        write: async (on) => {
          this.noted = on;
        },
      },
      ring: {
        self: 'a',
        owners: () => ['b'],
        count: () => 1,
        others: () => [{ place: 'b', url: 'b', live: true, client: undefined }],
      },
      tell: () => undefined,
      spares: async (each) => {
        for (let at = 0; at < this.unsafe.length; at += 250) await each(this.unsafe.slice(at, at + 250));
        return 50_000;
      },
      linked: async (digests) => {
        if (!this.indexSays) throw new ApiError('UNAVAILABLE', 'no index answers');
        return new Set(digests.filter((digest) => !this.unlinked.has(digest)));
      },
      confirmed: async (digests) => {
        this.confirms += digests.length;
        expect(digests.length).toBeLessThanOrEqual(64);
        return digests.filter((digest) => this.backed.has(digest));
      },
      uploads: () => 0,
      came: () => 0,
      handing: () => 0,
      owed: async () => this.owed,
      clock: this.clock,
      log: silentLog(),
    });
  }

  async pass(ms: number): Promise<void> {
    for (let step = 0; step < 100; step++) {
      await turns();
      this.clock.until(this.clock.ms + ms / 100);
    }
    await turns();
  }
}

async function turns(): Promise<void> {
  for (let turn = 0; turn < 2_000; turn++) await Promise.resolve();
}

test('what its owners have no room for may stay in the backend alone: however many there are, each is confirmed', async () => {
  const scene = new Scene();
  scene.unsafe = many(1_000);
  for (const { digest } of scene.unsafe.slice(0, 999)) scene.backed.add(digest);
  await scene.draining.begin();
  await scene.pass(3_000);
  expect(scene.draining.state()).toMatchObject({ mayStop: false, left: 1, leftBytes: size });
  scene.backed.add((scene.unsafe[999] as HeldHere).digest);
  await scene.pass(30_000);
  expect(scene.draining.state()).toMatchObject({ mayStop: true, left: 0, why: [] });
  // And not all of them again at once, as each is a request.
  const { confirms } = scene;
  await scene.pass(5_000);
  expect(scene.confirms).toBe(confirms);
  // The backend has lost one since.
  scene.backed.delete((scene.unsafe[7] as HeldHere).digest);
  await scene.pass(30_000);
  expect(scene.draining.state().mayStop).toBe(false);
  scene.draining[Symbol.dispose]();
});

test('the one that is needed is found behind any number of those that nothing links to', async () => {
  const scene = new Scene();
  scene.unsafe = many(12_001);
  for (const { digest } of scene.unsafe.slice(0, 12_000)) scene.unlinked.add(digest);
  await scene.draining.begin();
  await scene.pass(settleMs + 60_000);
  expect(scene.draining.state()).toMatchObject({ mayStop: false, left: 1, unlinked: 12_000 });
  scene.unsafe.pop();
  await scene.pass(60_000);
  expect(scene.draining.state()).toMatchObject({ mayStop: true, unlinked: 12_000 });
  scene.draining[Symbol.dispose]();
});

test('it may not go while a backend is owed anything, or the index does not say what is needed; a restart goes on', async () => {
  const scene = new Scene();
  scene.owed = 3;
  await scene.draining.begin();
  await scene.pass(10_000);
  expect(scene.draining.state()).toMatchObject({
    mayStop: false,
    owed: 3,
    why: [expect.stringContaining('3 blobs are owed')],
  });
  scene.owed = 0;
  scene.unsafe = many(1);
  scene.indexSays = false;
  await scene.pass(20_000);
  expect(scene.draining.state()).toMatchObject({ mayStop: false, why: ['no index answers'] });
  scene.indexSays = true;
  scene.backed.add(blobNo(0).digest);
  await scene.pass(20_000);
  expect(scene.draining.state().mayStop).toBe(true);
  scene.draining[Symbol.dispose]();
  const next = new Scene();
  next.noted = scene.noted;
  await next.draining.resume();
  expect(next.draining.state()).toMatchObject({ draining: true, mayStop: false });
  next.draining[Symbol.dispose]();
});
