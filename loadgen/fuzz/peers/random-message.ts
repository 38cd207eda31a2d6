/** Any message that one side of a link may send, well-formed but with fields that rarely make sense. */

import { type Digest, digestOf } from '../../../core/digest.ts';
import { piecesMax } from '../../../core/piece.ts';
import type { Prng } from '../../../core/prng.ts';
import {
  FRAMES,
  GOODBYE_REASONS,
  type Kind,
  PASS_REASONS,
  REFUSE_REASONS,
  type Side,
} from '../../../core/wire/frames.ts';
import {
  grantMax,
  inBytesMax,
  inPiecesMax,
  swarmNoMax,
  tokenMax,
  wishesPerFrameMax,
  wishHopsMax,
} from '../../../core/wire/limits.ts';
import type { Message, Opened, PeerAddress, Wants, Wish } from '../../../core/wire/messages.ts';
import type { Content } from '../content.ts';

export type Known = {
  readonly prng: Prng;
  readonly contents: readonly Content[];
  readonly peers: readonly PeerAddress[];
};

export function pick<T>(prng: Prng, items: readonly T[]): T {
  return items[prng.below(items.length)] as T;
}

const KINDS: Readonly<Record<Side, readonly Kind[]>> = {
  puller: kindsOf('puller'),
  feeder: kindsOf('feeder'),
};

function kindsOf(side: Side): readonly Kind[] {
  return Object.values(FRAMES)
    .filter((frame) => (frame.from === side || frame.from === 'either') && frame.kind !== 'piece')
    .map((frame) => frame.kind);
}

/** Small mostly, the limit now and then. */
function number(prng: Prng, max: number): number {
  const draw = prng.below(16);
  if (draw === 0) return max;
  if (draw === 1) return Math.floor(prng.unit() * max);
  return prng.below(Math.min(max, 8) + 1);
}

export function nodeId(prng: Prng): string {
  let node = '';
  while (node.length < 32)
    node += prng
      .below(2 ** 16)
      .toString(16)
      .padStart(4, '0');
  return node;
}

export function strangeAddress({ prng, peers }: Known): PeerAddress {
  if (peers.length > 0 && prng.below(2) === 0) return { ...pick(prng, peers), role: 'agent' };
  return {
    node: nodeId(prng),
    host: pick(prng, ['h0', 'h9999', 'nowhere.example', '::1']),
    port: prng.below(65536),
    role: 'agent',
    zone: '',
  };
}

function digestAny({ prng, contents }: Known): Digest {
  return prng.below(4) === 0 ? digestOf('sha256', nodeId(prng) + nodeId(prng)) : pick(prng, contents).digest;
}

function ascending(prng: Prng, count: number): number[] {
  const pieces: number[] = [];
  let at = prng.below(3);
  for (let i = 0; i < count; i++) {
    pieces.push(at);
    at += 1 + prng.below(3);
  }
  return pieces;
}

function openedOf({ prng, contents }: Known, swarm: number): Opened {
  const { meta, pieces } = pick(prng, contents);
  const all = prng.below(2) === 0;
  const have = all ? new Uint8Array(0) : new Uint8Array((pieces + 7) >> 3).fill(prng.below(256));
  const growing = prng.below(4) === 0 && !all && pieces > 0;
  const opened: Opened = { kind: 'opened', swarm, meta, all, growing, have };
  return growing ? { ...opened, known: pieces >> 1 } : opened;
}

function wantsOf(prng: Prng): Wants['swarms'] {
  return Array.from({ length: prng.below(4) }, () => ({
    swarm: number(prng, swarmNoMax),
    count: number(prng, piecesMax),
  }));
}

function wishesOf(prng: Prng): Wish[] {
  return Array.from({ length: prng.below(wishesPerFrameMax + 1) }, () => ({
    piece: number(prng, piecesMax - 1),
    hops: prng.below(wishHopsMax + 1),
  }));
}

function openFlags(prng: Prng): { readonly empty: boolean; readonly needHashes: boolean } {
  return { empty: prng.below(2) === 0, needHashes: prng.below(2) === 0 };
}

export function randomMessage(known: Known, side: Side): Exclude<Message, { kind: 'piece' }> {
  const { prng } = known;
  const kind = pick(prng, KINDS[side]) as Exclude<Kind, 'piece'>;
  const swarm = number(prng, swarmNoMax);
  const piece = number(prng, piecesMax - 1);
  const grant = number(prng, grantMax);
  const token = number(prng, tokenMax);
  const inbound = { inPieces: number(prng, inPiecesMax), inBytes: number(prng, inBytesMax) };
  const count = number(prng, piecesMax);
  const addresses = Array.from({ length: prng.below(5) }, () => strangeAddress(known));
  switch (kind) {
    case 'hello':
      return {
        kind,
        version: prng.below(3),
        features: prng.below(2 ** 31),
        cluster: pick(prng, ['fuzz', 'other', '']),
        self: strangeAddress(known),
      };
    case 'goodbye':
      return { kind, reason: pick(prng, GOODBYE_REASONS) };
    case 'edgeReserve':
      return { kind, swarm, token, node: nodeId(prng) };
    case 'edgeTaken':
      return { kind, swarm, token };
    case 'neighbours':
      return { kind, swarm, peers: addresses };
    case 'grown':
      return { kind, swarm, known: number(prng, piecesMax) };
    case 'open':
      return { kind, swarm, digest: digestAny(known), token, ...openFlags(prng) };
    case 'close':
    case 'revoke':
      return { kind, swarm };
    case 'wants':
      return { kind, ...inbound, swarms: wantsOf(prng) };
    case 'request':
      return { kind, ...inbound, grant, swarm, piece, hedge: prng.below(2) === 0, count };
    case 'pass':
      return { kind, ...inbound, grant, swarm, reason: pick(prng, PASS_REASONS), count };
    case 'receipt':
      return { kind, ...inbound, swarm, piece, count };
    case 'cancel':
      return { kind, swarm, piece };
    case 'elsewhere':
    case 'gone':
      return { kind, swarm, pieces: ascending(prng, prng.below(40)) };
    case 'wishes':
      return { kind, swarm, wishes: wishesOf(prng) };
    case 'wantHashes':
      return { kind, swarm, from: piece };
    case 'opened':
      return openedOf(known, swarm);
    case 'refuse':
      return { kind, swarm, reason: pick(prng, REFUSE_REASONS), peers: addresses };
    case 'edgeOffer':
      return { kind, swarm, peer: strangeAddress(known), token };
    case 'haves': {
      const all = prng.below(3) === 0;
      return { kind, swarm, pieces: all ? [] : ascending(prng, 1 + prng.below(6)), all };
    }
    case 'grant':
      return { kind, grant, swarm, piece: piece - 1 };
    case 'missing':
      return { kind, grant, swarm, piece };
    case 'hashes': {
      const hashes = new Uint8Array(32 * prng.below(5)).fill(prng.below(256));
      return { kind, swarm, from: prng.below(3), total: prng.below(3) + hashes.length / 32 + 2, hashes };
    }
  }
}
