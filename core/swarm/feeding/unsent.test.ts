/** First seeding by several: what others gave is not given once more, and readers in order are not kept waiting. */

import { expect, test } from 'vitest';
import { elsewhereSpan, namedSpanMin } from '../limits.ts';
import { testBlob } from '../testing/cluster.ts';
import { address, Solo } from '../testing/solo.ts';

const idle = { inPieces: 0, inBytes: 0 } as const;
const blob = testBlob(0, 400);

/** An origin of `blob` with one puller that wants all of it, and has nothing on its way. */
function origin(): { solo: Solo; link: number } {
  const solo = new Solo({ role: 'origin', policy: { uplinkTarget: 1 } });
  solo.seed(blob);
  const link = solo.accept(address(1));
  solo.say(link, {
    kind: 'open',
    swarm: 0,
    digest: blob.digest,
    token: 0,
    empty: false,
    needHashes: false,
  });
  solo.say(link, { kind: 'wants', swarms: [{ swarm: 0, count: 400 }], ...idle });
  return { solo, link };
}

/** Takes the grant that is out; the piece that it named. */
function take(solo: Solo, link: number, swarm = 0): number {
  const { grant, piece } = solo.sent(link, 'grant')!;
  const taken = Math.max(0, piece);
  const load = { inPieces: 1, inBytes: blob.meta.pieceLength };
  solo.say(link, { kind: 'request', grant, swarm, piece: taken, hedge: false, count: 400, ...load });
  solo.say(link, { kind: 'receipt', swarm, piece: taken, count: 400, ...idle });
  return piece;
}

function tell(solo: Solo, link: number, from: number, to: number): void {
  const pieces = Array.from({ length: to - from }, (_, i) => from + i);
  solo.say(link, { kind: 'elsewhere', swarm: 0, pieces });
}

test('what is elsewhere is not named', () => {
  const { solo, link } = origin();
  take(solo, link);
  tell(solo, link, 0, 390);
  // The grant that is out was given before.
  take(solo, link);
  const named = Array.from({ length: 9 }, () => take(solo, link));
  expect(named.every((piece) => piece === -1 || piece >= 390)).toBe(true);
  expect(named.filter((piece) => piece >= 390).length).toBeGreaterThan(7);
});

test('what one says is named last, also where it says so again under a new link; two are believed', () => {
  const { solo, link } = origin();
  tell(solo, link, 0, 399);
  solo.input({ kind: 'closed', link, why: 'test' });
  const open = (no: number): number => {
    const again = solo.accept(address(no));
    const none = { token: 0, empty: false, needHashes: false };
    solo.say(again, { kind: 'open', swarm: 0, digest: blob.digest, ...none });
    solo.say(again, { kind: 'wants', swarms: [{ swarm: 0, count: 400 }], ...idle });
    return again;
  };
  const again = open(1);
  tell(solo, again, 0, 399);
  const named = Array.from({ length: 20 }, () => take(solo, again)).filter((piece) => piece >= 0);
  expect(named.length).toBeGreaterThan(15);
  const other = open(2);
  tell(solo, other, 0, 399);
  solo.input({ kind: 'closed', link: other, why: 'test' });
  // What is named again are the two that had been named to links that were closed.
  const later = Array.from({ length: 20 }, () => take(solo, again)).filter((piece) => piece >= 0);
  expect(new Set(later).size).toBeLessThan(5);
});

test('what was given to one who leaves before it has everything is named again, to whoever is there', () => {
  for (const left of [390, 0]) {
    const { solo, link } = origin();
    const first = Array.from({ length: 10 }, () => take(solo, link));
    const other = solo.accept(address(2));
    solo.say(other, { kind: 'open', swarm: 0, digest: blob.digest, token: 0, empty: false, needHashes: false });
    solo.say(link, { kind: 'wants', swarms: [{ swarm: 0, count: left }], ...idle });
    solo.say(link, { kind: 'close', swarm: 0 });
    solo.say(other, { kind: 'wants', swarms: [{ swarm: 0, count: 400 }], ...idle });
    const next = Array.from({ length: 40 }, () => take(solo, other));
    const again = first.filter((piece) => next.includes(piece));
    // Whoever lacks nothing stays in the swarm, or had a reason of its own to go.
    expect(again.sort()).toEqual(left > 0 ? first.sort() : []);
  }
});

test('what was given to one who had everything is named again once it comes back for it, and only then', () => {
  const { solo, link } = origin();
  const first = Array.from({ length: 10 }, () => take(solo, link));
  const wants = (on: number, swarm: number, count: number): void => {
    solo.say(on, { kind: 'wants', swarms: [{ swarm, count }], ...idle });
  };
  const open = (on: number, swarm: number): void => {
    solo.say(on, { kind: 'open', swarm, digest: blob.digest, token: 0, empty: false, needHashes: false });
    wants(on, swarm, 400);
  };
  wants(link, 0, 0);
  solo.say(link, { kind: 'close', swarm: 0 });
  const other = solo.accept(address(2));
  open(other, 0);
  expect(Array.from({ length: 20 }, () => take(solo, other)).filter((piece) => first.includes(piece))).toEqual([]);
  wants(other, 0, 0);
  solo.input({ kind: 'closed', link: other, why: 'test' });
  open(link, 1);
  const again = Array.from({ length: 40 }, () => take(solo, link, 1));
  expect(first.filter((piece) => again.includes(piece))).toEqual(first);
});

test('a named piece that was passed for want of room is not named to the same one at once', () => {
  const { solo, link } = origin();
  const other = solo.accept(address(2));
  solo.say(other, { kind: 'open', swarm: 0, digest: blob.digest, token: 0, empty: false, needHashes: false });
  const { grant } = solo.sent(link, 'grant')!;
  const before = solo.allSent(link, 'grant').length;
  solo.say(link, { kind: 'pass', grant, swarm: 0, reason: 'busy', count: 400, ...idle });
  expect(solo.allSent(link, 'grant')).toHaveLength(before);
  solo.pass(30);
  expect(solo.allSent(link, 'grant').length).toBeGreaterThan(before);
});

test('alone an origin keeps near the lowest; beside others it spreads out, over an eighth of the blob at most', () => {
  const alone = origin();
  for (let i = 0; i < 60; i++) expect(take(alone.solo, alone.link)).toBeLessThan(i + namedSpanMin);
  const { solo, link } = origin();
  tell(solo, link, 0, 100);
  take(solo, link);
  const named = Array.from({ length: 40 }, () => take(solo, link));
  expect(Math.max(...named.slice(0, 5))).toBeGreaterThan(100 + namedSpanMin + 5);
  // The lowest that is left stays where it is until it is given: nothing is named far beyond it.
  let lowest = 100;
  const given = new Set<number>();
  for (const piece of named) {
    expect(piece).toBeLessThan(lowest + 50 + 40);
    given.add(piece);
    while (given.has(lowest)) lowest++;
  }
});

test('whoever takes a named piece of an origin tells what is given around it; an agent is told nothing', () => {
  for (const role of ['origin', 'agent'] as const) {
    const solo = new Solo();
    const feeders = [address(1, role), address(2)];
    solo.pull(blob, feeders);
    const [from, other] = feeders.map((peer) => solo.answer(peer)) as [number, number];
    solo.opened(from, blob, 'all');
    solo.opened(other, blob, [1, 3, 7, 399]);
    solo.say(from, { kind: 'grant', grant: 0, swarm: 0, piece: 5 });
    const said = solo.sent(from, 'elsewhere')?.pieces;
    expect(said && [...said]).toEqual(
      role === 'origin' ? [1, 3, 7].filter((piece) => piece < 5 + elsewhereSpan) : undefined,
    );
  }
});
