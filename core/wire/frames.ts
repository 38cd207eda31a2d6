/**
 * The table of frame types: number, who may send it, its flags, the most its body may hold.
 * The header is u32 body length, u8 type, u8 flags, u16 swarm, little-endian.
 */

import { hashBytes, piecesMax } from '../piece.ts';
import {
  hashesPerFrameMax,
  havesPerFrameMax,
  hostBytesMax,
  peersPerFrameMax,
  swarmsPerLinkMax,
  wishesPerFrameMax,
  zoneBytesMax,
} from './limits.ts';
import type { Message } from './messages.ts';

export type Kind = Message['kind'];
/** The side of a link: who dialled pulls, who accepted feeds. */
export type Side = 'puller' | 'feeder';

export type Frame = {
  readonly kind: Kind;
  readonly type: number;
  readonly from: Side | 'either';
  /** Whether the header's swarm means something; it is 0 otherwise. */
  readonly swarm: boolean;
  /** Bits of the header's flags that may be set. */
  readonly flags: number;
  /** Most bytes of the body. */
  readonly bodyMax: number;
};

/** Bits of a Hello's features, for the frame or the flag of that name: used where both sides have it. */
export const FEATURES = { wishes: 1, gone: 2, growing: 4 } as const;

export const OPEN_FLAGS = { empty: 1, needHashes: 2 } as const;
export const REQUEST_FLAGS = { hedge: 1 } as const;
export const OPENED_FLAGS = { all: 1, growing: 2 } as const;
export const HAVES_FLAGS = { all: 1, bitmap: 2 } as const;
export const ELSEWHERE_FLAGS = { bitmap: 2 } as const;
export const GONE_FLAGS = { bitmap: 2 } as const;

/** Node, role, port, host, zone. */
export const addressBytesMax = 16 + 1 + 2 + 1 + hostBytesMax + 1 + zoneBytesMax;
/** What a Hello may grow to in later versions; this version ignores what follows its fields. */
export const helloBytesMax = 1024;
/** The denser form is at most this long: a gap of at most piecesMax takes 3 bytes. */
export const haveBytesMax = 3 + 3 * havesPerFrameMax;
/** Two counts of 3 and 6 bytes. */
const inboundBytesMax = 9;
const pieceVarintMax = 3;
const grantVarintMax = 5;

type Spec = Omit<Frame, 'kind'>;
type More = { readonly flags?: Readonly<Record<string, number>>; readonly swarm?: false };

function spec(from: Side | 'either', type: number, bodyMax: number, more: More = {}): Spec {
  const flags = Object.values(more.flags ?? {}).reduce((all, bit) => all | bit, 0);
  return { type, from, swarm: more.swarm ?? true, flags, bodyMax };
}

const addressesMax = peersPerFrameMax * addressBytesMax;
const SPECS: { readonly [K in Kind]: Spec } = {
  hello: spec('either', 0x01, helloBytesMax, { swarm: false }),
  goodbye: spec('either', 0x02, 1, { swarm: false }),
  edgeReserve: spec('either', 0x03, 20),
  edgeTaken: spec('either', 0x04, 4),
  neighbours: spec('either', 0x05, 1 + addressesMax),
  grown: spec('either', 0x06, pieceVarintMax),

  open: spec('puller', 0x10, 4 + 1 + 64, { flags: OPEN_FLAGS }),
  close: spec('puller', 0x11, 0),
  wants: spec('puller', 0x12, inboundBytesMax + 2 + swarmsPerLinkMax * (2 + pieceVarintMax), { swarm: false }),
  request: spec('puller', 0x13, grantVarintMax + 2 * pieceVarintMax + inboundBytesMax, { flags: REQUEST_FLAGS }),
  pass: spec('puller', 0x14, 1 + grantVarintMax + pieceVarintMax + inboundBytesMax),
  receipt: spec('puller', 0x15, 2 * pieceVarintMax + inboundBytesMax),
  cancel: spec('puller', 0x16, pieceVarintMax),
  wantHashes: spec('puller', 0x17, pieceVarintMax),
  elsewhere: spec('puller', 0x18, haveBytesMax, { flags: ELSEWHERE_FLAGS }),
  wishes: spec('puller', 0x19, 1 + wishesPerFrameMax * (pieceVarintMax + 1)),

  opened: spec('feeder', 0x20, 8 + 1 + hashBytes + pieceVarintMax + piecesMax / 8, { flags: OPENED_FLAGS }),
  refuse: spec('feeder', 0x21, 2 + addressesMax),
  edgeOffer: spec('feeder', 0x22, 4 + addressBytesMax),
  haves: spec('feeder', 0x23, haveBytesMax, { flags: HAVES_FLAGS }),
  grant: spec('feeder', 0x24, grantVarintMax + pieceVarintMax),
  piece: spec('feeder', 0x25, grantVarintMax + pieceVarintMax + 4),
  missing: spec('feeder', 0x26, grantVarintMax + pieceVarintMax),
  hashes: spec('feeder', 0x27, 2 * pieceVarintMax + hashesPerFrameMax * hashBytes),
  revoke: spec('feeder', 0x28, 0),
  gone: spec('feeder', 0x29, haveBytesMax, { flags: GONE_FLAGS }),
};

export const FRAMES = Object.fromEntries(
  (Object.entries(SPECS) as [Kind, Spec][]).map(([kind, rest]): [Kind, Frame] => [kind, { kind, ...rest }]),
) as { readonly [K in Kind]: Frame };

const BY_TYPE: readonly (Frame | undefined)[] = (() => {
  const byType: (Frame | undefined)[] = new Array(256).fill(undefined);
  for (const entry of Object.values(FRAMES)) byType[entry.type] = entry;
  return byType;
})();

export function frameOfType(type: number): Frame | undefined {
  return BY_TYPE[type];
}

/** Order is the wire number, from 0. */
export const PEER_ROLES = ['agent', 'origin'] as const;
export const GOODBYE_REASONS = [
  'idle',
  'shutdown',
  'fault',
  'full',
  'cluster',
  'version',
  'banned',
  'duplicate',
  'slow',
] as const;
export const PASS_REASONS = ['busy', 'nothing', 'held'] as const;
export const REFUSE_REASONS = ['unknown', 'full', 'limit', 'revoked', 'leaving'] as const;
/** Wire number to algorithm; 0 is none. */
export const ALGORITHMS = [undefined, 'sha256', 'sha512'] as const;
