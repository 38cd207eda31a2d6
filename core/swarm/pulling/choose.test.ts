/** The piece policy on its own: rarest first, the reader's window, ties, and nothing that is not open. */

import { expect, test } from 'vitest';
import type { Digest } from '../../digest.ts';
import { prng } from '../../prng.ts';
import { defaultPolicy } from '../policy.ts';
import { add, bits, full, has, ones, remove } from '../records/bits.ts';
import { Blob, Edge, OutLink, type Peer, Source } from '../records/records.ts';
import { testBlob } from '../testing/cluster.ts';
import { address } from '../testing/solo.ts';
import { choosePiece, windowPieces } from './choose.ts';
import type { OurPullingBlob, OurSource } from './ours.ts';
import { beginPieces } from './wants.ts';

const unit = 256 * 1024;

type TestBlob = Omit<Blob, 'pulling'> & { readonly pulling: OurPullingBlob };

/** Of the blob's holdings, those that are taken. */
let places = 0;

function blobOf(pieces: number): TestBlob {
  places = 0;
  const blob = new Blob(0, 'sha256:00' as Digest, true) as TestBlob;
  const { meta, hashes } = testBlob(0, pieces);
  blob.root(meta);
  blob.ready(meta, hashes);
  beginPieces(blob, false);
  blob.pulling.open = full(pieces);
  blob.pulling.openCount = pieces;
  return blob;
}

function sourceOf(blob: TestBlob, have: Iterable<number> | 'all'): OurSource {
  const peer: Peer = { node: 'x', address: address(1), out: undefined, in: undefined, edges: 0, far: false };
  const at = { token: 0, via: undefined, nowMs: 0 };
  const source = new Source(new Edge(peer, blob), new OutLink(0, peer, 0), 0, at) as OurSource;
  source.state = 'open';
  source.all = have === 'all';
  source.place = places;
  places += 1;
  const theirs = bits(blob.pieces);
  for (const piece of have === 'all' ? [] : have) {
    add(theirs, piece);
    blob.pulling.holders[piece]! += 1;
  }
  blob.pulling.holdings.set(source.place, theirs);
  blob.pulling.holdings.counts[source.place] = theirs.reduce((sum, word) => sum + ones(word), 0);
  return source;
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

test('the rarest of what the source has, wherever it is', () => {
  const blob = blobOf(200);
  sourceOf(blob, range(0, 200));
  sourceOf(blob, range(0, 150));
  const source = sourceOf(blob, range(60, 160));
  blob.pulling.holders[77] = 1;
  for (let seed = 0; seed < 20; seed += 1) expect(choosePiece(source, defaultPolicy, prng(seed))).toBe(77);
  expect(choosePiece(sourceOf(blob, []), defaultPolicy, prng(1))).toBe(-1);
});

test('never a piece that is not open, and none once nothing is', () => {
  const blob = blobOf(70);
  const source = sourceOf(blob, range(0, 70));
  const chosen = new Set<number>();
  for (let i = 0; i < 70; i += 1) {
    const piece = choosePiece(source, defaultPolicy, prng(i));
    expect(has(blob.pulling.open, piece)).toBe(true);
    remove(blob.pulling.open, piece);
    blob.pulling.openCount -= 1;
    blob.pulling.holdings.counts[source.place]! -= 1;
    chosen.add(piece);
  }
  expect(chosen.size).toBe(70);
  expect(choosePiece(source, defaultPolicy, prng(1))).toBe(-1);
});

test('ties fall evenly enough over all pieces', () => {
  const blob = blobOf(100);
  const source = sourceOf(blob, 'all');
  const random = prng(3);
  const hits = new Array<number>(100).fill(0);
  for (let i = 0; i < 10_000; i += 1) hits[choosePiece(source, defaultPolicy, random)]! += 1;
  expect(Math.min(...hits)).toBeGreaterThan(50);
  expect(Math.max(...hits)).toBeLessThan(160);
});

test('a large blob is sampled, and the sample finds rare pieces', () => {
  const blob = blobOf(5_000);
  const source = sourceOf(blob, range(0, 5_000));
  for (let i = 0; i < 5_000; i += 1) blob.pulling.holders[i] = 2 + (i % 9);
  const random = prng(5);
  for (let i = 0; i < 50; i += 1) expect(blob.pulling.holders[choosePiece(source, defaultPolicy, random)]).toBe(2);
});

test('first what the reader stands at, then its window, then anything', () => {
  const blob = blobOf(200);
  const policy = { ...defaultPolicy, readWindowBytesMin: 20 * unit, readWindowBytesMax: 20 * unit };
  const source = sourceOf(blob, 'all');
  blob.pulling.holders.fill(3);
  blob.pulling.holders[190] = 0;
  blob.pulling.readers.push({ reader: 1, at: 100, end: 200, far: false });
  expect(choosePiece(source, policy, prng(1))).toBe(100);
  remove(blob.pulling.open, 100);
  blob.pulling.openCount -= 1;
  blob.pulling.holders[111] = 1;
  expect(choosePiece(source, policy, prng(2))).toBe(111);
  for (const piece of range(100, 120)) remove(blob.pulling.open, piece);
  expect(choosePiece(source, policy, prng(3))).toBe(190);
});

test('a reader at the end of the blob, and a window that its range cuts', () => {
  const blob = blobOf(64);
  const source = sourceOf(blob, 'all');
  blob.pulling.readers.push({ reader: 1, at: 64, end: 64, far: false }, { reader: 2, at: 10, end: 12, far: false });
  remove(blob.pulling.open, 10);
  blob.pulling.openCount -= 1;
  for (let seed = 0; seed < 10; seed += 1) expect(choosePiece(source, defaultPolicy, prng(seed))).toBe(11);
});

test('the window is an eighth of the blob within its bounds', () => {
  const blob = blobOf(4_096);
  expect(windowPieces(blob, { ...defaultPolicy, readWindowBytesMin: unit, readWindowBytesMax: 1024 * unit })).toBe(512);
  expect(windowPieces(blob, { ...defaultPolicy, readWindowBytesMin: unit, readWindowBytesMax: 100 * unit })).toBe(100);
  expect(windowPieces(blob, { ...defaultPolicy, readWindowBytesMin: 600 * unit, readWindowBytesMax: 900 * unit })).toBe(
    600,
  );
});

test('a reader that pulls for nobody else from complete sources gets its pieces in order', () => {
  const blob = blobOf(400);
  const source = sourceOf(blob, 'all');
  blob.pulling.sources.push(source, sourceOf(blob, 'all'));
  blob.pulling.readers.push({ reader: 0, at: 10, end: 400, far: false });
  remove(blob.pulling.open, 10);
  for (let seed = 0; seed < 20; seed += 1) expect(choosePiece(source, defaultPolicy, prng(seed))).toBe(11);
  // One that is incomplete may lack what we choose: any of the rarest again.
  blob.pulling.sources.push(sourceOf(blob, [11]));
  const chosen = new Set<number>();
  for (let seed = 0; seed < 20; seed += 1) chosen.add(choosePiece(source, defaultPolicy, prng(seed)));
  expect(chosen.size).toBeGreaterThan(5);
});
