import { expect, test } from 'vitest';
import type { AnnounceEntry } from '../../core/contracts/tracker.ts';
import { testDigest, testPeer } from '../../core/handout/fixtures.ts';
import { Pending } from './pending.ts';

const entry = (no: number, state: AnnounceEntry['state']): AnnounceEntry => ({
  digest: testDigest(no),
  state,
  seek: 0,
});
const heard = (no: number, entries: readonly AnnounceEntry[], more: { held?: number; reset?: boolean } = {}) => ({
  ...{ self: testPeer(no), client: 'c', held: 1, reset: false, agreed: true, entries },
  ...more,
});

test('what is newer takes the place of what it changes, node by node; a reset, of all', () => {
  const pending = new Pending();
  pending.add(heard(1, [entry(1, 'want'), entry(2, 'want')], { held: 2 }));
  pending.add(heard(2, [entry(1, 'have')]));
  pending.add(heard(1, [entry(1, 'have')], { held: 5 }));
  pending.add(heard(3, [entry(1, 'have')]));
  pending.add(heard(3, [entry(7, 'have')], { reset: true }));
  pending.add(heard(3, [entry(8, 'have')]));
  const { news, left } = pending.take();
  expect(news.map(({ self, held, reset, entries }) => [self.node, held, reset, entries.length])).toEqual([
    [testPeer(1).node, 5, false, 2],
    [testPeer(2).node, 1, false, 1],
    [testPeer(3).node, 1, true, 2],
  ]);
  expect(news[0]?.entries).toEqual([entry(1, 'have'), entry(2, 'want')]);
  expect(left).toEqual([]);
  expect(pending.empty).toBe(true);
});

test('who leaves has nothing to tell any more, and who is back has not left', () => {
  const pending = new Pending();
  pending.add(heard(1, [entry(1, 'want')]));
  pending.leave(testPeer(1).node);
  pending.leave(testPeer(2).node);
  pending.add(heard(2, [entry(1, 'want')]));
  const { news, left } = pending.take();
  expect(news.map(({ self }) => self)).toEqual([testPeer(2)]);
  expect(left).toEqual([testPeer(1).node]);
});

test('batches are bounded, and so is what waits: beyond it all is dropped', () => {
  const pending = new Pending();
  const many = Array.from({ length: 3_000 }, (_, no) => entry(no, 'have'));
  for (let no = 0; no < 5; no++) pending.add(heard(no, many));
  expect(pending.take().news).toHaveLength(1);
  for (let no = 10; no < 57; no++) pending.add(heard(no, many));
  expect(pending.empty).toBe(true);
  pending.add(heard(1, many));
  expect(pending.take().news).toHaveLength(1);
});
