import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';

import { ApiError } from '../../core/contracts/errors.ts';
import type { AnnounceAnswer } from '../../core/contracts/tracker.ts';
import { type BlobIn, byDigest } from '../../core/digest.ts';
import { testDigest, testGrowth, testMeta, testPeer } from '../../core/handout/fixtures.ts';
import { hedgeMs } from '../members/members.ts';
import { CallContext } from './context.ts';
import { OriginFinder } from './finder.ts';

type Does = 'has' | 'inline' | 'grows' | 'further' | 'no' | 'refuses' | 'hangs' | 'unknown';

/** Origins by what they do, in the order of placement. */
function finderOf(...does: Does[]) {
  const asked: number[] = [];
  const found: string[] = [];
  let nowMs = 0;
  const clients = does.map((what, no) => {
    const info = async ({ digest }: BlobIn) => {
      asked.push(no);
      if (what === 'refuses') throw new ApiError('UNAVAILABLE', `origin ${no} is dead`);
      if (what === 'unknown') throw new ApiError('BLOB_UNKNOWN', 'no');
      if (what === 'hangs') await sleep(1_000_000, undefined, { ref: false });
      const peer = testPeer(no + 1, 'origin');
      if (what === 'grows') return { digest, growth: testGrowth(2), peer };
      if (what === 'further') return { digest, growth: testGrowth(4), peer };
      const info = { digest, meta: testMeta(5), peer };
      if (what === 'inline') return { ...info, inline: 'aGVsbG8=' };
      return what === 'has' ? info : undefined;
    };
    return { info, located: info };
  });
  const finder = new OriginFinder({
    clock: { nowMs: () => nowMs },
    onFound: (result) => found.push(result),
    origins: { urls: does.map((_, no) => `http://o${no}`), order: () => clients },
  });
  const answers: AnnounceAnswer[] = [];
  const pass = (ms: number): void => {
    nowMs += ms;
  };
  return { finder, asked, found, answers, tell: (answer: AnnounceAnswer) => void answers.push(answer), pass };
}

const digest = testDigest(1);
const ports = ({ peers }: AnnounceAnswer): number[] => peers.map((peer) => Number(peer.host.split('.').at(-1)));

test.each<[Does[], number[], string]>([
  [['has', 'has', 'has'], [0, 1], 'known'],
  [['no', 'has', 'has'], [0, 1], 'known'],
  [['no', 'unknown', 'no', 'has'], [0, 1, 2, 3], 'known'],
  [['refuses', 'refuses', 'has'], [0, 1, 2], 'known'],
  [['no', 'no', 'no'], [0, 1, 2], 'unknown'],
  [['no', 'refuses', 'no'], [0, 1, 2], 'unavailable'],
  [['no', 'no', 'refuses'], [0, 1, 2], 'unavailable'],
])('owners first, then all: %j', async (does, asked, result) => {
  const o = finderOf(...does);
  await o.finder.find(byDigest(digest), o.tell);
  expect([o.asked, o.found]).toEqual([asked, [result]]);
  const last = o.answers.at(-1);
  if (result !== 'known') expect(last).toEqual({ digest, peers: [], error: result });
  else {
    const holders = asked.filter((no) => does[no] === 'has');
    expect(last).toMatchObject({ digest, meta: testMeta(5) });
    expect(ports(last as AnnounceAnswer)).toEqual(holders.map((no) => no + 1));
  }
  const ctx = CallContext.begin({ requestId: 'r' });
  const located = o.finder.locate(byDigest(digest), ctx);
  if (result === 'known') expect(await located).toMatchObject({ digest, meta: testMeta(5) });
  else if (result === 'unknown') expect(await located).toBeUndefined();
  else await expect(located).rejects.toMatchObject({ code: 'UNAVAILABLE' });
});

test('an owner that hangs keeps neither the other owner nor the other origins from being heard', async () => {
  for (const does of [
    ['hangs', 'has'],
    ['hangs', 'no', 'has'],
    ['hangs', 'hangs', 'has'],
  ] satisfies Does[][]) {
    const o = finderOf(...does);
    void o.finder.find(byDigest(digest), o.tell);
    await sleep(hedgeMs + 100);
    expect(o.answers.map(ports)).toEqual([[does.indexOf('has') + 1]]);
    expect(
      await finderOf(...does).finder.locate(byDigest(digest), CallContext.begin({ requestId: 'r' })),
    ).toMatchObject({
      digest,
    });
  }
});

test('what was found is not asked again for a while; what nobody has is', async () => {
  const o = finderOf('has', 'no', 'no');
  for (let times = 0; times < 5; times++) await o.finder.find(byDigest(digest), o.tell);
  expect([o.asked, o.answers.length]).toEqual([[0, 1], 5]);
  o.pass(60_000);
  await o.finder.find(byDigest(digest), o.tell);
  expect(o.asked).toEqual([0, 1, 0, 1]);
  const none = finderOf('no');
  for (let times = 0; times < 2; times++) await none.finder.find(byDigest(digest), none.tell);
  expect(none.asked).toEqual([0, 0]);
  const small = finderOf('inline');
  await small.finder.find(byDigest(digest), small.tell);
  expect(small.answers).toMatchObject([{ inline: 'aGVsbG8=' }]);
});

test('a blob is asked of once at a time, and only so many are', async () => {
  const o = finderOf('hangs');
  for (let times = 0; times < 3; times++) void o.finder.find(byDigest(digest), o.tell);
  for (let no = 2; no < 2_000; no++) void o.finder.find(byDigest(testDigest(no)), o.tell);
  expect(o.asked.length).toBe(256);
});

test('without origins nothing is found, and that is no no', async () => {
  const finder = new OriginFinder({ clock: { nowMs: () => 0 }, origins: { urls: [], order: () => [] } });
  const answers: AnnounceAnswer[] = [];
  await finder.find(byDigest(digest), (answer) => answers.push(answer));
  expect(answers).toEqual([{ digest, peers: [], error: 'unavailable' }]);
  await expect(finder.locate(byDigest(digest), CallContext.begin({ requestId: 'r' }))).rejects.toMatchObject({
    code: 'UNAVAILABLE',
  });
});

test('of one that grows it is told how far it is, to who takes it so; whoever has it whole knows best', async () => {
  const o = finderOf('grows', 'further');
  await o.finder.find(byDigest(digest), o.tell);
  expect(o.answers).toEqual([{ digest, peers: [], error: 'unavailable' }]);
  await o.finder.find(byDigest(digest), o.tell, true);
  const last = o.answers.at(-1) as AnnounceAnswer;
  expect([last.growth, last.meta, last.error, ports(last)]).toEqual([testGrowth(4), undefined, undefined, [1, 2]]);
  // Those who ask again at once cost nothing; in a while it is further.
  const asked = o.asked.length;
  await o.finder.find(byDigest(digest), o.tell, true);
  expect([o.asked.length, o.answers.at(-1)]).toEqual([asked, last]);
  // Who does not take it so is not told by what is remembered.
  await o.finder.find(byDigest(digest), o.tell);
  expect(o.answers.at(-1)).toEqual({ digest, peers: [], error: 'unavailable' });
  o.pass(501);
  const before = o.asked.length;
  await o.finder.find(byDigest(digest), o.tell, true);
  expect(o.asked.length).toBe(before + 2);
  for (const does of [
    ['grows', 'has'],
    ['has', 'grows'],
  ] satisfies Does[][]) {
    const whole = finderOf(...does);
    await whole.finder.find(byDigest(digest), whole.tell, true);
    expect(whole.answers.at(-1)).toMatchObject({ meta: testMeta(5) });
    expect(whole.answers.at(-1)?.growth).toBeUndefined();
  }
});
