/** The choice of a piece at 5,120 pieces and 50 neighbours, half of the blob held by each, a tenth of it open. */

import { type Digest, digestOf } from '../../core/digest.ts';
import { unitBytes } from '../../core/piece.ts';
import { type Prng, prng } from '../../core/prng.ts';
import { defaultPolicy } from '../../core/swarm/policy.ts';
import { choosePiece } from '../../core/swarm/pulling/choose.ts';
import { beginPieces } from '../../core/swarm/pulling/wants.ts';
import { add, bits, type Holdings, has } from '../../core/swarm/records/bits.ts';
import type { Ours } from '../../core/swarm/records/ours.ts';
import { Blob, Edge, OutLink, type Peer, Source } from '../../core/swarm/records/records.ts';
import type { MicroCase } from './runner.ts';

const pieces = 5_120;
const neighbours = 50;
const heldShare = 0.5;
const openShare = 0.1;

/** `reader`: somebody reads in order, so that the window is looked at first. */
export function chooseCase(reader: boolean): MicroCase {
  const random = prng(1);
  const { sources } = swarmOf(random, reader);
  let turn = 0;
  return {
    name: `piece choice${reader ? ' with a reader' : ''}`,
    units: 1,
    run: () => {
      turn = (turn + 1) % neighbours;
      return choosePiece(sources[turn] as Source, defaultPolicy, random);
    },
  };
}

function swarmOf(random: Prng, reader: boolean): { blob: Blob; sources: Source[] } {
  const blob = new Blob(0, digestOf('sha256', '0'.repeat(64)) as Digest, true);
  blob.root({ length: pieces * unitBytes, pieceLength: unitBytes, root: '0'.repeat(64) });
  beginPieces(blob, false);
  const pulling = blob.pulling as Ours<Blob['pulling']>;
  for (let piece = 0; piece < pieces; piece++) {
    if (random.unit() >= openShare) continue;
    add(pulling.open, piece);
    pulling.openCount++;
  }
  if (reader) pulling.readers.push({ reader: 1, at: pieces / 4, end: pieces, far: false });
  const sources = Array.from({ length: neighbours }, (_, i) => sourceOf(blob, i, random));
  return { blob, sources };
}

function sourceOf(blob: Blob, i: number, random: Prng): Source {
  const node = i.toString(16).padStart(32, '0');
  const address = { node, host: '10.0.0.1', port: 1, role: 'agent', zone: '' } as const;
  const peer: Peer = { node, address, out: undefined, in: undefined, edges: 0, far: false };
  const at = { token: 0, via: undefined, nowMs: 0 };
  const source: Ours<Source> = new Source(new Edge(peer, blob), new OutLink(i * 2, peer, 0), 0, at) as Ours<Source>;
  const pulling = blob.pulling as Ours<Blob['pulling']>;
  const theirs = bits(pieces);
  source.state = 'open';
  source.place = pulling.sources.push(source) - 1;
  let count = 0;
  for (let piece = 0; piece < pieces; piece++) {
    if (random.unit() >= heldShare) continue;
    add(theirs, piece);
    pulling.holders[piece] = (pulling.holders[piece] as number) + 1;
    if (has(pulling.open, piece)) count++;
  }
  const holdings = pulling.holdings as Holdings;
  holdings.set(source.place, theirs);
  holdings.counts[source.place] = count;
  return source;
}
