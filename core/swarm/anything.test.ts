/** Whatever peers say, in whatever order, of blobs that we drop meanwhile: nothing of ours breaks, nothing leaks. */

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FEATURES } from '../wire/frames.ts';
import type { PeerAddress } from '../wire/messages.ts';
import { zombieMs } from './limits.ts';
import { testBlob } from './testing/cluster.ts';
import { growthOf } from './testing/growth.ts';
import { address, type Said, Solo } from './testing/solo.ts';

const blob = testBlob(0, 8);
const other = testBlob(1, 3);

const small = fc.integer({ min: 0, max: 9 });
const count = fc.integer({ min: 0, max: 40 });
const load = { inPieces: count, inBytes: fc.integer({ min: 0, max: 1 << 24 }) };
const someone: fc.Arbitrary<PeerAddress> = fc.integer({ min: 0, max: 30 }).map((no) => address(no));
const swarm = fc.integer({ min: 0, max: 3 });
const ascending = fc.uniqueArray(small).map((some) => some.sort((a, b) => a - b));
const anything: fc.Arbitrary<Said> = fc.oneof(
  fc.record({
    kind: fc.constant('open' as const),
    swarm,
    digest: fc.constantFrom(blob.digest, other.digest),
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
    pieces: ascending,
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
  fc.record({ kind: fc.constant('gone' as const), swarm, pieces: ascending }),
  fc.record({ kind: fc.constant('revoke' as const), swarm }),
  fc.record({
    kind: fc.constant('wishes' as const),
    swarm,
    wishes: ascending.map((pieces) => pieces.map((piece) => ({ piece, hops: 1 }))),
  }),
  fc.record({ kind: fc.constant('grown' as const), swarm, known: small }),
  fc.record({ kind: fc.constant('grant' as const), grant: small, swarm, piece: fc.integer({ min: -1, max: 9 }) }),
  fc.record({ kind: fc.constant('missing' as const), grant: small, swarm, piece: small }),
  fc.record({
    kind: fc.constant('hashes' as const),
    swarm,
    from: small,
    total: fc.constantFrom(3, 5, 8, 9),
    hashes: fc.constantFrom(blob.hashes, blob.hashes.subarray(0, 96), new Uint8Array(32)),
  }),
  fc.record({
    kind: fc.constant('opened' as const),
    swarm,
    meta: fc.constant(blob.meta),
    all: fc.boolean(),
    growing: fc.boolean(),
    known: fc.integer({ min: 0, max: 7 }),
    have: fc.constantFrom(new Uint8Array(1), Uint8Array.of(255)),
  }),
);
type Act = {
  readonly who: number;
  readonly out: boolean;
  readonly sideways: boolean;
  readonly message: Said;
  readonly waitMs: number;
  /** A blob that the host drops before. */
  readonly drop: number | undefined;
  /** Hashes of the first blob that are known then, while it grows; all: it is final. */
  readonly grown: number | undefined;
};
const features = FEATURES.wishes | FEATURES.gone | FEATURES.growing;
const forPuller = new Set<string>([
  'refuse',
  'edgeOffer',
  'haves',
  'gone',
  'revoke',
  'grant',
  'missing',
  'hashes',
  'opened',
]);
const acts: fc.Arbitrary<Act[]> = fc.array(
  fc.record({
    who: fc.integer({ min: 1, max: 4 }),
    out: fc.boolean(),
    sideways: fc.integer({ min: 0, max: 19 }).map((n) => n === 0),
    message: anything,
    waitMs: fc.constantFrom(0, 0, 0, 0, 0, 0, 5, 300, 3000, zombieMs + 1_000),
    drop: fc.constantFrom(0, 1, ...new Array<undefined>(38)),
    grown: fc.constantFrom(1, 3, 5, 8, ...new Array<undefined>(12)),
  }),
  { minLength: 5, maxLength: 80 },
);

const pieces = 8;

/** The host hears how far the blob is, or, where it receives that itself, says so. */
function grow(solo: Solo, known: number, receives: boolean): void {
  const { no, meta, hashes: all } = blob;
  const stats = solo.swarm.stats(no);
  if (stats === undefined) return;
  if (known === pieces) {
    if (!receives) solo.input({ kind: 'candidates', blob: no, peers: [], meta });
    else if (stats.known < pieces) solo.input({ kind: 'settled', blob: no, meta, hashes: all });
    return;
  }
  const growth = growthOf(blob, known);
  if (!receives) solo.input({ kind: 'grown', blob: no, growth });
  else if (stats.known < known) {
    const gained = Array.from({ length: known - stats.known }, (_, i) => stats.known + i);
    solo.input({ kind: 'grown', blob: no, growth, hashes: all.subarray(0, known * 32), gained });
  }
}

/** Whatever was opened there is held, or half of it. */
function answerOpens(solo: Solo, link: number): void {
  for (const { digest, swarm } of solo.allSent(link, 'open')) {
    const { meta } = digest === blob.digest ? blob : other;
    const have = Uint8Array.of(digest === blob.digest ? 15 : 7);
    solo.say(link, { kind: 'opened', swarm, meta, all: false, growing: false, have });
  }
}

test('whatever four peers say in whatever order, nothing of ours breaks and nothing leaks', () => {
  fc.assert(
    fc.property(acts, fc.boolean(), fc.boolean(), (all, pulls, grows) => {
      const solo = new Solo();
      const peers = [1, 2, 3, 4].map((no) => address(no, no === 4 ? 'origin' : 'agent'));
      if (grows) {
        const { no, digest } = blob;
        const nothing = { meta: undefined, hashes: undefined, have: undefined };
        solo.input({ kind: 'blob', blob: no, digest, ...nothing, pull: pulls });
        if (pulls) solo.input({ kind: 'candidates', blob: no, peers, meta: undefined });
        grow(solo, 3, !pulls);
      } else if (pulls) solo.pull(blob, peers);
      else solo.seed(blob);
      if (pulls) solo.pull(other, peers);
      const links = new Map<number, { in: number; out: number }>();
      for (const peer of peers) {
        const out = pulls ? solo.answer(peer, features) : -1;
        if (pulls) answerOpens(solo, out);
        const link = solo.accept(peer, features);
        solo.say(link, { kind: 'open', swarm: 0, digest: blob.digest, token: 0, empty: false, needHashes: false });
        solo.say(link, { kind: 'wants', swarms: [{ swarm: 0, count: 4 }], inPieces: 0, inBytes: 0 });
        links.set(peer.port - 1000, { in: link, out });
      }
      for (const { who, out, sideways, message, waitMs, drop, grown } of all) {
        if (grows && grown !== undefined) grow(solo, grown, !pulls);
        if (drop !== undefined) solo.input({ kind: 'drop', blob: drop });
        const pair = links.get(who)!;
        const link = sideways ? (out ? pair.out : pair.in) : forPuller.has(message.kind) ? pair.out : pair.in;
        // The codec lets through what is valid in form only, and so does the driver's check of a header.
        const outputs = [...solo.say(link, message), ...solo.pass(waitMs)];
        for (const o of outputs) {
          if (o.kind !== 'send' || o.message.kind !== 'request' || who % 2 === 0) continue;
          if (solo.swarm.expects(o.link, o.message.swarm, o.message.piece) < 0) continue;
          solo.input({ kind: 'arrived', link: o.link, swarm: o.message.swarm, piece: o.message.piece, slot: 1 });
          const verdict = waitMs === 0 ? 'held' : waitMs === 5 ? 'corrupt' : 'failed';
          const verify = solo.out.findLast(({ kind }) => kind === 'verify' || kind === 'release');
          if (verify?.kind === 'verify') solo.input({ ...verify, kind: 'verified', verdict });
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
