/**
 * Bytes to messages.
 *
 * Contract: give a chunk to `push`, which consumes at most one frame and says where it stopped; then
 * `take` what it found; go on until the chunk is used up. After a `piece` the next `length` bytes of
 * the link are payload, which the caller takes for itself, and never gives to `push`.
 *
 * Rule 1: throws nothing but PeerFault, after which the decoder is of no more use.
 * Rule 2: keeps a partial frame only, in a buffer that grows with the bytes that came, not with the
 * length that a header claims; a header that exceeds its type's limit is refused before its body.
 * Rule 3: keeps no view of a chunk.
 */

import { assert, PeerFault } from '../assert.ts';
import { hashBytes, metainfoValid, pieceCount, pieceLengthMax, piecesMax } from '../piece.ts';
import { nodeBytes, readAddress, readAddresses, readDigest, readOne } from './address.ts';
import { ByteReader } from './bytes.ts';
import {
  ELSEWHERE_FLAGS,
  type Frame,
  frameOfType,
  GONE_FLAGS,
  GOODBYE_REASONS,
  HAVES_FLAGS,
  OPEN_FLAGS,
  OPENED_FLAGS,
  PASS_REASONS,
  REFUSE_REASONS,
  REQUEST_FLAGS,
  type Side,
} from './frames.ts';
import { readBitmap, readGaps } from './haves.ts';
import {
  clusterBytesMax,
  frameHeaderBytes,
  grantMax,
  inBytesMax,
  inPiecesMax,
  swarmsPerLinkMax,
  wishesPerFrameMax,
  wishHopsMax,
} from './limits.ts';
import type { Hashes, Haves, Inbound, Message, Opened, Wants, Wish, Wishes } from './messages.ts';

/** Holds a header and nearly every control frame; larger frames grow it by doubling. */
const partBytesMin = 512;
const noPieces = new Uint32Array(0);

type Header = { readonly frame: Frame; readonly flags: number; readonly swarm: number; readonly length: number };

export class Decoder {
  /** Whom we listen to: only what that side may say is accepted. */
  readonly #from: Side;
  /** The partial frame: `#filled` bytes of `#part`, header first. */
  #part = new Uint8Array(0);
  #filled = 0;
  #header: Header | undefined;
  #message: Message | undefined;

  constructor(from: Side) {
    this.#from = from;
  }

  /** Bytes held of a frame that is not whole yet. */
  get partial(): number {
    return this.#filled;
  }

  /** Consumes bytes of `chunk` from `at` until a frame is whole; returns where it stopped. */
  push(chunk: Uint8Array, at: number, end: number = chunk.length): number {
    assert(this.#message === undefined, 'wire: a message was not taken');
    if (this.#filled > 0) return this.#pushPart(chunk, at, end);
    if (end - at >= frameHeaderBytes) {
      const header = readHeader(chunk, at, this.#from);
      const bodyEnd = at + frameHeaderBytes + header.length;
      if (bodyEnd <= end) {
        this.#message = readBody(header, chunk, at + frameHeaderBytes);
        return bodyEnd;
      }
    }
    return this.#pushPart(chunk, at, end);
  }

  /** The message that the last `push` completed, if it did. */
  take(): Message | undefined {
    const message = this.#message;
    this.#message = undefined;
    return message;
  }

  #pushPart(chunk: Uint8Array, from: number, end: number): number {
    let at = from;
    if (this.#header === undefined) {
      at = this.#fill(chunk, at, Math.min(end, at + frameHeaderBytes - this.#filled));
      if (this.#filled < frameHeaderBytes) return at;
      this.#header = readHeader(this.#part, 0, this.#from);
    }
    const missing = frameHeaderBytes + this.#header.length - this.#filled;
    at = this.#fill(chunk, at, Math.min(end, at + missing));
    if (this.#filled === frameHeaderBytes + this.#header.length) {
      this.#message = readBody(this.#header, this.#part, frameHeaderBytes);
      this.#header = undefined;
      this.#filled = 0;
      if (this.#part.length > partBytesMin) this.#part = new Uint8Array(0);
    }
    return at;
  }

  #fill(chunk: Uint8Array, at: number, to: number): number {
    const filled = this.#filled + to - at;
    if (filled > this.#part.length) {
      const grown = new Uint8Array(Math.max(partBytesMin, 2 * filled));
      grown.set(this.#part.subarray(0, this.#filled));
      this.#part = grown;
    }
    this.#part.set(chunk.subarray(at, to), this.#filled);
    this.#filled = filled;
    return to;
  }
}

function readHeader(bytes: Uint8Array, at: number, from: Side): Header {
  const header = new ByteReader(bytes, at, at + frameHeaderBytes);
  const length = header.u32();
  const type = header.u8();
  const flags = header.u8();
  const swarm = header.u16();
  const frame = frameOfType(type);
  if (frame === undefined) throw new PeerFault('frame: type unknown');
  if (frame.from !== 'either' && frame.from !== from) throw new PeerFault(`${frame.kind}: not that side's to say`);
  if (length > frame.bodyMax) throw new PeerFault(`${frame.kind}: too long`);
  if ((flags & ~frame.flags) !== 0) throw new PeerFault(`${frame.kind}: unknown flag`);
  if (swarm !== 0 && !frame.swarm) throw new PeerFault(`${frame.kind}: swarm must be 0`);
  return { frame, flags, swarm, length };
}

function readBody(header: Header, bytes: Uint8Array, at: number): Message {
  const from = new ByteReader(bytes, at, at + header.length, header.frame.kind);
  const message = readMessage(from, header);
  // A later version may say more in its Hello; we must still be able to answer what version we speak.
  if (message.kind !== 'hello') from.end();
  return message;
}

function readMessage(from: ByteReader, { frame: { kind }, flags, swarm }: Header): Message {
  switch (kind) {
    case 'hello':
      return {
        kind,
        version: from.varint(0xffff, 'version'),
        features: from.u32(),
        cluster: from.text(clusterBytesMax, 'cluster'),
        self: readAddress(from),
      };
    case 'goodbye':
      return { kind, reason: readOne(from, GOODBYE_REASONS, 'reason') };
    case 'edgeReserve':
      return { kind, swarm, token: from.u32(), node: from.hex(nodeBytes) };
    case 'edgeTaken':
      return { kind, swarm, token: from.u32() };
    case 'neighbours':
      return { kind, swarm, peers: readAddresses(from) };
    case 'grown':
      return { kind, swarm, known: from.varint(piecesMax, 'known') };
    case 'open': {
      const token = from.u32();
      const empty = (flags & OPEN_FLAGS.empty) !== 0;
      const needHashes = (flags & OPEN_FLAGS.needHashes) !== 0;
      return { kind, swarm, digest: readDigest(from), token, empty, needHashes };
    }
    case 'close':
    case 'revoke':
      return { kind, swarm };
    case 'wants':
      return readWants(from);
    case 'request': {
      const hedge = (flags & REQUEST_FLAGS.hedge) !== 0;
      return { kind, grant: readGrant(from), swarm, piece: readPiece(from), hedge, ...readState(from) };
    }
    case 'pass': {
      const reason = readOne(from, PASS_REASONS, 'reason');
      return { kind, grant: readGrant(from), swarm, reason, ...readState(from) };
    }
    case 'receipt':
      return { kind, swarm, piece: readPiece(from), ...readState(from) };
    case 'cancel':
      return { kind, swarm, piece: readPiece(from) };
    case 'wantHashes':
      return { kind, swarm, from: from.varint(piecesMax - 1, 'from') };
    case 'elsewhere':
      return { kind, swarm, pieces: (flags & ELSEWHERE_FLAGS.bitmap) !== 0 ? readBitmap(from) : readGaps(from) };
    case 'wishes':
      return readWishes(from, swarm);
    case 'gone':
      return { kind, swarm, pieces: (flags & GONE_FLAGS.bitmap) !== 0 ? readBitmap(from) : readGaps(from) };
    case 'opened':
      return readOpened(from, swarm, flags);
    case 'refuse':
      return { kind, swarm, reason: readOne(from, REFUSE_REASONS, 'reason'), peers: readAddresses(from) };
    case 'edgeOffer': {
      const token = from.u32();
      return { kind, swarm, peer: readAddress(from), token };
    }
    case 'haves':
      return readHaves(from, swarm, flags);
    case 'grant':
      return { kind, grant: readGrant(from), swarm, piece: from.varint(piecesMax, 'piece') - 1 };
    case 'piece': {
      const header = { grant: readGrant(from), swarm, piece: readPiece(from) };
      const length = from.varint(pieceLengthMax, 'length');
      if (length === 0) from.fault('a piece of no bytes');
      return { kind, ...header, length };
    }
    case 'missing':
      return { kind, grant: readGrant(from), swarm, piece: readPiece(from) };
    case 'hashes':
      return readHashes(from, swarm);
  }
}

function readGrant(from: ByteReader): number {
  return from.varint(grantMax, 'grant');
}

function readPiece(from: ByteReader): number {
  return from.varint(piecesMax - 1, 'piece');
}

function readInbound(from: ByteReader): Inbound {
  return { inPieces: from.varint(inPiecesMax, 'inPieces'), inBytes: from.varint(inBytesMax, 'inBytes') };
}

function readState(from: ByteReader): Inbound & { readonly count: number } {
  return { count: from.varint(piecesMax, 'count'), ...readInbound(from) };
}

function readWants(from: ByteReader): Wants {
  const inbound = readInbound(from);
  const count = from.varint(swarmsPerLinkMax, 'swarms');
  const swarms: { swarm: number; count: number }[] = [];
  for (let i = 0; i < count; i++) swarms.push({ swarm: from.u16(), count: from.varint(piecesMax, 'count') });
  return { kind: 'wants', ...inbound, swarms };
}

function readWishes(from: ByteReader, swarm: number): Wishes {
  const count = from.u8();
  if (count > wishesPerFrameMax) from.fault('too many wishes');
  const wishes: Wish[] = [];
  for (let i = 0; i < count; i++) {
    const wish = { piece: readPiece(from), hops: from.u8() };
    if (wish.hops > wishHopsMax) from.fault('a wish goes too far');
    wishes.push(wish);
  }
  return { kind: 'wishes', swarm, wishes };
}

function readOpened(from: ByteReader, swarm: number, flags: number): Opened {
  const length = from.varint(Number.MAX_SAFE_INTEGER, 'length');
  const shift = from.u8();
  const meta = { length, pieceLength: shift < 31 ? 1 << shift : 0, root: from.hex(hashBytes) };
  if (!metainfoValid(meta)) from.fault('metainfo is not valid');
  const all = (flags & OPENED_FLAGS.all) !== 0;
  const growing = (flags & OPENED_FLAGS.growing) !== 0;
  const pieces = pieceCount(meta);
  const known = growing ? from.varint(piecesMax, 'known') : pieces;
  if (growing && (all || known >= pieces)) from.fault('a blob that grows is not known whole');
  if (from.left !== (all ? 0 : (pieces + 7) >> 3)) from.fault('have is not one bit a piece');
  const have = from.bytes(from.left);
  if (have.length > 0 && (pieces & 7) !== 0 && (have[have.length - 1] as number) >> (pieces & 7) !== 0) {
    from.fault('have names pieces past the end');
  }
  const opened: Opened = { kind: 'opened', swarm, meta, all, growing, have };
  return growing ? { ...opened, known } : opened;
}

function readHaves(from: ByteReader, swarm: number, flags: number): Haves {
  const all = (flags & HAVES_FLAGS.all) !== 0;
  const bitmap = (flags & HAVES_FLAGS.bitmap) !== 0;
  if (all) {
    if (bitmap) from.fault('all and a bit set');
    return { kind: 'haves', swarm, pieces: noPieces, all };
  }
  return { kind: 'haves', swarm, pieces: bitmap ? readBitmap(from) : readGaps(from), all };
}

function readHashes(from: ByteReader, swarm: number): Hashes {
  const total = from.varint(piecesMax, 'total');
  const first = from.varint(piecesMax, 'from');
  if (from.left % hashBytes !== 0) from.fault('cut in a hash');
  if (first + from.left / hashBytes > total) from.fault('hashes past their total');
  return { kind: 'hashes', swarm, from: first, total, hashes: from.bytes(from.left) };
}
