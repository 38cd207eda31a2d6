/**
 * What a hostile peer does, one attack each (issue 5, "Bad input"). A feeder's begin when its victim dials it, a
 * puller's when it has dialled its victim. Each must cost the peer its link, counted under `reason`, and nothing else.
 */

import { digestOf } from '../../../core/digest.ts';
import { FEATURES, FRAMES } from '../../../core/wire/frames.ts';
import type { Grant, Open, Request } from '../../../core/wire/messages.ts';
import type { Attack, Wire } from './hostile.ts';

/** -1 in two's complement, as LEB128 has it: ten bytes. */
const minusOne = Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]);
const dribbleMs = 50;
/** More than any link may have outstanding. */
const greed = 64;

// ---- feeders: they were dialled, and say that they have the blob --------------------------------

/** Greets, and does `act` when the blob is opened. */
function opening(act: (wire: Wire, open: Open) => void): Attack['play'] {
  return (wire) => {
    wire.hello();
    wire.on({ open: (open) => act(wire, open) });
  };
}

/** Has everything, and does `act` then. */
function having(act: (wire: Wire, swarm: number) => void): Attack['play'] {
  return opening((wire, { swarm, needHashes }) => {
    wire.opened(swarm, needHashes);
    act(wire, swarm);
  });
}

/** Has everything, grants all the time, and answers requests as `answer` says. */
function granting(answer: (wire: Wire, request: Request) => void): Attack['play'] {
  return having((wire, swarm) => {
    wire.on({ request: (request) => answer(wire, request) });
    for (let grant = 0; grant < greed; grant++) wire.say({ kind: 'grant', grant, swarm, piece: -1 });
  });
}

function feeder(name: string, reason: RegExp, play: Attack['play']): Attack {
  return { name, side: 'feeder', counted: 'fault', reason, play };
}

const feeders: readonly Attack[] = [
  feeder(
    'a frame of no known type',
    /frame: type unknown/,
    opening((wire) => wire.raw(Buffer.from([1, 0, 0, 0, 0x7f, 0, 0, 0, 0]))),
  ),
  feeder(
    'a frame longer than its type may be',
    /haves: too long/,
    opening((wire, { swarm }) => wire.frame('haves', { swarm, length: 0xffff_ffff })),
  ),
  feeder(
    'a frame that ends too soon',
    /grant: cut short/,
    opening((wire, { swarm }) => wire.frame('grant', { swarm, body: Buffer.from([1]) })),
  ),
  feeder('noise', /frame: type unknown|too long|not that side/, (wire) => wire.raw(Buffer.alloc(5_000, 0xa5))),
  feeder('a frame before its hello', /something came before it/, (wire) =>
    wire.say({ kind: 'haves', swarm: 0, pieces: [0], all: false }),
  ),
  feeder(
    'a second hello',
    /hello: came twice/,
    opening((wire) => wire.hello()),
  ),
  feeder(
    'a grant before its answer to open',
    /grant before opened/,
    opening((wire, { swarm }) => wire.say({ kind: 'grant', grant: 0, swarm, piece: 0 })),
  ),
  feeder(
    'a frame of a swarm that nobody opened',
    /swarm that was never opened/,
    having((wire) => wire.say({ kind: 'haves', swarm: 999, pieces: [0], all: false })),
  ),
  feeder(
    'what only a puller says',
    /close: not that side's to say/,
    opening((wire, { swarm }) => wire.say({ kind: 'close', swarm })),
  ),
  feeder(
    'a have beyond the blob',
    /have of a piece beyond the blob/,
    having((wire, swarm) => wire.say({ kind: 'haves', swarm, pieces: [wire.pieces], all: false })),
  ),
  feeder(
    'a grant of a piece beyond the blob',
    /grant names a piece beyond the blob/,
    having((wire, swarm) => wire.say({ kind: 'grant', grant: 0, swarm, piece: wire.pieces })),
  ),
  feeder(
    'a negative piece',
    /grant: (piece out of range|too long)/,
    having((wire, swarm) => wire.frame('grant', { swarm, body: Buffer.concat([Buffer.from([0]), minusOne]) })),
  ),
  feeder(
    'a bit set of the wrong size',
    /have is not one bit a piece/,
    opening((wire, { swarm }) => wire.frame('opened', { swarm, body: openedBody(wire, 3) })),
  ),
  feeder(
    'bits past the last piece',
    /have (is not one bit a piece|names pieces past the end)/,
    opening((wire, { swarm }) => wire.frame('opened', { swarm, body: openedBody(wire, 0, 0xff) })),
  ),
  feeder(
    'another metainfo than the tracker has',
    /metainfo differs/,
    opening((wire, { swarm }) => {
      const { meta } = wire.prey;
      const other = { ...meta, length: meta.length - meta.pieceLength };
      wire.say({ kind: 'opened', swarm, meta: other, all: true, growing: false, have: new Uint8Array(0) });
    }),
  ),
  feeder(
    'a hash list that is another one',
    /hash list does not match/,
    opening((wire, { swarm }) => {
      const { meta, hashes } = wire.prey;
      const wrong = new Uint8Array(hashes.length);
      wire.say({ kind: 'opened', swarm, meta, all: true, growing: false, have: new Uint8Array(0) });
      wire.say({ kind: 'hashes', swarm, from: 0, total: wire.pieces, hashes: wrong });
    }),
  ),
  feeder(
    'wrong bytes',
    /sent a corrupt piece/,
    granting((wire, { grant, swarm, piece }) => wire.piece(grant, swarm, piece, new Uint8Array(wire.lengthOf(piece)))),
  ),
  feeder(
    'a piece twice',
    /piece: not asked for/,
    granting((wire, { grant, swarm, piece }) => {
      const bytes = wire.prey.bytes(piece);
      wire.piece(grant, swarm, piece, bytes);
      wire.piece(grant, swarm, piece, bytes);
    }),
  ),
  feeder(
    'a piece of another length',
    /piece: wrong length/,
    granting((wire, { grant, swarm, piece }) =>
      wire.piece(grant, swarm, piece, new Uint8Array(wire.lengthOf(piece) - 1)),
    ),
  ),
  feeder(
    'a piece that nobody asked for',
    /piece: not asked for/,
    having((wire, swarm) => wire.piece(0, swarm, 0, new Uint8Array(wire.lengthOf(0)))),
  ),
  feeder(
    'missing what nobody asked for',
    /missing a piece that was not asked for/,
    having((wire, swarm) => wire.say({ kind: 'missing', grant: 0, swarm, piece: 0 })),
  ),
  feeder(
    'a revocation that only an origin may say',
    /revoke from an agent/,
    having((wire, swarm) => wire.say({ kind: 'revoke', swarm })),
  ),
  { ...feeder('grants and never sends', /a piece made no progress/, granting(silent)), counted: 'slow' },
  {
    ...feeder(
      'dribbles a piece',
      /a piece made no progress|piece stalled/,
      granting((wire, { grant, swarm, piece }) => {
        wire.on({ request: silent });
        wire.say({ kind: 'piece', grant, swarm, piece, length: wire.lengthOf(piece) });
        wire.dribble(wire.prey.bytes(piece), dribbleMs);
      }),
    ),
    counted: 'slow',
  },
  {
    ...feeder(
      'dribbles a frame',
      /frame stalled/,
      opening((wire) => wire.dribble(Buffer.concat([header('haves', 20_000), Buffer.alloc(20_000)]), dribbleMs)),
    ),
    counted: 'slow',
  },
  { ...feeder('never greets', /no hello/, silent), counted: 'slow' },
];

// ---- pullers: they dialled an agent that has the blob -------------------------------------------

const load = (inPieces: number) => ({ inPieces, inBytes: inPieces * 2 ** 18 });

/** Greets and opens the blob as swarm 0; does `act` when that is answered. */
function pulling(act: (wire: Wire) => void, features = 0): Attack['play'] {
  return (wire) => {
    wire.hello(features);
    wire.say({ kind: 'open', swarm: 0, digest: wire.prey.digest, token: 0, empty: false, needHashes: false });
    wire.on({ opened: () => act(wire) });
  };
}

/** Wants everything, and answers grants as `answer` says. */
function wanting(answer: (wire: Wire, grant: Grant) => void): Attack['play'] {
  return pulling((wire) => {
    wire.on({ grant: (grant) => answer(wire, grant) });
    wire.say({ kind: 'wants', swarms: [{ swarm: 0, count: wire.pieces }], ...load(0) });
  });
}

/** A request for some piece: the one that was named, or one after the other. */
function ask(wire: Wire, { grant, piece }: Grant, inPieces: number): void {
  const asked = piece < 0 ? grant % wire.pieces : piece;
  wire.say({ kind: 'request', grant, swarm: 0, piece: asked, hedge: false, count: wire.pieces, ...load(inPieces) });
}

function puller(name: string, reason: RegExp, play: Attack['play']): Attack {
  return { name, side: 'puller', counted: 'fault', reason, play };
}

const pullers: readonly Attack[] = [
  puller('speaks something else', /frame: type unknown|too long/, (wire) =>
    wire.raw(Buffer.from('GET / HTTP/1.1\r\nhost: x\r\n\r\n')),
  ),
  puller(
    'a frame longer than its type may be',
    /wants: too long/,
    pulling((wire) => wire.frame('wants', { length: 0x7fff_ffff })),
  ),
  puller('an open before its hello', /something came before it/, (wire) =>
    wire.say({ kind: 'open', swarm: 0, digest: wire.prey.digest, token: 0, empty: false, needHashes: false }),
  ),
  puller(
    'what only a feeder says',
    /revoke: not that side's to say/,
    pulling((wire) => wire.say({ kind: 'revoke', swarm: 0 })),
  ),
  puller(
    'wants of a swarm that it never opened',
    /swarm that was never opened/,
    pulling((wire) => wire.say({ kind: 'wants', swarms: [{ swarm: 7, count: 1 }], ...load(0) })),
  ),
  puller(
    'a request without a grant',
    /request without a grant/,
    pulling((wire) => ask(wire, { kind: 'grant', grant: 4_000, swarm: 0, piece: 0 }, 1)),
  ),
  puller(
    'a request beyond the blob',
    /request of a piece beyond the blob/,
    wanting((wire, grant) => ask(wire, { ...grant, piece: wire.pieces }, 1)),
  ),
  puller(
    'a negative piece',
    /receipt: (piece out of range|too long)/,
    pulling((wire) => wire.frame('receipt', { body: Buffer.concat([minusOne, Buffer.from([0, 0, 0])]) })),
  ),
  puller(
    'hashes beyond the blob',
    /hashes wanted beyond the blob/,
    pulling((wire) => wire.say({ kind: 'wantHashes', swarm: 0, from: wire.pieces })),
  ),
  puller(
    'a blob twice',
    /blob is opened twice/,
    pulling((wire) =>
      wire.say({ kind: 'open', swarm: 1, digest: wire.prey.digest, token: 0, empty: false, needHashes: false }),
    ),
  ),
  puller(
    'a grant used twice',
    /grant is used twice/,
    wanting((wire, grant) => {
      ask(wire, grant, 1);
      ask(wire, grant, 2);
    }),
  ),
  puller(
    'lies about its downlink',
    /less is on its way/,
    wanting((wire, grant) => {
      ask(wire, grant, 1);
      wire.say({ kind: 'wants', swarms: [{ swarm: 0, count: wire.pieces }], ...load(0) });
    }),
  ),
  puller(
    'wishes that were not agreed on',
    /wishes without their feature/,
    pulling((wire) => wishOften(wire, 1)),
  ),
  puller(
    'wishes beyond the blob',
    /wish for a piece beyond/,
    pulling(
      (wire) => wire.say({ kind: 'wishes', swarm: 0, wishes: [{ piece: wire.pieces, hops: 2 }] }),
      FEATURES.wishes,
    ),
  ),
  puller(
    'wishes without end',
    /wishes more often than/,
    pulling((wire) => wishOften(wire, 100_000), FEATURES.wishes),
  ),
  puller('opens a million swarms', /more swarms than there are/, (wire) => {
    wire.hello();
    wire.on({ hello: () => openMany(wire, 0) });
  }),
  {
    ...puller(
      'requests and never reads',
      /does not read|no receipt|grants are not answered/,
      wanting((wire, grant) => {
        ask(wire, grant, grant.grant + 1);
        const { pieces: count } = wire;
        wire.deaf({ kind: 'wants', swarms: [{ swarm: 0, count }], ...load(greed) });
      }),
    ),
    counted: 'slow',
  },
  {
    ...puller(
      'requests, reads and never says so',
      /no receipt/,
      wanting((wire, grant) => ask(wire, grant, greed)),
    ),
    counted: 'slow',
  },
  {
    ...puller(
      'wants and never answers a grant',
      /grants are not answered/,
      wanting((wire) => {
        wire.on({ grant: silent });
        const wants = () => wire.say({ kind: 'wants', swarms: [{ swarm: 0, count: wire.pieces }], ...load(0) });
        wire.every(dribbleMs, wants);
      }),
    ),
    counted: 'slow',
  },
  {
    ...puller('dribbles its hello', /no hello/, (wire) =>
      wire.dribble(Buffer.concat([header('hello', 100), Buffer.alloc(100)]), dribbleMs),
    ),
    counted: 'slow',
  },
  {
    ...puller(
      'dribbles a frame',
      /frame stalled/,
      pulling((wire) => wire.dribble(Buffer.concat([header('wants', 4_000), Buffer.alloc(4_000)]), dribbleMs)),
    ),
    counted: 'slow',
  },
];

export const attacks: readonly Attack[] = [...feeders, ...pullers];

function silent(): void {}

/** Another wish each time, a thousand at once, as long as the link lasts. */
function wishOften(wire: Wire, times: number): void {
  for (let i = 0; i < Math.min(times, 1_000); i++)
    wire.say({ kind: 'wishes', swarm: 0, wishes: [{ piece: i % wire.pieces, hops: 2 }] });
  if (wire.open && times > 1_000) setImmediate(() => wishOften(wire, times - 1_000));
}

/** A thousand opens of blobs that nobody has, then a thousand more, as long as the link lasts. */
function openMany(wire: Wire, from: number): void {
  for (let i = from; i < from + 1_000; i++) {
    const digest = digestOf('sha256', i.toString(16).padStart(64, '0'));
    wire.say({ kind: 'open', swarm: i & 0xffff, digest, token: 0, empty: true, needHashes: true });
  }
  if (wire.open && from < 1_000_000) setImmediate(() => openMany(wire, from + 1_000));
}

function header(kind: keyof typeof FRAMES, length: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt32LE(length, 0);
  bytes[4] = FRAMES[kind].type;
  return bytes;
}

/** The body of an `opened` by hand: `more` bytes beyond its bit set, whose bytes are `fill`. */
function openedBody(wire: Wire, more: number, fill = 0): Buffer {
  const { meta } = wire.prey;
  const fixed: number[] = [];
  let rest = meta.length;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) fixed.push((rest % 0x80) + 0x80);
  fixed.push(rest, Math.log2(meta.pieceLength), ...Buffer.from(meta.root, 'hex'));
  return Buffer.concat([Buffer.from(fixed), Buffer.alloc(((wire.pieces + 7) >> 3) + more, fill)]);
}
