/** What the tracker's state says of a blob that an origin still receives. */

import { expect, test } from 'vitest';
import type { AnnounceEntry } from '../contracts/tracker.ts';
import { prng } from '../prng.ts';
import { testDigest, testGrowth, testMeta, testPeer } from './fixtures.ts';
import { Handout } from './handout.ts';
import { handoutLimits } from './limits.ts';

const digest = testDigest(1);
const origin = testPeer(1, 'origin');
const agent = testPeer(2);

function make(): Handout {
  return new Handout({ prng: prng(1), leaseMs: 30_000, intervalMs: 10_000, limits: handoutLimits });
}

function want(handout: Handout, entry: Partial<AnnounceEntry>, self = agent) {
  const entries: AnnounceEntry[] = [{ digest, state: 'want', seek: 0, ...entry }];
  handout.handle({ kind: 'announce', request: { self, entries } }, 0);
  const [out] = handout.drain();
  if (out?.kind !== 'reply') throw new Error('no reply');
  const { reply, cold, growing } = out;
  return { answers: reply.answers, cold, growing };
}

const grows = (handout: Handout, known: number | undefined): void =>
  handout.handle(
    { kind: 'grows', digest, growth: known === undefined ? undefined : testGrowth(known), origins: [origin] },
    0,
  );

test('one of which nothing is known is looked for, also by who seeks no neighbours; others wait for their seek', () => {
  const handout = make();
  expect(want(handout, { known: 0 })).toEqual({ answers: [], cold: [{ digest, seek: 0, known: 0 }], growing: [] });
  expect(want(handout, {}).cold).toEqual([]);
  grows(handout, 3);
  handout.handle({ kind: 'ask', digest, node: agent.node, seek: 8, known: 0 }, 0);
  expect(handout.drain()).toEqual([{ kind: 'answer', answer: { digest, peers: [origin], growth: testGrowth(3) } }]);
});

test('who takes it as it grows is told whenever more is known; who does not finds it cold', () => {
  const handout = make();
  want(handout, { known: 0 });
  grows(handout, 3);
  expect(want(handout, { known: 0 })).toEqual({
    answers: [{ digest, peers: [], growth: testGrowth(3) }],
    cold: [],
    growing: [digest],
  });
  expect(want(handout, { known: 3 })).toEqual({ answers: [], cold: [], growing: [digest] });
  expect(want(handout, { known: 3, seek: 8 }).answers).toEqual([{ digest, peers: [origin], growth: testGrowth(3) }]);
  expect(want(handout, { seek: 8 }, testPeer(3))).toEqual({ answers: [], cold: [{ digest, seek: 8 }], growing: [] });
  handout.handle({ kind: 'ask', digest, node: testPeer(3).node, seek: 8 }, 0);
  expect(handout.drain()).toEqual([{ kind: 'answer', answer: { digest, peers: expect.any(Array), meta: undefined } }]);
});

test('the newest word holds; less, as from an origin that goes on, does not; that it ended does', () => {
  const handout = make();
  want(handout, { known: 0 });
  grows(handout, 5);
  grows(handout, 4);
  expect(handout.growthOf(digest)).toEqual(testGrowth(5));
  grows(handout, 6);
  expect(handout.growthOf(digest)).toEqual(testGrowth(6));
  grows(handout, undefined);
  expect(handout.growthOf(digest)).toBeUndefined();
  expect(want(handout, { known: 6 }).cold).toEqual([{ digest, seek: 0, known: 6 }]);
});

test.each(['located', 'announced'])('its metainfo ends it: %s', (how) => {
  const handout = make();
  want(handout, { known: 0 });
  grows(handout, 5);
  const meta = testMeta(5);
  if (how === 'located') handout.handle({ kind: 'located', digest, meta, origins: [origin] }, 0);
  else {
    const entries: AnnounceEntry[] = [{ digest, state: 'have', seek: 0, meta }];
    handout.handle({ kind: 'announce', request: { self: origin, entries } }, 0);
    handout.drain();
  }
  expect(handout.growthOf(digest)).toBeUndefined();
  expect(want(handout, { known: 5 })).toEqual({ answers: [{ digest, peers: [], meta }], cold: [], growing: [] });
  grows(handout, 9);
  expect(handout.growthOf(digest)).toBeUndefined();
});

test('it is forgotten with the last who takes part', () => {
  const handout = make();
  want(handout, { known: 0 });
  grows(handout, 5);
  want(handout, { state: 'gone' });
  grows(handout, 6);
  expect(want(handout, { known: 0 }).cold).toHaveLength(1);
});
