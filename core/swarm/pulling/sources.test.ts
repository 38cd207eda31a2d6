/** How a blob is learned: metainfo from the tracker, the hash list from anybody, checked. */

import { expect, test } from 'vitest';
import { type TestBlob, testBlob } from '../testing/cluster.ts';
import { address, Solo } from '../testing/solo.ts';

function bare(blob: TestBlob, peers = 2): { solo: Solo; links: number[] } {
  const solo = new Solo();
  solo.input({
    kind: 'blob',
    blob: blob.no,
    digest: blob.digest,
    meta: undefined,
    hashes: undefined,
    have: undefined,
    pull: true,
  });
  const addresses = Array.from({ length: peers }, (_, i) => address(i + 1));
  solo.input({ kind: 'candidates', blob: blob.no, peers: addresses, meta: blob.meta });
  return { solo, links: addresses.map((peer) => solo.answer(peer)) };
}

function hashes(
  blob: TestBlob,
  from = 0,
  until = blob.hashes.length / 32,
): { kind: 'hashes'; swarm: number; from: number; total: number; hashes: Uint8Array } {
  return {
    kind: 'hashes',
    swarm: 0,
    from,
    total: blob.hashes.length / 32,
    hashes: blob.hashes.slice(from * 32, until * 32),
  };
}

test('one opener asks for the list; what it says is learned if it matches the root', () => {
  const blob = testBlob(0, 8);
  const { solo, links } = bare(blob);
  expect(links.map((link) => solo.sent(link, 'open')!.needHashes).sort()).toEqual([false, true]);
  const lead = links.find((link) => solo.sent(link, 'open')!.needHashes)!;
  solo.opened(lead, blob, 'all');
  expect(solo.sent(lead, 'wants')).toBeUndefined();
  solo.say(lead, hashes(blob));
  expect(solo.out).toContainEqual({ kind: 'learned', blob: 0, meta: blob.meta, hashes: blob.hashes });
  expect(solo.sent(lead, 'wants')).toMatchObject({ swarms: [{ swarm: 0, count: 4 }] });
});

test('a list of the wrong root is a fault, and it is asked for elsewhere', () => {
  const blob = testBlob(0, 8);
  const { solo, links } = bare(blob);
  const lead = links.find((link) => solo.sent(link, 'open')!.needHashes)!;
  const other = links.find((link) => link !== lead)!;
  for (const link of links) solo.opened(link, blob, 'all');
  const wrong = { ...hashes(blob), hashes: new Uint8Array(8 * 32) };
  solo.say(lead, wrong);
  expect(solo.faultOf(lead)).toMatch(/does not match its root/);
  expect(solo.out.some((o) => o.kind === 'learned')).toBe(false);
  expect(solo.sent(other, 'wantHashes')).toMatchObject({ from: 0 });
  solo.say(other, hashes(blob));
  expect(solo.out.filter((o) => o.kind === 'learned').length).toBe(1);
});

test('a long list comes in frames, each asked for after the last', () => {
  const blob = testBlob(0, 5_000);
  const { solo, links } = bare(blob, 1);
  solo.opened(links[0]!, blob, 'all');
  solo.say(links[0]!, hashes(blob, 0, 2048));
  expect(solo.sent(links[0]!, 'wantHashes')!.from).toBe(2048);
  solo.say(links[0]!, hashes(blob, 2048, 4096));
  solo.say(links[0]!, hashes(blob, 4096));
  const learned = solo.out.find((o) => o.kind === 'learned');
  expect(learned?.kind === 'learned' && learned.hashes).toEqual(blob.hashes);
});

test('a feeder serves a long list frame by frame', () => {
  const solo = new Solo();
  const blob = testBlob(0, 5_000);
  solo.seed(blob);
  const link = solo.accept(address(1));
  solo.say(link, { kind: 'open', swarm: 0, digest: blob.digest, token: 0, empty: true, needHashes: true });
  for (const from of [2048, 4096]) solo.say(link, { kind: 'wantHashes', swarm: 0, from });
  const frames = solo.allSent(link, 'hashes');
  expect(frames.map((f) => [f.from, f.hashes.length / 32])).toEqual([
    [0, 2048],
    [2048, 2048],
    [4096, 904],
  ]);
  expect(Buffer.concat(frames.map((f) => f.hashes)).equals(blob.hashes)).toBe(true);
});

test('who says nothing for two seconds is not waited for', () => {
  const blob = testBlob(0, 8);
  const { solo, links } = bare(blob);
  for (const link of links) solo.opened(link, blob, 'all');
  const lead = links.find((link) => solo.sent(link, 'open')!.needHashes)!;
  const other = links.find((link) => link !== lead)!;
  expect(solo.sent(other, 'wantHashes')).toBeUndefined();
  solo.pass(2_600);
  expect(solo.sent(other, 'wantHashes')).toMatchObject({ from: 0 });
});

test('an opener whose own answer is pending does not hold up the list', () => {
  const blob = testBlob(0, 8);
  const { solo, links } = bare(blob);
  const lead = links.find((link) => solo.sent(link, 'open')!.needHashes)!;
  const other = links.find((link) => link !== lead)!;
  solo.opened(other, blob, 'all');
  expect(solo.sent(other, 'wantHashes')).toMatchObject({ from: 0 });
});

test('without metainfo nothing is opened; openers wait and are answered when it is learned', () => {
  const blob = testBlob(0, 8);
  const solo = new Solo();
  solo.input({
    kind: 'blob',
    blob: 0,
    digest: blob.digest,
    meta: undefined,
    hashes: undefined,
    have: undefined,
    pull: true,
  });
  const opener = solo.accept(address(5));
  solo.say(opener, { kind: 'open', swarm: 0, digest: blob.digest, token: 0, empty: true, needHashes: true });
  expect(solo.sent(opener, 'opened')).toBeUndefined();
  const back = solo.answer(address(5));
  expect(solo.sent(back, 'open')).toBeUndefined();
  solo.input({ kind: 'candidates', blob: 0, peers: [], meta: blob.meta });
  expect(solo.sent(back, 'open')).toMatchObject({ needHashes: true });
  solo.opened(back, blob, [1]);
  solo.say(back, hashes(blob));
  expect(solo.sent(opener, 'opened')).toMatchObject({ all: false, have: new Uint8Array(1) });
  expect(solo.sent(opener, 'hashes')!.hashes).toEqual(blob.hashes);
});

test('the piece of a one-piece blob comes with the answer: one round trip', () => {
  const blob = testBlob(0, 1);
  const feeder = new Solo();
  feeder.seed(blob);
  const link = feeder.accept(address(1));
  const { solo, links } = bare(blob, 1);
  const open = solo.sent(links[0]!, 'open')!;
  expect(open).toMatchObject({ empty: true, needHashes: true });
  const answer = feeder.say(link, open);
  expect(answer.map((o) => (o.kind === 'send' ? o.message.kind : o.kind))).toEqual([
    'opened',
    'hashes',
    'grant',
    'feed',
  ]);
  for (const o of answer) if (o.kind === 'send' && o.message.kind !== 'piece') solo.say(links[0]!, o.message);
  expect(solo.allSent(links[0]!, 'request')).toEqual([]);
  expect(solo.swarm.expects(links[0]!, 0, 0)).toBe(blob.meta.length);
  solo.input({ kind: 'arrived', link: links[0]!, swarm: 0, piece: 0, slot: 0 });
  solo.input({ kind: 'verified', blob: 0, piece: 0, link: links[0]!, verdict: 'held' });
  expect(solo.out).toContainEqual({ kind: 'complete', blob: 0 });
  feeder.say(link, solo.sent(links[0]!, 'receipt')!);
  expect(feeder.swarm.totals.outPieces).toBe(0);
});

test('a blob of no bytes is complete as soon as its metainfo is known', () => {
  const blob = testBlob(0, 0);
  const solo = new Solo();
  solo.input({
    kind: 'blob',
    blob: 0,
    digest: blob.digest,
    meta: undefined,
    hashes: undefined,
    have: undefined,
    pull: true,
  });
  solo.input({ kind: 'candidates', blob: 0, peers: [], meta: blob.meta });
  expect(solo.out.map((o) => o.kind)).toEqual(['seek', 'learned', 'complete']);
});
