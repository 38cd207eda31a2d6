/** Downlink room: who is passed rests, and is told when there is room again. */

import { expect, test } from 'vitest';
import type { Message } from '../wire/messages.ts';
import { testBlob } from './testing/cluster.ts';
import { address, Solo } from './testing/solo.ts';

const blob = testBlob(0, 200);
const unit = blob.meta.pieceLength;

type Setup = { solo: Solo; links: number[] };

/** A puller with room for `room` pieces, and `count` feeders that hold everything. */
function puller(count: number, room: number): Setup {
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
