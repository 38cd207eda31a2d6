/** Downlink room: who is passed rests, and is told when there is room again. */

import { expect, test } from 'vitest';
import type { Message } from '../../wire/messages.ts';
import { testBlob } from '../testing/cluster.ts';
import { address, Solo } from '../testing/solo.ts';

const blob = testBlob(0, 200);
const unit = blob.meta.pieceLength;

type Setup = { solo: Solo; links: number[] };

/** A puller with room for `room` pieces, and `count` feeders that hold everything and, where tried, have sent a piece. */
function puller(count: number, room: number, tried = true): Setup {
  const solo = new Solo({
    windowBytes: room * unit,
    policy: { windowBytes: unit, windowPieces: room, windowPiecesStart: room },
  });
  const peers = Array.from({ length: count }, (_, i) => address(i + 1));
  solo.pull(blob, peers);
  const links = peers.map((peer) => {
    const link = solo.answer(peer);
    solo.opened(link, blob, 'all');
    return link;
  });
  for (const link of tried ? links : []) {
    const taken = grant(solo, link);
    if (taken.kind !== 'request') throw new Error('not taken');
    solo.pass(5);
    deliver(solo, link, taken.piece);
  }
  return { solo, links };
}

let grantNo = 0;
function grant(solo: Solo, link: number): Message {
  grantNo += 1;
  const from = solo.out.length;
  solo.say(link, { kind: 'grant', grant: grantNo, swarm: 0, piece: -1 });
  for (const o of solo.out.slice(from)) {
    if (o.kind === 'send' && o.link === link && (o.message.kind === 'request' || o.message.kind === 'pass'))
      return o.message;
  }
  throw new Error('a grant without an answer');
}

function deliver(solo: Solo, link: number, piece: number): void {
  solo.input({ kind: 'arrived', link, swarm: 0, piece, slot: 0 });
  solo.input({ kind: 'verified', blob: 0, piece, link, verdict: 'held' });
}

/** On which links a Wants went out since `from`. */
function told(solo: Solo, from: number): number[] {
  const on: number[] = [];
  for (const o of solo.out.slice(from)) if (o.kind === 'send' && o.message.kind === 'wants') on.push(o.link);
  return on;
}

test('who was passed for want of room hears of it when a piece is through, the first one first', () => {
  const { solo, links } = puller(4, 2);
  const first = grant(solo, links[0]!);
  const second = grant(solo, links[1]!);
  if (first.kind !== 'request' || second.kind !== 'request') throw new Error('not taken');
  expect(grant(solo, links[3]!)).toMatchObject({ kind: 'pass', reason: 'busy' });
  expect(grant(solo, links[2]!)).toMatchObject({ kind: 'pass', reason: 'busy' });
  let from = solo.out.length;
  deliver(solo, links[0]!, first.piece);
  expect(told(solo, from)).toEqual([links[3]]);
  // Room for a second one comes only with the next piece.
  from = solo.out.length;
  solo.pass(10);
  expect(told(solo, from)).toEqual([]);
  deliver(solo, links[1]!, second.piece);
  expect(told(solo, from)).toEqual([links[2]]);
});

test('room that was promised and not used is promised to the next one after a while', () => {
  const { solo, links } = puller(4, 1);
  const only = grant(solo, links[0]!);
  if (only.kind !== 'request') throw new Error('not taken');
  for (const link of [links[1]!, links[2]!]) expect(grant(solo, link).kind).toBe('pass');
  let from = solo.out.length;
  deliver(solo, links[0]!, only.piece);
  expect(told(solo, from)).toEqual([links[1]]);
  solo.pass(60);
  const next = grant(solo, links[3]!);
  if (next.kind !== 'request') throw new Error('not taken');
  from = solo.out.length;
  deliver(solo, links[3]!, next.piece);
  expect(told(solo, from)).toEqual([links[2]]);
});

test('pieces that stand still take no room from those who send, who hear of it', () => {
  const { solo, links } = puller(2, 2);
  const [still, sends] = links as [number, number];
  const first = grant(solo, sends);
  if (first.kind !== 'request') throw new Error('not taken');
  solo.pass(5);
  deliver(solo, sends, first.piece);
  for (let i = 0; i < 2; i++) expect(grant(solo, still).kind).toBe('request');
  expect(grant(solo, sends)).toMatchObject({ kind: 'pass', reason: 'busy' });
  const from = solo.out.length;
  solo.pass(200);
  expect(told(solo, from)).toEqual([]);
  solo.pass(400);
  expect(told(solo, from)).toContain(sends);
  expect(grant(solo, sends).kind).toBe('request');
});

test('those who have not sent a piece yet hold half of the window at most, once somebody has', () => {
  const { solo, links } = puller(5, 8, false);
  const [sends, ...others] = links as [number, number, number, number, number];
  // Nobody has sent anything: all of it is theirs to try.
  const first = grant(solo, sends);
  if (first.kind !== 'request') throw new Error('not taken');
  for (const link of others.slice(0, 2)) expect(grant(solo, link).kind).toBe('request');
  solo.pass(5);
  deliver(solo, sends, first.piece);
  for (const link of others.slice(0, 2)) expect(grant(solo, link).kind).toBe('request');
  expect(grant(solo, others[2]!)).toMatchObject({ kind: 'pass', reason: 'busy' });
  expect(grant(solo, others[3]!)).toMatchObject({ kind: 'pass', reason: 'busy' });
  const taken = grant(solo, sends);
  if (taken.kind !== 'request') throw new Error('not taken');
  let from = solo.out.length;
  solo.pass(5);
  deliver(solo, sends, taken.piece);
  // There is room, but not for them.
  expect(told(solo, from)).toEqual([]);
  from = solo.out.length;
  solo.pass(800);
  // What they owe stands still: the next ones may try.
  expect(told(solo, from)).toContain(others[2]);
  expect(grant(solo, others[2]!).kind).toBe('request');
});

test('what an agent that never sent a piece lets stand is open to others; what an origin does is not', () => {
  for (const role of ['agent', 'origin'] as const) {
    const solo = new Solo();
    const peers = [address(1, role), address(2)];
    solo.pull(testBlob(0, 3), peers);
    const [still, sends] = peers.map((peer) => solo.answer(peer)) as [number, number];
    for (const link of [still, sends]) solo.opened(link, testBlob(0, 3), 'all');
    const first = grant(solo, sends);
    if (first.kind !== 'request') throw new Error('not taken');
    solo.pass(5);
    deliver(solo, sends, first.piece);
    const stands = grant(solo, still);
    if (stands.kind !== 'request') throw new Error('not taken');
    const third = grant(solo, sends);
    if (third.kind !== 'request') throw new Error('not taken');
    solo.pass(5);
    deliver(solo, sends, third.piece);
    solo.pass(700);
    expect(solo.sent(still, 'cancel')?.piece).toBe(role === 'agent' ? stands.piece : undefined);
    if (role === 'agent') {
      // The same one is not asked for it again, by name or otherwise.
      solo.say(still, { kind: 'grant', grant: 900, swarm: 0, piece: stands.piece });
      solo.say(still, { kind: 'grant', grant: 901, swarm: 0, piece: -1 });
      expect(solo.allSent(still, 'request')).toHaveLength(1);
    }
    const again = grant(solo, sends);
    if (again.kind !== 'request') throw new Error('not taken');
    expect(again).toMatchObject({ piece: stands.piece, hedge: role === 'origin' });
    if (role === 'origin') continue;
    // It comes all the same: thrown away, and nobody's fault.
    solo.input({ kind: 'arrived', link: still, swarm: 0, piece: stands.piece, slot: 7 });
    expect(solo.out).toContainEqual({ kind: 'release', slot: 7 });
    expect(solo.faultOf(still)).toBeUndefined();
  }
});

test('who said missing before it sent anything gets its turn when no untried one owes a piece', () => {
  const { solo, links } = puller(4, 16, false);
  const [sends, owes, lies] = links as [number, number, number, number];
  const first = grant(solo, sends);
  if (first.kind !== 'request') throw new Error('not taken');
  solo.pass(5);
  deliver(solo, sends, first.piece);
  expect(grant(solo, owes).kind).toBe('request');
  const taken = grant(solo, lies);
  if (taken.kind !== 'request') throw new Error('not taken');
  solo.say(lies, { kind: 'missing', grant: taken.grant, swarm: 0, piece: taken.piece });
  expect(grant(solo, lies)).toMatchObject({ kind: 'pass', reason: 'busy' });
  solo.pass(800);
  // What the other one owes stands still by now.
  expect(grant(solo, lies).kind).toBe('request');
});

test('who sent pieces of another blob, and has none of this one, leaves all of the window to those who have', () => {
  const other = testBlob(1, 200);
  const solo = new Solo({ policy: { windowBytes: unit, windowPieces: 4, windowPiecesStart: 4 } });
  const [first, second] = [address(1), address(2)];
  solo.pull(blob, [first]);
  const link = solo.answer(first);
  solo.opened(link, blob, 'all');
  const taken = grant(solo, link);
  if (taken.kind !== 'request') throw new Error('not taken');
  deliver(solo, link, taken.piece);
  solo.pull(other, [second]);
  const untried = solo.answer(second);
  const swarm = solo.opened(untried, other, 'all');
  for (let no = 700; no < 703; no++) solo.say(untried, { kind: 'grant', grant: no, swarm, piece: -1 });
  expect(solo.allSent(untried, 'request')).toHaveLength(3);
});

test('what was given up and comes all the same takes nothing from what may be asked for twice', () => {
  const few = testBlob(0, 5);
  const solo = new Solo();
  const peers = [address(1), address(2)];
  solo.pull(few, peers);
  const [still, sends] = peers.map((peer) => solo.answer(peer)) as [number, number];
  for (const link of [still, sends]) solo.opened(link, few, 'all');
  const fetch = (): void => {
    const taken = grant(solo, sends);
    if (taken.kind !== 'request') throw new Error('not taken');
    solo.pass(5);
    deliver(solo, sends, taken.piece);
  };
  fetch();
  const stands = [grant(solo, still), grant(solo, still)];
  solo.pass(700);
  for (const taken of stands) {
    if (taken.kind !== 'request') throw new Error('not taken');
    solo.input({ kind: 'arrived', link: still, swarm: 0, piece: taken.piece, slot: 7 });
  }
  const late = grant(solo, still);
  if (late.kind !== 'request') throw new Error('not taken');
  for (let i = 0; i < 3; i++) fetch();
  solo.pass(5_000);
  expect(grant(solo, sends)).toMatchObject({ kind: 'request', piece: late.piece, hedge: true });
});

test('a long piece is given up later than a short one', () => {
  const short = testBlob(0, 3);
  const pieceLength = 4 * 1024 * 1024;
  const long = { ...short, meta: { ...short.meta, pieceLength, length: 3 * pieceLength } };
  const solo = new Solo();
  const peers = [address(1), address(2)];
  solo.pull(long, peers);
  const [still, sends] = peers.map((peer) => solo.answer(peer)) as [number, number];
  for (const link of [still, sends]) solo.opened(link, long, 'all');
  const taken = grant(solo, sends);
  if (taken.kind !== 'request') throw new Error('not taken');
  solo.pass(5);
  deliver(solo, sends, taken.piece);
  expect(grant(solo, still).kind).toBe('request');
  solo.pass(1_500);
  expect(solo.sent(still, 'cancel')).toBeUndefined();
  solo.pass(400);
  expect(solo.sent(still, 'cancel')).toBeDefined();
});

test('where nobody has sent anything yet, what was asked for stands still after some seconds', () => {
  const { solo, links } = puller(2, 2, false);
  for (let i = 0; i < 2; i++) expect(grant(solo, links[0]!).kind).toBe('request');
  solo.pass(2_000);
  expect(grant(solo, links[1]!)).toMatchObject({ kind: 'pass', reason: 'busy' });
  solo.pass(2_500);
  expect(grant(solo, links[1]!).kind).toBe('request');
});

test('what is owed on a swarm that its feeder ended stands still like anything else', () => {
  const { solo, links } = puller(2, 2);
  const [ends, sends] = links as [number, number];
  for (let i = 0; i < 2; i++) expect(grant(solo, ends).kind).toBe('request');
  solo.say(ends, { kind: 'refuse', swarm: 0, reason: 'full', peers: [] });
  expect(grant(solo, sends)).toMatchObject({ kind: 'pass', reason: 'busy' });
  solo.pass(800);
  expect(grant(solo, sends).kind).toBe('request');
});

test('an origin hears at once that those who sent us something are gone', () => {
  const solo = new Solo();
  const [origin, agent] = [address(1, 'origin'), address(2)];
  solo.pull(blob, [origin, agent]);
  const [from, other] = [solo.answer(origin), solo.answer(agent)];
  for (const link of [from, other]) solo.opened(link, blob, 'all');
  const first = grant(solo, other);
  if (first.kind !== 'request') throw new Error('not taken');
  deliver(solo, other, first.piece);
  for (let i = 0; i < 3; i++) expect(grant(solo, other).kind).toBe('request');
  const own = grant(solo, from);
  if (own.kind !== 'request') throw new Error('not taken');
  deliver(solo, from, own.piece);
  expect(solo.sent(from, 'receipt')).toMatchObject({ inPieces: 3 });
  const before = solo.allSent(from, 'wants').length;
  solo.input({ kind: 'closed', link: other, why: 'test' });
  expect(solo.allSent(from, 'wants').slice(before)).toMatchObject([{ inPieces: 0 }]);
});

test('a link that is gone is told nothing', () => {
  const { solo, links } = puller(3, 1);
  const only = grant(solo, links[0]!);
  if (only.kind !== 'request') throw new Error('not taken');
  for (const link of [links[1]!, links[2]!]) expect(grant(solo, link).kind).toBe('pass');
  solo.input({ kind: 'closed', link: links[1]!, why: 'test' });
  const from = solo.out.length;
  deliver(solo, links[0]!, only.piece);
  expect(told(solo, from)).toEqual([links[2]]);
});

test('a blob that begins late has as much room as the one that fills the window', () => {
  const late = testBlob(1, 200);
  const solo = new Solo({ policy: { windowBytes: unit, windowPieces: 8, windowPiecesStart: 4 } });
  const peer = address(1);
  solo.pull(blob, [peer]);
  const link = solo.answer(peer);
  solo.opened(link, blob, 'all');
  // A sixteenth of the first blob is held: its window is the wide one, and full.
  for (let i = 0; i < 13; i++) {
    const taken = grant(solo, link);
    if (taken.kind !== 'request') throw new Error('not taken');
    deliver(solo, link, taken.piece);
  }
  for (let i = 0; i < 6; i++) expect(grant(solo, link).kind).toBe('request');
  solo.pull(late, [peer]);
  const swarm = solo.opened(link, late, 'all');
  solo.say(link, { kind: 'grant', grant: 500, swarm, piece: -1 });
  expect(solo.sent(link, 'request')).toMatchObject({ grant: 500, swarm });
  expect(solo.sent(link, 'pass')).toBeUndefined();
});
