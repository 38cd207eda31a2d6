/** Arbitrary messages of every kind, within the limits, for tests of the codec and of what sits on it. */

import fc from 'fast-check';
import { type Digest, digestOf } from '../digest.ts';
import { pieceCount, piecesMax } from '../piece.ts';
import { GOODBYE_REASONS, type Kind, PASS_REASONS, PEER_ROLES, REFUSE_REASONS } from './frames.ts';
import { grantMax, inBytesMax, inPiecesMax, swarmNoMax, tokenMax, wishesPerFrameMax, wishHopsMax } from './limits.ts';
import type { Message, PeerAddress } from './messages.ts';

const hex = (bytes: number): fc.Arbitrary<string> =>
  fc.uint8Array({ minLength: bytes, maxLength: bytes }).map((b) => Buffer.from(b).toString('hex'));
const upTo = (max: number): fc.Arbitrary<number> =>
  fc.oneof(
    fc.nat({ max: Math.min(max, 200) }),
    fc.maxSafeNat().map((n) => n % (max + 1)),
    fc.constant(max),
  );
const ascii = (max: number): fc.Arbitrary<string> =>
  fc.array(fc.integer({ min: 0x20, max: 0x7e }), { maxLength: max }).map((codes) => String.fromCharCode(...codes));

export const address: fc.Arbitrary<PeerAddress> = fc.record({
  node: hex(16),
  host: fc.constantFrom('10.0.0.1', '::1', 'fe80::1%eth0', 'node-7.rack_2.example', 'h'.repeat(255)),
  port: upTo(0xffff),
  role: fc.constantFrom(...PEER_ROLES),
  zone: ascii(64),
});
const addresses = fc.array(address, { maxLength: 32 });
const digest: fc.Arbitrary<Digest> = fc.oneof(
  hex(32).map((h) => digestOf('sha256', h)),
  hex(64).map((h) => digestOf('sha512', h)),
);
const swarm = upTo(swarmNoMax);
const piece = upTo(piecesMax - 1);
const grant = upTo(grantMax);
const token = upTo(tokenMax);
const inbound = { inPieces: upTo(inPiecesMax), inBytes: upTo(inBytesMax) };
const state = { count: upTo(piecesMax), ...inbound };
const pieces: fc.Arbitrary<Uint32Array> = fc
  .oneof(
    fc.uniqueArray(piece, { maxLength: 300 }),
    // Dense runs, which go as a bit set.
    fc
      .tuple(fc.nat({ max: piecesMax - 6000 }), fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 2000 }))
      .map(([first, gaps]) => {
        let at = first;
        return gaps.map((gap) => (at += gap));
      }),
  )
  .map((list) => Uint32Array.from(list).sort());

const opened = fc
  .record({
    log: fc.integer({ min: 18, max: 24 }),
    count: fc.nat({ max: 3000 }),
    short: fc.nat({ max: 1000 }),
    root: hex(32),
    all: fc.boolean(),
    growing: fc.boolean(),
    seed: fc.nat(),
  })
  .map(({ log, count, short, root, all: whole, growing: grows, seed }) => {
    const meta = { pieceLength: 2 ** log, length: Math.max(0, count * 2 ** log - short), root };
    const growing = grows && meta.length > 0;
    const all = whole && !growing;
    const have = new Uint8Array(all ? 0 : (pieceCount(meta) + 7) >> 3);
    if (!all)
      for (let i = 0; i < pieceCount(meta); i += 1 + (seed % 5))
        have[i >> 3] = (have[i >> 3] as number) | (1 << (i & 7));
    return growing ? { meta, all, growing, have, known: seed % pieceCount(meta) } : { meta, all, growing, have };
  });
const hashes = fc
  .record({
    count: fc.nat({ max: 2048 }),
    from: fc.nat({ max: piecesMax - 2048 }),
    more: fc.nat({ max: 2048 }),
    fill: fc.nat({ max: 255 }),
  })
  .map(({ count, from, more, fill }) => ({
    from,
    total: Math.min(piecesMax, from + count + more),
    hashes: new Uint8Array(count * 32).fill(fill),
  }));

/** One arbitrary a kind; the type makes sure that none is forgotten. */
export const MESSAGES: { readonly [K in Kind]: fc.Arbitrary<Extract<Message, { kind: K }>> } = {
  hello: fc.record({
    kind: fc.constant('hello'),
    version: upTo(0xffff),
    features: upTo(0xffff_ffff),
    cluster: ascii(64),
    self: address,
  }),
  goodbye: fc.record({ kind: fc.constant('goodbye'), reason: fc.constantFrom(...GOODBYE_REASONS) }),
  edgeReserve: fc.record({ kind: fc.constant('edgeReserve'), swarm, token, node: hex(16) }),
  edgeTaken: fc.record({ kind: fc.constant('edgeTaken'), swarm, token }),
  neighbours: fc.record({ kind: fc.constant('neighbours'), swarm, peers: addresses }),
  grown: fc.record({ kind: fc.constant('grown'), swarm, known: upTo(piecesMax) }),
  open: fc.record({ kind: fc.constant('open'), swarm, digest, token, empty: fc.boolean(), needHashes: fc.boolean() }),
  close: fc.record({ kind: fc.constant('close'), swarm }),
  wants: fc.record({
    kind: fc.constant('wants'),
    ...inbound,
    swarms: fc.array(fc.record({ swarm, count: upTo(piecesMax) }), { maxLength: 1024 }),
  }),
  request: fc.record({ kind: fc.constant('request'), grant, swarm, piece, hedge: fc.boolean(), ...state }),
  pass: fc.record({ kind: fc.constant('pass'), grant, swarm, reason: fc.constantFrom(...PASS_REASONS), ...state }),
  receipt: fc.record({ kind: fc.constant('receipt'), swarm, piece, ...state }),
  cancel: fc.record({ kind: fc.constant('cancel'), swarm, piece }),
  wantHashes: fc.record({ kind: fc.constant('wantHashes'), swarm, from: piece }),
  elsewhere: fc.record({ kind: fc.constant('elsewhere'), swarm, pieces }),
  wishes: fc.record({
    kind: fc.constant('wishes'),
    swarm,
    wishes: fc.array(fc.record({ piece, hops: fc.nat({ max: wishHopsMax }) }), { maxLength: wishesPerFrameMax }),
  }),
  opened: fc.tuple(swarm, opened).map(([swarm, rest]) => ({ kind: 'opened' as const, swarm, ...rest })),
  refuse: fc.record({
    kind: fc.constant('refuse'),
    swarm,
    reason: fc.constantFrom(...REFUSE_REASONS),
    peers: addresses,
  }),
  edgeOffer: fc.record({ kind: fc.constant('edgeOffer'), swarm, peer: address, token }),
  haves: fc
    .tuple(swarm, pieces, fc.boolean())
    .map(([swarm, pieces, all]) => ({ kind: 'haves' as const, swarm, pieces: all ? new Uint32Array(0) : pieces, all })),
  grant: fc.record({ kind: fc.constant('grant'), grant, swarm, piece: fc.oneof(fc.constant(-1), piece) }),
  piece: fc.record({
    kind: fc.constant('piece'),
    grant,
    swarm,
    piece,
    length: fc.integer({ min: 1, max: 16 * 1024 * 1024 }),
  }),
  missing: fc.record({ kind: fc.constant('missing'), grant, swarm, piece }),
  hashes: fc.tuple(swarm, hashes).map(([swarm, rest]) => ({ kind: 'hashes' as const, swarm, ...rest })),
  revoke: fc.record({ kind: fc.constant('revoke'), swarm }),
  gone: fc.record({ kind: fc.constant('gone'), swarm, pieces }),
};

export const message: fc.Arbitrary<Message> = fc.oneof(...Object.values(MESSAGES));
