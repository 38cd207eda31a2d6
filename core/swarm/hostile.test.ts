/** What a hostile or broken peer may send: each costs it the link, nothing else happens. */

import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Digest } from '../digest.ts';
import type { PeerAddress } from '../wire/messages.ts';
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

test('a banned node is not dialled, not greeted, and a ban grows', () => {
  const { solo, link } = feederOf();
  solo.say(link, { kind: 'grant', grant: 1, swarm: 0, piece: -1 });
  const again = solo.accept(address(1));
  expect(solo.sent(again, 'goodbye')?.reason).toBe('banned');
  solo.pass(10_001);
  const later = solo.accept(address(1));
  expect(solo.sent(later, 'goodbye')).toBeUndefined();
  solo.say(later, { kind: 'grant', grant: 1, swarm: 0, piece: -1 });
  solo.pass(10_001);
  expect(solo.sent(solo.accept(address(1)), 'goodbye')?.reason).toBe('banned');
});

test('another version, another cluster, ourselves, a message before hello', () => {
  const cases: [Said, string][] = [
    [{ kind: 'hello', version: 2, features: 0, cluster: 'test', self: address(1) }, 'version'],
    [{ kind: 'hello', version: 1, features: 0, cluster: 'other', self: address(1) }, 'cluster'],
    [{ kind: 'hello', version: 1, features: 0, cluster: 'test', self: address(0) }, 'duplicate'],
    [{ kind: 'close', swarm: 0 }, 'fault'],
  ];
  for (const [message, reason] of cases) {
    const solo = new Solo();
    solo.input({ kind: 'connected', link: 1, dialled: false });
    solo.say(1, message);
    expect(solo.sent(1, 'goodbye')?.reason).toBe(reason);
    expect(solo.swarm.totals.links).toBe(0);
  }
});

test('of two links of one node the first stays while it talks, the second wins when it is silent', () => {
  const solo = new Solo();
  solo.seed(blob);
  const first = solo.accept(address(1));
  const second = solo.accept(address(1));
  expect(solo.sent(second, 'goodbye')?.reason).toBe('duplicate');
  solo.pass(6_000);
  const third = solo.accept(address(1));
  expect(solo.sent(first, 'goodbye')?.reason).toBe('duplicate');
  expect(solo.sent(third, 'goodbye')).toBeUndefined();
});

test('a peer that fills its swarms is told the limit', () => {
  const solo = new Solo();
  const link = solo.accept(address(1));
  for (let swarm = 0; swarm <= 1024; swarm += 1) {
    const some = testBlob(swarm, 1);
    solo.seed(some);
    solo.say(link, { kind: 'open', swarm, digest: some.digest, token: 0, empty: false, needHashes: false });
  }
  expect(solo.allSent(link, 'refuse').map((m) => m.reason)).toEqual(['limit']);
});

test('an unknown blob is refused as unknown, a revoked one as revoked', () => {
  const solo = new Solo();
  solo.seed(blob);
  solo.input({ kind: 'revoke', blob: 0 });
  const link = solo.accept(address(1));
  const digests = [blob.digest, 'sha256:00' as Digest];
  for (const [swarm, digest] of digests.entries()) {
    solo.say(link, { kind: 'open', swarm, digest, token: 0, empty: true, needHashes: true });
  }
  expect(solo.allSent(link, 'refuse').map((m) => m.reason)).toEqual(['revoked', 'unknown']);
});

// ---- anything at all ---------------------------------------------------------------------------

const small = fc.integer({ min: 0, max: 9 });
const count = fc.integer({ min: 0, max: 40 });
const load = { inPieces: count, inBytes: fc.integer({ min: 0, max: 1 << 24 }) };
const someone: fc.Arbitrary<PeerAddress> = fc.integer({ min: 0, max: 30 }).map((no) => address(no));
const swarm = fc.integer({ min: 0, max: 3 });
const anything: fc.Arbitrary<Said> = fc.oneof(
  fc.record({
    kind: fc.constant('open' as const),
    swarm,
    digest: fc.constantFrom(blob.digest, testBlob(1, 1).digest),
    token: small,
    empty: fc.boolean(),
    needHashes: fc.boolean(),
  }),
  fc.record({ kind: fc.constant('close' as const), swarm }),
  fc.record({
    kind: fc.constant('wants' as const),
    swarms: fc.array(fc.record({ swarm, count }), { maxLength: 3 }),
    ...load,
  }),
  fc.record({
    kind: fc.constant('request' as const),
    grant: small,
    swarm,
    piece: small,
    hedge: fc.boolean(),
    count,
    ...load,
  }),
  fc.record({
    kind: fc.constant('pass' as const),
    grant: small,
    swarm,
    reason: fc.constantFrom('busy' as const, 'nothing' as const, 'held' as const),
    count,
    ...load,
  }),
  fc.record({ kind: fc.constant('receipt' as const), swarm, piece: small, count, ...load }),
  fc.record({ kind: fc.constant('cancel' as const), swarm, piece: small }),
  fc.record({ kind: fc.constant('wantHashes' as const), swarm, from: small }),
  fc.record({
    kind: fc.constant('elsewhere' as const),
    swarm,
    pieces: fc.uniqueArray(small).map((some) => some.sort((a, b) => a - b)),
  }),
  fc.record({
    kind: fc.constant('refuse' as const),
    swarm,
    reason: fc.constantFrom('full' as const, 'unknown' as const),
    peers: fc.array(someone, { maxLength: 3 }),
  }),
  fc.record({ kind: fc.constant('edgeOffer' as const), swarm, peer: someone, token: small }),
  fc.record({ kind: fc.constant('edgeReserve' as const), swarm, token: small, node: someone.map((a) => a.node) }),
  fc.record({ kind: fc.constant('edgeTaken' as const), swarm, token: small }),
  fc.record({ kind: fc.constant('neighbours' as const), swarm, peers: fc.array(someone, { maxLength: 3 }) }),
  fc.record({
    kind: fc.constant('haves' as const),
    swarm,
    pieces: fc.array(small, { maxLength: 5 }),
    all: fc.boolean(),
  }),
  fc.record({ kind: fc.constant('grant' as const), grant: small, swarm, piece: fc.integer({ min: -1, max: 9 }) }),
  fc.record({ kind: fc.constant('missing' as const), grant: small, swarm, piece: small }),
  fc.record({
    kind: fc.constant('hashes' as const),
    swarm,
    from: small,
    total: fc.constantFrom(8, 9),
    hashes: fc.constantFrom(blob.hashes, new Uint8Array(32)),
  }),
  fc.record({
    kind: fc.constant('opened' as const),
    swarm,
    meta: fc.constant(blob.meta),
    all: fc.boolean(),
    growing: fc.boolean(),
    have: fc.constantFrom(new Uint8Array(1), Uint8Array.of(255)),
  }),
);
type Act = {
  readonly who: number;
  readonly out: boolean;
  readonly sideways: boolean;
  readonly message: Said;
  readonly waitMs: number;
};
const forPuller = new Set<string>(['refuse', 'edgeOffer', 'haves', 'grant', 'missing', 'hashes', 'opened']);
const acts: fc.Arbitrary<Act[]> = fc.array(
  fc.record({
    who: fc.integer({ min: 1, max: 4 }),
    out: fc.boolean(),
    sideways: fc.integer({ min: 0, max: 19 }).map((n) => n === 0),
    message: anything,
    waitMs: fc.constantFrom(0, 0, 0, 5, 300, 3000),
  }),
  { minLength: 5, maxLength: 80 },
);

test('whatever four peers say in whatever order, nothing of ours breaks and nothing leaks', () => {
  fc.assert(
    fc.property(acts, fc.boolean(), (all, pulls) => {
      const solo = new Solo();
      const peers = [1, 2, 3, 4].map((no) => address(no, no === 4 ? 'origin' : 'agent'));
      if (pulls) solo.pull(blob, peers);
      else solo.seed(blob);
      const links = new Map<number, { in: number; out: number }>();
      for (const peer of peers) {
        const out = pulls ? solo.answer(peer) : -1;
        if (pulls) solo.opened(out, blob, [0, 1, 2, 3]);
        const link = solo.accept(peer);
        solo.say(link, { kind: 'open', swarm: 0, digest: blob.digest, token: 0, empty: false, needHashes: false });
        solo.say(link, { kind: 'wants', swarms: [{ swarm: 0, count: 4 }], inPieces: 0, inBytes: 0 });
        links.set(peer.port - 1000, { in: link, out });
      }
      for (const { who, out, sideways, message, waitMs } of all) {
        const pair = links.get(who)!;
        const link = sideways ? (out ? pair.out : pair.in) : forPuller.has(message.kind) ? pair.out : pair.in;
        // The codec lets through what is valid in form only, and so does the driver's check of a header.
        const outputs = [...solo.say(link, message), ...solo.pass(waitMs)];
        for (const o of outputs) {
          if (o.kind !== 'send' || o.message.kind !== 'request' || who % 2 === 0) continue;
          if (solo.swarm.expects(o.link, o.message.swarm, o.message.piece) < 0) continue;
          solo.input({ kind: 'arrived', link: o.link, swarm: o.message.swarm, piece: o.message.piece, slot: 1 });
          const verdict = waitMs === 0 ? 'held' : waitMs === 5 ? 'corrupt' : 'failed';
          solo.input({ kind: 'verified', blob: 0, piece: o.message.piece, link: o.link, verdict });
        }
      }
      for (const no of links.values())
        for (const link of [no.in, no.out]) solo.input({ kind: 'closed', link, why: 'end' });
      for (const o of solo.out) if (o.kind === 'dial') solo.input({ kind: 'closed', link: o.link, why: 'refused' });
      expect(solo.swarm.totals).toMatchObject({
        links: 0,
        peers: 0,
        inPieces: 0,
        inBytes: 0,
        outPieces: 0,
        outBytes: 0,
      });
    }),
    { numRuns: 500, seed: 20_261 },
  );
});
