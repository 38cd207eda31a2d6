/** A blob without room for all of it: what is fetched, what is given up, and what neighbours hear of both. */

import { describe, expect, test } from 'vitest';
import { FEATURES } from '../../wire/frames.ts';
import type { Open } from '../../wire/messages.ts';
import { misfitsMax } from '../limits.ts';
import { type TestBlob, testBlob } from '../testing/cluster.ts';
import { address, Solo } from '../testing/solo.ts';

type Setup = { solo: Solo; blob: TestBlob; links: number[] };
type Answer = { kind: string; piece?: number; reason?: string; count: number };

let grantNo = 0;

/** Pulls 12 pieces from seeders that hold `haves`, with `first` in scope. */
function puller(
  first: readonly number[],
  haves: (readonly number[] | 'all')[] = ['all'],
  neighboursPerBlobMax = 16,
): Setup {
  const solo = new Solo({ policy: { neighboursPerBlobMax } });
  const blob = testBlob(0, 12);
  solo.pull(
    blob,
    haves.map((_, i) => address(i + 1, 'origin')),
  );
  const links = haves.map((have, i) => {
    const link = solo.answer(address(i + 1, 'origin'));
    solo.opened(link, blob, have);
    return link;
  });
  solo.input({ kind: 'scope', blob: 0, add: first, drop: [] });
  return { solo, blob, links };
}

function grant(solo: Solo, link: number, piece = -1): Answer {
  grantNo += 1;
  for (const o of solo.say(link, { kind: 'grant', grant: grantNo, swarm: 0, piece }))
    if (o.kind === 'send' && (o.message.kind === 'request' || o.message.kind === 'pass')) return o.message;
  throw new Error('a grant was not answered at once');
}

function deliver(solo: Solo, link: number, piece: number): void {
  solo.input({ kind: 'arrived', link, swarm: 0, piece, slot: piece });
  solo.input({ kind: 'verified', blob: 0, piece, link, verdict: 'held' });
}

const rescope = (solo: Solo, add: readonly number[], drop: readonly number[] = []) =>
  solo.input({ kind: 'scope', blob: 0, add, drop });

describe('a puller', () => {
  test('takes what is in scope and nothing else, and says how much that is', () => {
    const { solo, links } = puller([3, 7]);
    const taken = [grant(solo, links[0]!), grant(solo, links[0]!)];
    expect(taken.map(({ piece }) => piece).sort()).toEqual([3, 7]);
    expect(taken[1]!.count).toBe(0);
    expect(grant(solo, links[0]!)).toMatchObject({ kind: 'pass', reason: 'nothing', count: 0 });
    rescope(solo, [8]);
    expect(solo.sent(links[0]!, 'wants')?.swarms).toEqual([{ swarm: 0, count: 1 }]);
    expect(grant(solo, links[0]!).piece).toBe(8);
  });

  test('fetches all that is lacking once there is no scope any more, and is complete', () => {
    const { solo, links } = puller([3]);
    grant(solo, links[0]!);
    deliver(solo, links[0]!, 3);
    solo.input({ kind: 'scope', blob: 0, add: [5], drop: [], ends: true });
    const rest = new Set<number>();
    for (let n = 0; n < 10; n++) {
      const piece = grant(solo, links[0]!).piece as number;
      rest.add(piece);
      deliver(solo, links[0]!, piece);
    }
    const last = grant(solo, links[0]!).piece as number;
    expect([...rest, last].toSorted((a, b) => a - b)).toEqual([0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11]);
    solo.input({ kind: 'arrived', link: links[0]!, swarm: 0, piece: last, slot: last });
    const said = solo.input({ kind: 'verified', blob: 0, piece: last, link: links[0]!, verdict: 'held' });
    expect(said.map(({ kind }) => kind)).toContain('complete');
  });

  test('fetches again what it gave up and takes into scope once more', () => {
    const { solo, links } = puller([0]);
    grant(solo, links[0]!);
    deliver(solo, links[0]!, 0);
    expect(solo.swarm.stats(0)?.held).toBe(1);
    rescope(solo, [1], [0]);
    expect(solo.swarm.stats(0)?.held).toBe(0);
    rescope(solo, [0]);
    expect([grant(solo, links[0]!), grant(solo, links[0]!)].map(({ piece }) => piece).sort()).toEqual([0, 1]);
  });

  test('fetches what neighbours wish for and is in scope, whatever else they wish for that is not', () => {
    const { solo, blob, links } = puller([3, 4, 5, 6, 7, 8, 9, 10, 11]);
    const sink = solo.accept(address(20), FEATURES.wishes);
    solo.say(sink, { kind: 'open', swarm: 0, digest: blob.digest, token: 0, empty: false, needHashes: false });
    const wishes = [0, 1, 2, 10, 5].map((piece) => ({ piece, hops: 1 }));
    solo.say(sink, { kind: 'wishes', swarm: 0, wishes });
    expect([grant(solo, links[0]!).piece, grant(solo, links[0]!).piece]).toEqual([10, 5]);
  });

  test('calls off what is on its way and no longer in scope, and may ask for it again', () => {
    const { solo, links } = puller([0], ['all', 'all']);
    expect(grant(solo, links[0]!).piece).toBe(0);
    rescope(solo, [], [0]);
    expect(solo.sent(links[0]!, 'cancel')).toMatchObject({ piece: 0 });
    rescope(solo, [0]);
    expect(grant(solo, links[0]!)).toMatchObject({ kind: 'pass', reason: 'nothing' });
    expect(grant(solo, links[1]!).piece).toBe(0);
    solo.input({ kind: 'arrived', link: links[0]!, swarm: 0, piece: 0, slot: 7 });
    expect(solo.out.at(-1)).not.toMatchObject({ kind: 'verify' });
    deliver(solo, links[1]!, 0);
    expect([solo.swarm.stats(0)?.held, solo.faultOf(links[0]!)]).toEqual([1, undefined]);
  });

  test('does not ask again for what there was no room for, nor rests for it', () => {
    const { solo, links } = puller([0, 1]);
    const piece = grant(solo, links[0]!).piece!;
    solo.input({ kind: 'arrived', link: links[0]!, swarm: 0, piece, slot: piece });
    rescope(solo, [], [piece]);
    solo.input({ kind: 'verified', blob: 0, piece, link: links[0]!, verdict: 'unwanted' });
    expect(grant(solo, links[0]!).piece).toBe(1 - piece);
    expect(grant(solo, links[0]!)).toMatchObject({ kind: 'pass', reason: 'nothing', count: 0 });
  });

  test('asks once for what was on its way before anything was in scope', () => {
    const solo = new Solo();
    solo.pull(testBlob(0, 12), [address(1, 'origin')]);
    const link = solo.answer(address(1, 'origin'));
    solo.opened(link, testBlob(0, 12), 'all');
    expect([grant(solo, link, 3).piece, grant(solo, link, 4).piece]).toEqual([3, 4]);
    rescope(solo, []);
    rescope(solo, [3]);
    expect(grant(solo, link)).toMatchObject({ kind: 'pass', reason: 'nothing', count: 0 });
    deliver(solo, link, 3);
    expect(solo.swarm.stats(0)?.held).toBe(1);
  });

  test('waits for the verifier where it takes into scope again what that has', () => {
    const { solo, links } = puller([0]);
    grant(solo, links[0]!);
    solo.input({ kind: 'arrived', link: links[0]!, swarm: 0, piece: 0, slot: 0 });
    rescope(solo, [], [0]);
    rescope(solo, [0]);
    expect(grant(solo, links[0]!)).toMatchObject({ kind: 'pass', reason: 'nothing', count: 0 });
    solo.input({ kind: 'verified', blob: 0, piece: 0, link: links[0]!, verdict: 'unwanted' });
    expect(grant(solo, links[0]!).piece).toBe(0);
  });

  test('asks others for a piece that its feeder has given up', () => {
    const { solo, links } = puller([5], [[5], [5]]);
    expect(grant(solo, links[0]!).piece).toBe(5);
    solo.say(links[0]!, { kind: 'missing', grant: grantNo, swarm: 0, piece: 5 });
    expect(solo.faultOf(links[0]!)).toBeUndefined();
    expect(grant(solo, links[0]!)).toMatchObject({ kind: 'pass', reason: 'nothing', count: 0 });
    expect(grant(solo, links[1]!).piece).toBe(5);
  });

  test('is not whole when it holds every piece for a moment', () => {
    const { solo, links } = puller(Array.from({ length: 12 }, (_, i) => i));
    for (let i = 0; i < 12; i += 1) deliver(solo, links[0]!, grant(solo, links[0]!).piece!);
    expect(solo.swarm.stats(0)?.held).toBe(12);
    expect(solo.out.some(({ kind }) => kind === 'complete')).toBe(false);
  });

  test('does not starve while nothing is in scope', () => {
    const { solo, links } = puller([], ['all', 'all'], 2);
    solo.input({ kind: 'candidates', blob: 0, peers: [address(40, 'origin')], meta: undefined });
    for (let i = 0; i < 30; i += 1) {
      solo.pass(500);
      for (const link of links) solo.say(link, { kind: 'haves', swarm: 0, pieces: [], all: false });
    }
    expect(solo.out.filter((o) => o.kind === 'dial' && o.peer.node === address(40).node)).toEqual([]);
  });

  test('does not say of what is not in scope that somebody has it', () => {
    const { solo, links } = puller([4, 5, 6]);
    grant(solo, links[0]!, 4);
    expect(solo.allSent(links[0]!, 'elsewhere')).toEqual([]);
    grant(solo, links[0]!, 5);
    expect([...solo.sent(links[0]!, 'elsewhere')!.pieces]).toEqual([4]);
  });

  test('passes a named piece that is not in scope as not taken, but not for ever', () => {
    const { solo, links } = puller([9]);
    for (let i = 0; i < misfitsMax; i += 1)
      expect(grant(solo, links[0]!, 0)).toMatchObject({ kind: 'pass', reason: 'nothing', count: 1 });
    expect(grant(solo, links[0]!, 0)).toMatchObject({ kind: 'pass', reason: 'held' });
    expect(grant(solo, links[0]!, 9)).toMatchObject({ kind: 'request', piece: 9 });
  });
});

test('a puller that hears of pieces that are gone asks others for them, and is not misled about others', () => {
  const { solo, links } = puller([1, 2, 5], [[1, 2, 5], [5]]);
  solo.say(links[0]!, { kind: 'gone', swarm: 0, pieces: [1, 5, 9] });
  expect(grant(solo, links[0]!).piece).toBe(2);
  expect(grant(solo, links[0]!)).toMatchObject({ kind: 'pass', reason: 'nothing', count: 0 });
  expect(grant(solo, links[1]!).piece).toBe(5);
  solo.say(links[0]!, { kind: 'haves', swarm: 0, pieces: [1], all: false });
  expect(grant(solo, links[0]!).piece).toBe(1);
  solo.say(links[0]!, { kind: 'gone', swarm: 0, pieces: [12] });
  expect(solo.faultOf(links[0]!)).toBe('gone of a piece beyond the blob');
});

describe('a feeder', () => {
  const inbound = { inPieces: 0, inBytes: 0 };

  test('lets a puller choose that wants others than are named, at once', () => {
    const solo = new Solo({ role: 'origin', policy: { uplinkCapPiecesMin: 1, uplinkTarget: 0.1 } });
    const blob = testBlob(0, 400);
    solo.seed(blob);
    const link = solo.accept(address(1));
    solo.say(link, { kind: 'open', swarm: 0, digest: blob.digest, token: 0, empty: false, needHashes: false });
    solo.say(link, { kind: 'wants', swarms: [{ swarm: 0, count: 1 }], ...inbound });
    const first = solo.sent(link, 'grant')!;
    expect(first.piece).toBeGreaterThanOrEqual(0);
    solo.say(link, { kind: 'pass', grant: first.grant, swarm: 0, reason: 'nothing', count: 1, ...inbound });
    const second = solo.sent(link, 'grant')!;
    expect([second.grant, second.piece]).toEqual([first.grant + 1, -1]);
    // What it passed is named to the next one.
    const other = solo.accept(address(2));
    solo.say(link, {
      kind: 'request',
      grant: second.grant,
      swarm: 0,
      piece: 399,
      hedge: false,
      count: 0,
      ...inbound,
      inPieces: 1,
    });
    solo.say(link, { kind: 'receipt', swarm: 0, piece: 399, count: 0, ...inbound });
    solo.say(other, { kind: 'open', swarm: 0, digest: blob.digest, token: 0, empty: false, needHashes: false });
    solo.say(other, { kind: 'wants', swarms: [{ swarm: 0, count: 1 }], ...inbound });
    expect(solo.sent(other, 'grant')!.piece).toBeGreaterThanOrEqual(0);
  });

  test('tells of what it holds, and neither feeds nor names what it gave up', () => {
    const { solo, links } = puller([0, 1]);
    const sink = solo.accept(address(30));
    solo.say(sink, {
      kind: 'open',
      swarm: 0,
      digest: testBlob(0, 12).digest,
      token: 0,
      empty: false,
      needHashes: false,
    });
    for (let i = 0; i < 2; i += 1) deliver(solo, links[0]!, grant(solo, links[0]!).piece!);
    rescope(solo, [2], [0]);
    solo.pass(100);
    const told = solo.allSent(sink, 'haves').flatMap(({ pieces }) => [...pieces]);
    expect(told).toContain(1);
    solo.say(sink, { kind: 'wants', swarms: [{ swarm: 0, count: 2 }], ...inbound });
    const grants = solo.allSent(sink, 'grant');
    expect(grants.map(({ piece }) => piece)).toEqual([1, -1]);
    const { grant: no } = grants[1]!;
    solo.say(sink, { kind: 'request', grant: no, swarm: 0, piece: 0, hedge: false, count: 1, ...inbound, inPieces: 1 });
    expect(solo.sent(sink, 'missing')).toMatchObject({ grant: no, piece: 0 });
  });

  test('says what is gone, once for all of it and to those who understand it; what is back is not gone', () => {
    const { solo, links } = puller([0, 1, 2]);
    const open = { kind: 'open', swarm: 0, digest: testBlob(0, 12).digest, token: 0, empty: false, needHashes: false };
    const [old, now] = [solo.accept(address(30)), solo.accept(address(31), FEATURES.gone)];
    for (const link of [old, now]) solo.say(link, open as Open);
    for (let i = 0; i < 3; i += 1) deliver(solo, links[0]!, grant(solo, links[0]!).piece!);
    solo.pass(100);
    rescope(solo, [3], [2]);
    rescope(solo, [0, 4], [0]);
    rescope(solo, [2, 5], [1]);
    expect(grant(solo, links[0]!, 2).piece).toBe(2);
    deliver(solo, links[0]!, 2);
    solo.pass(100);
    expect(solo.allSent(now, 'gone').map(({ pieces }) => [...pieces])).toEqual([[0, 1]]);
    expect(solo.allSent(old, 'gone')).toEqual([]);
  });
});
