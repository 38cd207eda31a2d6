/** Blobs that an origin still receives: who takes them so hears how much is known, and more as it becomes so. */

import { afterEach, expect, test, vi } from 'vitest';
import type { AnnounceEntry } from '../core/contracts/tracker.ts';
import { testDigest, testGrowth, testMeta, testPeer } from '../core/handout/fixtures.ts';
import { FakeOrigin } from './testing/fake-origin.ts';
import { startTracker } from './testing/tracker.ts';

let stack = new AsyncDisposableStack();
afterEach(async () => {
  await stack.disposeAsync();
  stack = new AsyncDisposableStack();
});

const blob = testDigest(1);
const want = (known: number | undefined, seek = 8): AnnounceEntry => ({
  digest: blob,
  state: 'want',
  seek,
  repo: 'a/b',
  ...(known !== undefined && { known }),
});

/** `sharedMs`: how long an origin is waited for; long, since a busy machine takes longer than usual. */
async function scene({ sharedMs = 10_000 } = {}) {
  const origin = await new FakeOrigin(1).start(stack);
  const at = await startTracker(stack, [origin], { sharedMs });
  /** What a host hears that announces so. */
  const ask = async (entry: AnnounceEntry, no = 1) => (await at.announce(testPeer(no), [entry])).answers[0];
  /** What the origin says is heard a while after it was asked; no time passes meanwhile. */
  const heard = (hears: () => Promise<void>): Promise<void> => vi.waitFor(hears, { timeout: 10_000, interval: 5 });
  return { ...at, origin, ask, heard };
}

test('the first who asks hears of it in one round trip; more is told as soon as it is known, and at last all', async () => {
  const { origin, ask, pass } = await scene();
  origin.receive(blob, testGrowth(2));
  expect(await ask(want(0))).toEqual({ digest: blob, peers: [origin.peer], growth: testGrowth(2) });
  // Nothing new, and no time has passed: nobody is answered, and the origin is not asked.
  origin.receive(blob, testGrowth(5));
  expect(await ask(want(2, 0))).toBeUndefined();
  expect(origin.asked).toHaveLength(1);
  pass(51);
  expect(await ask(want(2, 0))).toEqual({ digest: blob, peers: [], growth: testGrowth(5) });
  expect(await ask(want(0), 2)).toMatchObject({ growth: { known: 5 }, peers: expect.arrayContaining([origin.peer]) });
  expect(origin.asked).toHaveLength(2);
  expect(new Set(origin.askedIn)).toEqual(new Set(['a/b']));
  origin.receive(blob, testGrowth(7));
  pass(51);
  // Along with neighbours that were asked for.
  expect(await ask(want(5, 8))).toMatchObject({ growth: { known: 7 }, peers: expect.arrayContaining([origin.peer]) });
  const { length } = testGrowth(5);
  origin.hold(blob, length);
  pass(51);
  const { growth, meta } = (await ask(want(7, 0))) ?? {};
  expect([growth, meta]).toEqual([undefined, testMeta(length)]);
});

test('an origin says that it has all of it: whoever asks next hears so, however fresh what was known is', async () => {
  const { origin, ask, announce, pass } = await scene();
  origin.receive(blob, testGrowth(5));
  await ask(want(0));
  pass(1_000);
  await ask(want(0, 0));
  const { length } = testGrowth(5);
  origin.hold(blob, length);
  pass(21);
  expect((await ask(want(5, 0)))?.meta).toBeUndefined();
  const { length: asked } = origin.asked;
  // Anybody can say so, with whatever metainfo: what is told is the origin's own word.
  await announce(testPeer(9, 'origin'), [{ digest: blob, state: 'have', meta: testMeta(length + 1), seek: 0 }]);
  expect((await ask(want(5, 0)))?.meta).toEqual(testMeta(length));
  expect(origin.asked).toHaveLength(asked + 1);
});

test('who says again and again that it has all of it does not have the origin asked more often than others do', async () => {
  const { origin, ask, announce, pass } = await scene();
  origin.receive(blob, testGrowth(5));
  await ask(want(0));
  pass(21);
  const { length: before } = origin.asked;
  for (let time = 0; time < 10; time++) {
    await announce(testPeer(9, 'origin'), [{ digest: blob, state: 'have', seek: 0 }]);
    await ask(want(5, 0));
    pass(1);
  }
  expect(origin.asked).toHaveLength(before + 1);
});

test('an origin that does not answer at once holds nobody up: what was known is told', async () => {
  const { origin, ask, heard, pass } = await scene({ sharedMs: 50 });
  origin.receive(blob, testGrowth(2));
  await ask(want(0));
  pass(51);
  origin.state = 'hangs';
  const begunMs = performance.now();
  expect(await ask(want(0))).toMatchObject({ growth: { known: 2 } });
  expect(performance.now() - begunMs).toBeLessThan(8_000);
  origin.receive(blob, testGrowth(3));
  origin.wake();
  await heard(async () => expect(await ask(want(2, 0))).toMatchObject({ growth: { known: 3 } }));
});

test('a herd of hosts that ask again and again costs the origin one question at a time', async () => {
  const { origin, ask, pass } = await scene();
  origin.receive(blob, testGrowth(1));
  await ask(want(0));
  for (let round = 0; round < 5; round++) {
    pass(250);
    await Promise.all(Array.from({ length: 40 }, (_, no) => ask(want(1, 0), no)));
  }
  expect(origin.asked.length).toBeLessThanOrEqual(6);
});

test('who does not take blobs that grow is told to come back, and not that it is unknown', async () => {
  const { origin, ask } = await scene();
  origin.receive(blob, testGrowth(2));
  expect(await ask(want(undefined))).toMatchObject({ error: 'unavailable' });
  await ask(want(0), 2);
  const answer = await ask(want(undefined));
  expect([answer?.growth, answer?.error]).toEqual([undefined, 'unavailable']);
});

test('an origin that has it no more: what was known of it is not told any longer', async () => {
  const { origin, ask, heard, pass } = await scene();
  origin.receive(blob, testGrowth(2));
  await ask(want(0));
  origin.blobs.clear();
  pass(300);
  await ask(want(2, 0));
  await heard(async () => expect(await ask(want(0), 2)).toMatchObject({ error: 'unknown' }));
  pass(1000);
  expect(await ask(want(0), 3)).toMatchObject({ error: 'unknown' });
});

test('why nothing comes is told along: to who seeks it, and to who has a part of it', async () => {
  const { origin, ask, pass } = await scene();
  origin.receive(blob, testGrowth(2));
  await ask(want(0));
  origin.state = 'fails';
  const told = { error: 'unavailable', why: expect.stringMatching(/answered 503: .{1,600}$/) };
  pass(51);
  expect(await ask(want(2, 0))).toMatchObject(told);
  // Beside neighbours, and what was known.
  expect(await ask(want(0))).toMatchObject({ growth: { known: 2 }, why: told.why, peers: [origin.peer] });
  pass(1_000);
  const other = testDigest(2);
  expect(await ask({ ...want(0), digest: other }, 2)).toMatchObject({
    digest: other,
    error: 'unavailable',
    why: 'unexpected: not here',
  });
});
