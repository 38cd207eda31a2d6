/** The choice of a piece at 5,120 pieces and 50 neighbours, half of the blob held by each, a tenth of it open. */

import { type Digest, digestOf } from '../../core/digest.ts';
import { unitBytes } from '../../core/piece.ts';
import { type Prng, prng } from '../../core/prng.ts';
import { defaultPolicy } from '../../core/swarm/policy.ts';
import { choosePiece } from '../../core/swarm/pulling/choose.ts';
import { bits } from '../../core/swarm/records/bits.ts';
import { Blob } from '../../core/swarm/records/blob.ts';
import { type Edge, OutLink, type Peer, Source } from '../../core/swarm/records/links.ts';
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
  for (let piece = 0; piece < pieces; piece++) {
    if (random.unit() >= openShare) continue;
    blob.open[piece >> 5] = (blob.open[piece >> 5] as number) | (1 << (piece & 31));
    blob.openCount++;
  }
  if (reader) blob.readers.push({ reader: 1, at: pieces / 4, end: pieces, far: false });
  const sources = Array.from({ length: neighbours }, (_, i) => sourceOf(blob, i, random));
  return { blob, sources };
}

function sourceOf(blob: Blob, i: number, random: Prng): Source {
  const node = i.toString(16).padStart(32, '0');
  const address = { node, host: '10.0.0.1', port: 1, role: 'agent', zone: '' } as const;
  const peer: Peer = { node, address, out: undefined, in: undefined, edges: 0 };
  const edge: Edge = { peer, blob, source: undefined, sink: undefined };
  const source = new Source(new OutLink(i * 2, peer, 0), 0, edge);
  source.state = 'open';
  source.bits = bits(pieces);
  for (let piece = 0; piece < pieces; piece++) {
    if (random.unit() >= heldShare) continue;
    source.bits[piece >> 5] = (source.bits[piece >> 5] as number) | (1 << (piece & 31));
    blob.holders[piece] = (blob.holders[piece] as number) + 1;
    if ((((blob.open[piece >> 5] as number) >>> (piece & 31)) & 1) === 1) source.count++;
  }
  return source;
}
