/** A blob that grows, message by message: as its origin feeds it, as an agent pulls it, and what a peer may not say of it. */

import { describe, expect, test } from 'vitest';
import { FEATURES } from '../wire/frames.ts';
import type { Opened } from '../wire/messages.ts';
import { type TestBlob, testBlob, testRoot } from './testing/cluster.ts';
import { growthOf } from './testing/growth.ts';
import { address, type Said, Solo } from './testing/solo.ts';

const blob = testBlob(0, 10);
const other = testBlob(1, 10);
const nothing = { meta: undefined, hashes: undefined, have: undefined };
const features = FEATURES.growing;
const hash = 32;
const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

const hashesOf = (from: number, to: number, of: TestBlob = blob): Uint8Array => of.hashes.slice(from * hash, to * hash);
const list = (from: number, to: number, total = to): Said => ({
  kind: 'hashes',
  swarm: 0,
  from,
  total,
  hashes: hashesOf(from, to),
});

function openedGrowing(
  known: number,
  have: readonly number[] = range(0, known),
  root = growthOf(blob, known).root,
): Opened {
  const bytes = new Uint8Array(2);
  for (const piece of have) bytes[piece >> 3]! |= 1 << (piece & 7);
  return { kind: 'opened', swarm: 0, meta: { ...blob.meta, root }, all: false, growing: true, known, have: bytes };
}

// ---- the origin that receives it -----------------------------------------------------------------------

class Receiving extends Solo {
  known = 0;
  constructor() {
    super({ role: 'origin' });
    this.input({ kind: 'blob', blob: 0, digest: blob.digest, ...nothing, pull: false });
    this.grow(0);
  }

  grow(known: number): void {
    const gained = range(this.known, known);
    this.known = known;
    this.input({ kind: 'grown', blob: 0, growth: growthOf(blob, known), hashes: hashesOf(0, known), gained });
  }

  settle(): void {
    this.input({ kind: 'settled', blob: 0, meta: blob.meta, hashes: blob.hashes });
  }

  puller(no: number, theirs: number): number {
    const link = this.accept(address(no), theirs);
    this.say(link, { kind: 'open', swarm: 0, digest: blob.digest, token: 0, empty: true, needHashes: false });
    return link;
  }

  wants(link: number, count: number): void {
    this.say(link, { kind: 'wants', swarms: [{ swarm: 0, count }], inPieces: 3, inBytes: 3 << 18 });
  }
}

describe('whoever receives it', () => {
  test('opens it at once to who understands, and to others when it is whole', () => {
    const solo = new Receiving();
    const [now, before] = [solo.puller(1, features), solo.puller(2, 0)];
    expect(solo.sent(now, 'opened')).toEqual({ ...openedGrowing(0), have: new Uint8Array(2) });
    expect(solo.sent(before, 'opened')).toBeUndefined();
    solo.grow(4);
    solo.pass(1_000);
    expect(solo.sent(before, 'opened')).toBeUndefined();
    expect(solo.sent(now, 'grown')).toMatchObject({ known: 4 });
    expect(solo.allSent(now, 'haves').flatMap(({ pieces }) => [...pieces])).toEqual([0, 1, 2, 3]);
    expect(solo.sent(solo.puller(3, features), 'opened')).toEqual(openedGrowing(4));
    solo.settle();
    expect(solo.sent(before, 'opened')).toMatchObject({ meta: blob.meta, all: true, growing: false });
    solo.pass(100);
    expect(solo.sent(now, 'grown')).toMatchObject({ known: 10 });
    expect(solo.sent(now, 'haves')).toMatchObject({ all: true });
    // One whose release knows nothing of this hears nothing of it.
    expect(solo.allSent(before, 'grown')).toEqual([]);
  });

  test('gives each piece by name, once, and none whose hash its puller does not know', () => {
    const solo = new Receiving();
    const link = solo.puller(1, features);
    solo.grow(6);
    solo.say(link, { kind: 'grown', swarm: 0, known: 2 });
    solo.wants(link, 4);
    const named = (): number[] => solo.allSent(link, 'grant').map(({ piece }) => piece);
    expect(named().sort()).toEqual([0, 1]);
    for (const { grant } of solo.allSent(link, 'grant'))
      solo.say(link, { kind: 'pass', grant, swarm: 0, reason: 'held', count: 4, inPieces: 3, inBytes: 3 << 18 });
    solo.pass(300);
    expect(named()).toHaveLength(2);
    solo.say(link, { kind: 'grown', swarm: 0, known: 5 });
    expect(named().slice(2).sort()).toEqual([2, 3, 4]);
    solo.say(link, { kind: 'grown', swarm: 0, known: 6 });
    solo.pass(100);
    expect(new Set(named()).size).toBe(named().length);
  });

  test('tells of its list as far as it goes', () => {
    const solo = new Receiving();
    const link = solo.puller(1, features);
    solo.grow(6);
    for (const [from, told] of [
      [0, list(0, 6)],
      [4, list(4, 6)],
      [6, list(6, 6)],
      [9, list(6, 6)],
    ] as const) {
      solo.say(link, { kind: 'wantHashes', swarm: 0, from });
      expect(solo.sent(link, 'hashes')).toEqual(told);
    }
  });

  test.each<[string, Said, RegExp]>([
    ['shrinks', { kind: 'grown', swarm: 0, known: 2 }, /knows less/],
    ['knows more than there is', { kind: 'grown', swarm: 0, known: 11 }, /beyond the blob/],
    ['asks for hashes beyond the blob', { kind: 'wantHashes', swarm: 0, from: 10 }, /beyond the blob/],
  ])('a puller that %s is at fault', (_what, message, why) => {
    const solo = new Receiving();
    const link = solo.puller(1, features);
    solo.say(link, { kind: 'grown', swarm: 0, known: 3 });
    expect(solo.faultOf(link)).toBeUndefined();
    solo.say(link, message);
    expect(solo.faultOf(link)).toMatch(why);
  });

  test('a puller that grows without the feature, or before it was answered, is at fault', () => {
    const solo = new Receiving();
    const link = solo.puller(1, 0);
    solo.say(link, { kind: 'grown', swarm: 0, known: 0 });
    expect(solo.faultOf(link)).toMatch(/without its feature/);
  });
});

// ---- an agent ----------------------------------------------------------------------------------------------

class Pulling extends Solo {
  constructor(known: number, peers = [address(1)], theirs: number = features) {
    // Who has two neighbours looks for no others.
    super(peers.length === 2 ? { policy: { neighboursPerBlobMax: 2 } } : {});
    this.input({ kind: 'blob', blob: 0, digest: blob.digest, ...nothing, pull: true });
    this.input({ kind: 'candidates', blob: 0, peers, meta: undefined });
    this.told(known);
    for (const peer of peers) this.answer(peer, theirs);
  }

  told(known: number): void {
    this.input({ kind: 'grown', blob: 0, growth: growthOf(blob, known) });
  }

  linkTo(no: number): number {
    const dial = this.out.find((o) => o.kind === 'dial' && o.peer.node === address(no).node);
    return dial?.kind === 'dial' ? dial.link : -1;
  }

  get known(): number {
    return this.swarm.stats(0)?.known ?? -1;
  }

  outputs(kind: 'learned' | 'refresh' | 'odds' | 'complete') {
    return this.out.filter((o) => o.kind === kind);
  }

  take(link: number, piece: number): void {
    const grant = 100 + piece;
    this.say(link, { kind: 'grant', grant, swarm: 0, piece: -1 });
    const { piece: asked } = this.sent(link, 'request')!;
    this.input({ kind: 'arrived', link, swarm: 0, piece: asked, slot: 1 });
    this.input({ kind: 'verified', blob: 0, piece: asked, link, verdict: 'held' });
  }
}

/** Knows four, from a neighbour that knows as many, and holds them. */
function pulling(known = 4): { solo: Pulling; link: number } {
  const solo = new Pulling(known);
  const link = solo.linkTo(1);
  solo.say(link, openedGrowing(known));
  if (known > 0) solo.say(link, list(0, known));
  return { solo, link };
}

describe('an agent', () => {
  test('learns the list bit by bit, fetches what it knows, and is whole when the last of it agrees', () => {
    const { solo, link } = pulling();
    expect(solo.sent(link, 'wantHashes')).toMatchObject({ from: 0 });
    expect(solo.outputs('learned')).toEqual([
      { kind: 'learned', blob: 0, growth: growthOf(blob, 4), hashes: hashesOf(0, 4) },
    ]);
    expect(solo.sent(link, 'grown')).toMatchObject({ known: 4 });
    for (const piece of range(0, 4)) solo.take(link, piece);
    expect(solo.swarm.stats(0)).toMatchObject({ held: 4, known: 4, pieces: 10 });
    expect(solo.outputs('complete')).toEqual([]);

    solo.told(7);
    expect(solo.allSent(link, 'wantHashes')).toHaveLength(1);
    solo.say(link, { kind: 'grown', swarm: 0, known: 8 });
    expect(solo.sent(link, 'wantHashes')).toMatchObject({ from: 4 });
    // It may send all that it knows: what nobody has vouched for yet is left.
    solo.say(link, list(4, 8));
    expect(solo.known).toBe(7);
    expect(solo.outputs('learned').at(-1)).toMatchObject({ growth: { known: 7 }, hashes: hashesOf(0, 7) });
    solo.say(link, { kind: 'haves', swarm: 0, pieces: [4, 5, 6, 7], all: false });
    for (const piece of range(4, 7)) solo.take(link, piece);

    solo.say(link, { kind: 'grown', swarm: 0, known: 10 });
    solo.say(link, { kind: 'haves', swarm: 0, pieces: [], all: true });
    solo.input({ kind: 'candidates', blob: 0, peers: [], meta: blob.meta });
    solo.say(link, list(7, 10));
    expect(solo.outputs('learned').at(-1)).toEqual({ kind: 'learned', blob: 0, meta: blob.meta, hashes: blob.hashes });
    for (const piece of range(7, 10)) solo.take(link, piece);
    expect(solo.outputs('complete')).toHaveLength(1);
    expect(solo.faultOf(link)).toBeUndefined();
  });

  test('that has all that is known does not starve: nobody else is looked for, however long it takes', () => {
    const peers = [address(1), address(2)];
    const solo = new Pulling(4, peers);
    const links = peers.map((_, i) => solo.linkTo(i + 1));
    for (const link of links) solo.say(link, openedGrowing(4));
    const [first] = links as [number];
    solo.say(first, list(0, 4));
    for (const piece of range(0, 4)) solo.take(first, piece);
    const later = solo.pass(60_000);
    expect(later.filter(({ kind }) => kind === 'seek' || kind === 'close' || kind === 'dial')).toEqual([]);
  });

  test('asks its tracker, once, when a neighbour is further than that said', () => {
    const { solo, link } = pulling();
    for (const known of [5, 6, 7]) solo.say(link, { kind: 'grown', swarm: 0, known });
    expect(solo.outputs('refresh')).toEqual([{ kind: 'refresh', blob: 0, whole: false }]);
    solo.told(7);
    solo.say(link, list(4, 7));
    solo.say(link, { kind: 'grown', swarm: 0, known: 8 });
    expect(solo.outputs('refresh')).toHaveLength(2);
  });

  test('that is named a piece beyond what it knows leaves it with the feeder, and says what it would take', () => {
    const { solo, link } = pulling();
    solo.say(link, { kind: 'grown', swarm: 0, known: 8 });
    solo.say(link, { kind: 'grant', grant: 1, swarm: 0, piece: 7 });
    expect(solo.sent(link, 'pass')).toMatchObject({ reason: 'nothing', count: 4 });
  });

  test('passes over what is less than it knows, and what contradicts it is odds', () => {
    const { solo } = pulling();
    solo.told(3);
    expect(solo.known).toBe(4);
    solo.input({ kind: 'grown', blob: 0, growth: { ...growthOf(blob, 4), root: testRoot(other.hashes) } });
    expect(solo.outputs('odds')).toEqual([{ kind: 'odds', blob: 0 }]);
    const again = pulling().solo;
    again.input({ kind: 'candidates', blob: 0, peers: [], meta: { ...blob.meta, length: blob.meta.length - 1 } });
    expect(again.outputs('odds')).toHaveLength(1);
    expect(again.swarm.totals.blobs).toBe(0);
  });

  test('whose origin knows another list than what was told before is at odds; an agent that does so is at fault', () => {
    for (const role of ['agent', 'origin'] as const) {
      const solo = new Pulling(4, [address(1, role)]);
      const link = solo.linkTo(1);
      solo.say(link, openedGrowing(4));
      solo.say(link, list(0, 4));
      solo.say(link, { kind: 'grown', swarm: 0, known: 7 });
      solo.told(7);
      solo.say(link, { kind: 'hashes', swarm: 0, from: 4, total: 7, hashes: hashesOf(4, 7, other) });
      expect(solo.outputs('odds')).toHaveLength(role === 'origin' ? 1 : 0);
      expect(solo.faultOf(link) === undefined).toBe(role === 'origin');
    }
  });

  test('takes the list of whoever is as far, where one lies or is too slow', () => {
    const solo = new Pulling(4, [address(1), address(2), address(3)]);
    const [one, two, three] = [1, 2, 3].map((no) => solo.linkTo(no)) as [number, number, number];
    solo.say(one, openedGrowing(3));
    solo.say(two, openedGrowing(4));
    solo.say(three, openedGrowing(5));
    expect(solo.allSent(one, 'wantHashes')).toEqual([]);
    expect(solo.allSent(two, 'wantHashes')).toHaveLength(1);
    solo.say(two, { kind: 'hashes', swarm: 0, from: 0, total: 4, hashes: hashesOf(0, 4, other) });
    expect(solo.faultOf(two)).toMatch(/does not match its root/);
    expect(solo.known).toBe(0);
    expect(solo.allSent(three, 'wantHashes')).toHaveLength(1);
    solo.say(three, list(0, 5));
    expect(solo.known).toBe(4);
  });

  test('with the final metainfo goes on from neighbours that know less', () => {
    const solo = new Solo();
    solo.pull(blob, [address(1)]);
    const link = solo.answer(address(1), features);
    solo.say(link, openedGrowing(4, [0, 1]));
    expect(solo.faultOf(link)).toBeUndefined();
    expect(solo.sent(link, 'grown')).toMatchObject({ known: 10 });
    expect(solo.sent(link, 'wants')).toMatchObject({ swarms: [{ swarm: 0, count: 2 }] });
  });

  const faulty: readonly [string, Said, RegExp][] = [
    ['knows less than before', { kind: 'grown', swarm: 0, known: 3 }, /knows less/],
    ['sends a list that is less than before', list(0, 3), /knows less/],
    ['knows more than there is', { kind: 'grown', swarm: 0, known: 11 }, /out of bounds/],
    [
      'sends hashes beyond the blob',
      { kind: 'hashes', swarm: 0, from: 4, total: 11, hashes: hashesOf(4, 10) },
      /out of bounds/,
    ],
    ['holds a piece before its hash', { kind: 'haves', swarm: 0, pieces: [3, 4], all: false }, /does not know/],
    ['gave up a piece before its hash', { kind: 'gone', swarm: 0, pieces: [4] }, /does not know/],
    ['names a piece before its hash', { kind: 'grant', grant: 1, swarm: 0, piece: 4 }, /does not know/],
  ];
  test.each(faulty)('a feeder that %s is at fault', (_what, message, why) => {
    const { solo, link } = pulling();
    expect(solo.faultOf(link)).toBeUndefined();
    solo.say(link, message);
    expect(solo.faultOf(link)).toMatch(why);
    expect(solo.known).toBe(4);
  });

  test('a feeder that knows as much of another list is at fault', () => {
    const solo = new Pulling(4, [address(1), address(2)]);
    solo.say(solo.linkTo(1), openedGrowing(4));
    solo.say(solo.linkTo(1), list(0, 4));
    solo.say(solo.linkTo(2), openedGrowing(4, [], testRoot(other.hashes)));
    expect(solo.faultOf(solo.linkTo(2))).toMatch(/metainfo differs/);
  });

  const lies: readonly [string, Opened, number, RegExp][] = [
    [
      'of another length',
      { ...openedGrowing(4), meta: { ...blob.meta, length: blob.meta.length - 1 } },
      features,
      /metainfo differs/,
    ],
    ['that holds more than it knows', openedGrowing(4, [1, 4]), features, /whose hash it does not know/],
    ['that grows without the feature', openedGrowing(4), 0, /without its feature/],
  ];
  test.each(lies)('opened as one %s is a fault', (_what, message, theirs, why) => {
    const solo = new Pulling(4, [address(1)], theirs);
    solo.say(solo.linkTo(1), message);
    expect(solo.faultOf(solo.linkTo(1))).toMatch(why);
  });
});
