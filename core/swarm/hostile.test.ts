/** What a hostile or broken peer may send: each costs it the link, nothing else happens. */

import { expect, test } from 'vitest';
import type { Digest } from '../digest.ts';
import { refusedMax } from './limits.ts';
import { testBlob } from './testing/cluster.ts';
import { address, type Said, Solo } from './testing/solo.ts';

const blob = testBlob(0, 8);
const inbound = { inPieces: 0, inBytes: 0 };

function feederOf(pieces = blob): { solo: Solo; link: number } {
  const solo = new Solo();
  solo.seed(pieces);
  const link = solo.accept(address(1));
  solo.say(link, { kind: 'open', swarm: 0, digest: pieces.digest, token: 0, empty: false, needHashes: false });
  return { solo, link };
}

function pullerFrom(have: readonly number[] | 'all'): { solo: Solo; link: number } {
  const solo = new Solo();
  solo.pull(blob, [address(1)]);
  const link = solo.answer(address(1));
  solo.opened(link, blob, have);
  return { solo, link };
}

const faultyToFeeder: readonly [string, Said, RegExp][] = [
  ['a second hello', { kind: 'hello', version: 1, features: 0, cluster: 'test', self: address(1) }, /greeted twice/],
  ['a feeder message', { kind: 'grant', grant: 1, swarm: 0, piece: -1 }, /not for a feeder/],
  [
    'a request without a grant',
    { kind: 'request', grant: 9, swarm: 0, piece: 0, hedge: false, count: 1, ...inbound },
    /without a grant/,
  ],
  [
    'a pass without a grant',
    { kind: 'pass', grant: 9, swarm: 0, reason: 'busy', count: 1, ...inbound },
    /without a grant/,
  ],
  ['a swarm never opened', { kind: 'close', swarm: 7 }, /never opened/],
  ['wants of a swarm never opened', { kind: 'wants', swarms: [{ swarm: 5, count: 1 }], ...inbound }, /never opened/],
  [
    'a swarm number twice',
    { kind: 'open', swarm: 0, digest: blob.digest, token: 0, empty: false, needHashes: false },
    /in use/,
  ],
  [
    'a blob twice',
    { kind: 'open', swarm: 1, digest: blob.digest, token: 0, empty: false, needHashes: false },
    /opened twice/,
  ],
  ['pieces elsewhere beyond the blob', { kind: 'elsewhere', swarm: 0, pieces: [1, 8] }, /beyond/],
  ['hashes beyond the blob', { kind: 'wantHashes', swarm: 0, from: 8 }, /beyond/],
];

for (const [what, message, why] of faultyToFeeder) {
  test(`to a feeder, ${what} is a fault`, () => {
    const { solo, link } = feederOf();
    expect(solo.faultOf(link)).toBeUndefined();
    solo.say(link, message);
    expect(solo.faultOf(link)).toMatch(why);
    expect(solo.sent(link, 'goodbye')?.reason).toBe('fault');
    expect(solo.swarm.totals).toMatchObject({ links: 0, peers: 0, outPieces: 0 });
  });
}

test('a puller that says less is on its way to it than it asked for is at fault', () => {
  const { solo, link } = feederOf();
  solo.say(link, { kind: 'wants', swarms: [{ swarm: 0, count: 8 }], ...inbound });
  const { grant } = solo.sent(link, 'grant')!;
  solo.say(link, { kind: 'request', grant, swarm: 0, piece: 0, hedge: false, count: 7, inPieces: 1, inBytes: 1 << 18 });
  expect(solo.faultOf(link)).toBeUndefined();
  solo.say(link, { kind: 'wants', swarms: [{ swarm: 0, count: 7 }], ...inbound });
  expect(solo.faultOf(link)).toMatch(/less is on its way/);
});

test('an only piece goes out unasked: a puller that does not know yet says nothing wrong', () => {
  const solo = new Solo();
  const small = testBlob(0, 1);
  solo.seed(small);
  const link = solo.accept(address(1));
  solo.say(link, { kind: 'open', swarm: 0, digest: small.digest, token: 0, empty: true, needHashes: true });
  expect(solo.out.some((o) => o.kind === 'feed')).toBe(true);
  solo.say(link, { kind: 'wants', swarms: [{ swarm: 0, count: 1 }], ...inbound });
  expect(solo.faultOf(link)).toBeUndefined();
});

test('hash lists are sent as often as they are asked for, within bounds', () => {
  const solo = new Solo();
  const large = testBlob(0, 4_000);
  solo.seed(large);
  const link = solo.accept(address(1));
  solo.say(link, { kind: 'open', swarm: 0, digest: large.digest, token: 0, empty: true, needHashes: true });
  const frames = (64 * 2 ** 20) / (2_048 * 32);
  for (let no = 1; no < frames; no += 1) solo.say(link, { kind: 'wantHashes', swarm: 0, from: 0 });
  expect(solo.faultOf(link)).toBeUndefined();
  // Sixteen KiB a millisecond may go on.
  solo.nowMs += 1_000;
  for (let no = 0; no < 250; no += 1) solo.say(link, { kind: 'wantHashes', swarm: 0, from: 0 });
  expect(solo.faultOf(link)).toBeUndefined();
  for (let no = 0; no < 8; no += 1) solo.say(link, { kind: 'wantHashes', swarm: 0, from: 0 });
  expect(solo.faultOf(link)).toMatch(/more hash lists than there are/);
});

test('hash lists that come with answers to open count as well', () => {
  const solo = new Solo();
  const large = testBlob(0, 4_000);
  solo.seed(large);
  const link = solo.accept(address(1));
  const open = (swarm: number): void => {
    solo.say(link, { kind: 'open', swarm, digest: large.digest, token: 0, empty: true, needHashes: true });
    solo.say(link, { kind: 'close', swarm });
  };
  const frames = (64 * 2 ** 20) / (2_048 * 32);
  for (let no = 0; no < frames; no += 1) open(no);
  expect(solo.faultOf(link)).toBeUndefined();
  for (let no = 0; no < 8; no += 1) if (solo.faultOf(link) === undefined) open(frames + no);
  expect(solo.faultOf(link)).toMatch(/more hash lists than there are/);
});

test('opening what there is not is refused, and a fault where it never ends', () => {
  const { solo, link } = feederOf();
  const open = (no: number): void => {
    solo.say(link, {
      kind: 'open',
      swarm: 1 + (no % 60_000),
      digest: `sha256:${no}` as Digest,
      token: 0,
      empty: true,
      needHashes: false,
    });
  };
  for (let no = 0; no < refusedMax; no += 1) open(no);
  expect(solo.faultOf(link)).toBeUndefined();
  expect(solo.allSent(link, 'refuse')).toHaveLength(refusedMax);
  // A thousand a second may go on.
  solo.nowMs += 1_000;
  for (let no = 0; no < 1_000; no += 1) open(no);
  expect(solo.faultOf(link)).toBeUndefined();
  open(0);
  expect(solo.faultOf(link)).toMatch(/more swarms than there are/);
});

const faultyToPuller: readonly [string, Said, RegExp][] = [
  ['a puller message', { kind: 'close', swarm: 0 }, /not for a puller/],
  ['a swarm never opened', { kind: 'haves', swarm: 3, pieces: [1], all: false }, /never opened/],
  ['a have beyond the blob', { kind: 'haves', swarm: 0, pieces: [1, 8], all: false }, /beyond/],
  ['a grant beyond the blob', { kind: 'grant', grant: 1, swarm: 0, piece: 8 }, /beyond/],
  ['missing what was not asked for', { kind: 'missing', grant: 1, swarm: 0, piece: 2 }, /not asked for/],
  [
    'opened twice',
    { kind: 'opened', swarm: 0, meta: blob.meta, all: true, growing: false, have: new Uint8Array(0) },
    /not asked/,
  ],
  ['an edge offer out of turn', { kind: 'edgeOffer', swarm: 0, peer: address(9), token: 5 }, /out of turn/],
  [
    'a hash list of another size',
    { kind: 'hashes', swarm: 0, from: 0, total: 9, hashes: new Uint8Array(288) },
    /out of bounds/,
  ],
  ['a revoke by an agent', { kind: 'revoke', swarm: 0 }, /from an agent/],
];

for (const [what, message, why] of faultyToPuller) {
  test(`to a puller, ${what} is a fault`, () => {
    const { solo, link } = pullerFrom([1, 2, 3]);
    expect(solo.faultOf(link)).toBeUndefined();
    solo.say(link, message);
    expect(solo.faultOf(link)).toMatch(why);
    expect(solo.swarm.totals).toMatchObject({ links: 0, inPieces: 0, inBytes: 0 });
  });
}

test('metainfo that differs from the tracker is a fault, and so is a bit set of the wrong length', () => {
  for (const change of [{ meta: { ...blob.meta, length: blob.meta.length - 1 } }, { have: new Uint8Array(3) }]) {
    const solo = new Solo();
    solo.pull(blob, [address(1)]);
    const link = solo.answer(address(1));
    const { swarm } = solo.sent(link, 'open')!;
    solo.say(link, {
      kind: 'opened',
      swarm,
      meta: blob.meta,
      all: false,
      growing: false,
      have: new Uint8Array(1),
      ...change,
    });
    expect(solo.faultOf(link)).toMatch(/metainfo|bit set/);
  }
});
