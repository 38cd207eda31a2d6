/** The puller: its answer to grants, pieces coming in, late ones, and the way a blob is learned. */

import { expect, test } from 'vitest';
import { type TestBlob, testBlob } from '../testing/cluster.ts';
import { address, Solo, type SoloOptions } from '../testing/solo.ts';

const unit = 256 * 1024;

type Setup = { solo: Solo; blob: TestBlob; links: number[] };

/** Pulls `pieces` pieces from seeders that each hold everything, or what `have` says. */
function puller(pieces: number, haves: (readonly number[] | 'all')[], options: SoloOptions = {}): Setup {
  const solo = new Solo(options);
  const blob = testBlob(0, pieces);
  solo.pull(
    blob,
    haves.map((_, i) => address(i + 1)),
  );
  const links = haves.map((have, i) => {
    const link = solo.answer(address(i + 1));
    solo.opened(link, blob, have);
    return link;
  });
  return { solo, blob, links };
}

let grantNo = 0;

/** Grants on `link`; what was answered. */
function grant(solo: Solo, link: number, piece = -1): { kind: string; piece?: number; reason?: string; count: number } {
  grantNo += 1;
  const outputs = solo.say(link, { kind: 'grant', grant: grantNo, swarm: 0, piece });
  for (const o of outputs)
    if (o.kind === 'send' && (o.message.kind === 'request' || o.message.kind === 'pass')) return o.message;
  throw new Error('a grant was not answered at once');
}

function deliver(solo: Solo, link: number, piece: number, verdict: 'held' | 'corrupt' | 'failed' = 'held'): void {
  solo.input({ kind: 'arrived', link, swarm: 0, piece, slot: piece });
  solo.input({ kind: 'verified', blob: 0, piece, link, verdict });
}

test('a grant is used for one piece, each piece once, and then passed', () => {
  const { solo, links } = puller(3, ['all', 'all']);
  const first = grant(solo, links[0]!);
  const second = grant(solo, links[1]!);
  const third = grant(solo, links[0]!);
  expect([first, second, third].map((m) => m.piece).sort()).toEqual([0, 1, 2]);
  expect(third.count).toBe(0);
  expect(grant(solo, links[1]!)).toMatchObject({ kind: 'pass', reason: 'nothing' });
});

test('the length of a piece is expected only where it was asked for', () => {
  const { solo, blob, links } = puller(4, ['all', 'all']);
  grant(solo, links[0]!, 3);
  expect(solo.swarm.expects(links[0]!, 0, 3)).toBe(blob.meta.length - 3 * unit);
  expect(solo.swarm.expects(links[1]!, 0, 3)).toBe(-1);
  expect(solo.swarm.expects(links[0]!, 0, 2)).toBe(-1);
  expect(solo.swarm.blobOf(links[0]!, 0)).toBe(0);
  deliver(solo, links[0]!, 3);
  expect(solo.swarm.expects(links[0]!, 0, 3)).toBe(-1);
});

test('above the window grants are passed, and taken again when pieces are verified', () => {
  const { solo, links } = puller(20, ['all', 'all', 'all'], { windowBytes: 3 * unit });
  for (const [piece, link] of links.entries()) expect(grant(solo, link, piece).kind).toBe('request');
  expect(grant(solo, links[0]!)).toMatchObject({ kind: 'pass', reason: 'busy', count: 3 });
  solo.input({ kind: 'arrived', link: links[0]!, swarm: 0, piece: 0, slot: 0 });
  expect(grant(solo, links[0]!)).toMatchObject({ kind: 'pass', reason: 'busy' });
  solo.input({ kind: 'verified', blob: 0, piece: 0, link: links[0]!, verdict: 'held' });
  expect(grant(solo, links[0]!).kind).toBe('request');
});

test('a feeder that has sent nothing yet may hold up few pieces; each that it sends allows one more', () => {
  const { solo, links } = puller(100, ['all', 'all']);
  for (const piece of [0, 1, 2, 3]) expect(grant(solo, links[0]!, piece).kind).toBe('request');
  expect(grant(solo, links[0]!)).toMatchObject({ kind: 'pass', reason: 'nothing' });
  // What one holds up does not count against another.
  expect(grant(solo, links[1]!, 9).kind).toBe('request');
  deliver(solo, links[0]!, 0);
  expect(grant(solo, links[0]!).kind).toBe('request');
  expect(grant(solo, links[0]!).kind).toBe('request');
  expect(grant(solo, links[0]!)).toMatchObject({ kind: 'pass', reason: 'nothing' });
});

test('a feeder of which no piece comes is closed as slow, however many pieces it holds up', () => {
  const { solo, links } = puller(100, ['all', 'all']);
  for (const piece of [0, 1, 2, 3]) grant(solo, links[0]!, piece);
  // Five seconds, and one second for a piece at 256 kB/s; the scan comes every tenth of one.
  solo.pass(5_900);
  expect(solo.swarm.totals.inPieces).toBe(4);
  solo.pass(300);
  expect(solo.out.filter((o) => o.kind === 'close')).toMatchObject([
    { link: links[0], why: 'a piece made no progress', whose: 'slow' },
  ]);
  expect(solo.sent(links[0]!, 'goodbye')?.reason).toBe('slow');
  expect(solo.swarm.totals.inPieces).toBe(0);
  expect(grant(solo, links[1]!, 0).kind).toBe('request');
});

test('a piece that was hedged and never comes costs its feeder the link, though the blob is whole', () => {
  const { solo, links } = puller(3, ['all', 'all']);
  grant(solo, links[0]!, 2);
  grant(solo, links[1]!, 1);
  solo.pass(10);
  deliver(solo, links[0]!, 2);
  deliver(solo, links[1]!, 1);
  grant(solo, links[0]!, 0);
  solo.pass(600);
  expect(grant(solo, links[1]!)).toMatchObject({ kind: 'request', piece: 0, hedge: true });
  deliver(solo, links[1]!, 0);
  expect(solo.out.some((o) => o.kind === 'complete')).toBe(true);
  solo.pass(6_500);
  expect(solo.out.filter((o) => o.kind === 'close')).toMatchObject([{ link: links[0], whose: 'slow' }]);
  expect(solo.swarm.totals.inPieces).toBe(0);
});

test('a piece larger than the window can still be fetched, one at a time', () => {
  const { solo, links } = puller(4, ['all'], { windowBytes: 1000 });
  expect(grant(solo, links[0]!).kind).toBe('request');
  expect(grant(solo, links[0]!)).toMatchObject({ kind: 'pass', reason: 'busy' });
});

test('a named piece is taken though a reader waits elsewhere; held or on its way it is passed', () => {
  const { solo, links } = puller(500, ['all']);
  solo.input({ kind: 'reader', blob: 0, reader: 1, at: 0, end: 500 });
  expect(grant(solo, links[0]!, 490)).toMatchObject({ kind: 'request', piece: 490 });
  expect(grant(solo, links[0]!, 490)).toMatchObject({ kind: 'pass', reason: 'held' });
  expect(grant(solo, links[0]!)).toMatchObject({ piece: 0 });
});

test('the receipt comes with the last byte, the announcement with the verdict', () => {
  const { solo, links } = puller(4, ['all']);
  const sink = solo.accept(address(9));
  solo.say(sink, { kind: 'open', swarm: 0, digest: testBlob(0, 4).digest, token: 0, empty: false, needHashes: false });
  grant(solo, links[0]!, 2);
  const arrival = solo.input({ kind: 'arrived', link: links[0]!, swarm: 0, piece: 2, slot: 77 });
  expect(arrival).toContainEqual({ kind: 'verify', link: links[0], blob: 0, piece: 2, slot: 77, length: unit });
  expect(solo.sent(links[0]!, 'receipt')).toMatchObject({ piece: 2, count: 3, inPieces: 0, inBytes: 0 });
  expect(solo.sent(sink, 'haves')).toBeUndefined();
  // An idle neighbour hears of it at once, later news come in a batch.
  solo.input({ kind: 'verified', blob: 0, piece: 2, link: links[0]!, verdict: 'held' });
  expect(solo.sent(sink, 'haves')).toMatchObject({ pieces: [2] });
  solo.say(sink, { kind: 'wants', swarms: [{ swarm: 0, count: 1 }], inPieces: 0, inBytes: 0 });
  for (const piece of [3, 0]) {
    grant(solo, links[0]!, piece);
    deliver(solo, links[0]!, piece);
  }
  expect(solo.allSent(sink, 'haves').length).toBe(1);
  solo.pass(25);
  expect(solo.sent(sink, 'haves')).toMatchObject({ pieces: [0, 3] });
});

test('a corrupt piece costs its sender all its links and a ban; it is open again', () => {
  const { solo, links } = puller(2, [[0], [0, 1]]);
  grant(solo, links[0]!);
  deliver(solo, links[0]!, 0, 'corrupt');
  expect(solo.faultOf(links[0]!)).toMatch(/corrupt piece 0/);
  expect(grant(solo, links[1]!).kind).toBe('request');
  expect(grant(solo, links[1]!).kind).toBe('request');
  expect(solo.swarm.stats(0)).toMatchObject({ corrupt: 1, held: 0 });
  expect(solo.sent(solo.accept(address(1)), 'goodbye')?.reason).toBe('banned');
});

test('missing: not asked there again, but elsewhere', () => {
  const { solo, links } = puller(1, ['all', 'all']);
  grant(solo, links[0]!);
  solo.say(links[0]!, { kind: 'missing', grant: grantNo, swarm: 0, piece: 0 });
  expect(grant(solo, links[0]!)).toMatchObject({ kind: 'pass', reason: 'nothing', count: 0 });
  expect(grant(solo, links[1]!)).toMatchObject({ kind: 'request', piece: 0 });
});

test('a link that breaks gives its pieces back', () => {
  const { solo, links } = puller(2, ['all', 'all']);
  grant(solo, links[0]!, 0);
  grant(solo, links[0]!, 1);
  expect(solo.swarm.totals.inPieces).toBe(2);
  solo.input({ kind: 'closed', link: links[0]!, why: 'reset' });
  expect(solo.swarm.totals).toMatchObject({ inPieces: 0, inBytes: 0 });
  expect(solo.sent(links[1]!, 'wants')).toMatchObject({ swarms: [{ swarm: 0, count: 2 }] });
});

test('a late piece is hedged; the first arrival cancels the other, which is released if it still comes', () => {
  const { solo, links } = puller(1, ['all', 'all']);
  grant(solo, links[0]!);
  expect(grant(solo, links[1]!)).toMatchObject({ kind: 'pass', count: 0 });
  solo.pass(4_200);
  expect(solo.sent(links[1]!, 'wants')).toMatchObject({ swarms: [{ swarm: 0, count: 1 }] });
  expect(grant(solo, links[1]!)).toMatchObject({ kind: 'request', piece: 0, hedge: true });
  solo.input({ kind: 'arrived', link: links[1]!, swarm: 0, piece: 0, slot: 1 });
  expect(solo.sent(links[0]!, 'cancel')).toMatchObject({ swarm: 0, piece: 0 });
  expect(solo.swarm.expects(links[0]!, 0, 0)).toBeGreaterThan(0);
  const late = solo.input({ kind: 'arrived', link: links[0]!, swarm: 0, piece: 0, slot: 2 });
  expect(late).toContainEqual({ kind: 'release', slot: 2 });
  solo.input({ kind: 'verified', blob: 0, piece: 0, link: links[1]!, verdict: 'held' });
  expect(solo.out.filter((o) => o.kind === 'complete').length).toBe(1);
  expect(solo.swarm.stats(0)).toMatchObject({ hedges: 1, duplicates: 1 });
});

test('of a hedged piece either link may break, and the piece still comes', () => {
  for (const broken of [0, 1]) {
    const { solo, links } = puller(1, ['all', 'all']);
    grant(solo, links[0]!);
    solo.pass(4_200);
    grant(solo, links[1]!);
    solo.input({ kind: 'closed', link: links[broken]!, why: 'reset' });
    expect(solo.swarm.totals.inPieces).toBe(1);
    deliver(solo, links[1 - broken]!, 0);
    expect(solo.out.filter((o) => o.kind === 'complete').length).toBe(1);
    expect(solo.swarm.totals).toMatchObject({ inPieces: 0, inBytes: 0 });
  }
});

test('a link on which a piece makes no progress is closed', () => {
  const { solo, links } = puller(2, ['all']);
  grant(solo, links[0]!);
  solo.pass(10_000);
  expect(solo.out.some((o) => o.kind === 'close' && o.link === links[0] && o.why.includes('no progress'))).toBe(true);
});

test('dropped in mid-flight: the piece is still expected, then released', () => {
  const { solo, links } = puller(2, ['all']);
  grant(solo, links[0]!, 0);
  solo.input({ kind: 'drop', blob: 0 });
  expect(solo.sent(links[0]!, 'close')).toMatchObject({ swarm: 0 });
  expect(solo.swarm.expects(links[0]!, 0, 0)).toBe(unit);
  expect(solo.swarm.blobOf(links[0]!, 0)).toBe(-1);
  expect(solo.input({ kind: 'arrived', link: links[0]!, swarm: 0, piece: 0, slot: 5 })).toContainEqual({
    kind: 'release',
    slot: 5,
  });
  expect(solo.swarm.totals.inPieces).toBe(0);
});

test('a resumed blob asks only for what it lacks', () => {
  const solo = new Solo();
  const { digest, meta, hashes } = testBlob(0, 10);
  solo.input({ kind: 'blob', blob: 0, digest, meta, hashes, have: Uint8Array.of(0b1111_1011, 0b11), pull: true });
  solo.input({ kind: 'candidates', blob: 0, peers: [address(1)], meta });
  const link = solo.answer(address(1));
  solo.opened(link, testBlob(0, 10), 'all');
  expect(solo.sent(link, 'open')).toMatchObject({ empty: false, needHashes: false });
  expect(grant(solo, link)).toMatchObject({ kind: 'request', piece: 2, count: 0 });
  deliver(solo, link, 2);
  expect(solo.out.filter((o) => o.kind === 'complete').length).toBe(1);
  expect(solo.out.some((o) => o.kind === 'learned')).toBe(false);
});

test('a blob that was whole on disk but for its mark is complete at once', () => {
  const solo = new Solo();
  const { digest, meta, hashes } = testBlob(0, 10);
  solo.input({ kind: 'blob', blob: 0, digest, meta, hashes, have: Uint8Array.of(255, 3), pull: true });
  expect(solo.out).toContainEqual({ kind: 'complete', blob: 0 });
  expect(solo.out.some((o) => o.kind === 'seek')).toBe(false);
});
