/**
 * Messages to bytes. Frames are appended to a slab; `take` hands over what was gathered, so that a
 * driver writes all that one tick produced in one piece and never copies it.
 *
 * Rule: a message that exceeds a limit is our own Bug, found here before a peer has to.
 */

import { assert } from '../assert.ts';
import { growthValid, hashBytes, metainfoValid, pieceCount, pieceLengthMax, piecesMax } from '../piece.ts';
import { writeAddress, writeAddresses, writeDigest } from './address.ts';
import { ByteWriter } from './bytes.ts';
import {
  addressBytesMax,
  ELSEWHERE_FLAGS,
  FRAMES,
  GONE_FLAGS,
  GOODBYE_REASONS,
  HAVES_FLAGS,
  OPEN_FLAGS,
  OPENED_FLAGS,
  PASS_REASONS,
  REFUSE_REASONS,
  REQUEST_FLAGS,
} from './frames.ts';
import { asBitmap, writeBitmap, writeGaps } from './haves.ts';
import {
  clusterBytesMax,
  frameHeaderBytes,
  grantMax,
  hashesPerFrameMax,
  inBytesMax,
  inPiecesMax,
  swarmNoMax,
  swarmsPerLinkMax,
  tokenMax,
  wishesPerFrameMax,
  wishHopsMax,
} from './limits.ts';
import type { Hashes, Haves, Inbound, Message, Opened, Wants, Wishes } from './messages.ts';

/** Most control bursts of a tick fit; a larger frame gets a slab of its own size. */
const slabBytes = 8 * 1024;

export class Encoder {
  #slab = new Uint8Array(0);
  /** Where what has not been taken begins and ends. */
  #from = 0;
  #to = 0;

  /** Bytes gathered and not taken yet. */
  get pending(): number {
    return this.#to - this.#from;
  }

  push(message: Message): void {
    const room = frameBytesMax(message);
    if (this.#to + room > this.#slab.length) this.#grow(room);
    this.#to = encodeFrame(message, this.#slab, this.#to);
  }

  /** What was gathered; the caller's from now on. */
  take(): Uint8Array {
    const taken = this.#slab.subarray(this.#from, this.#to);
    this.#from = this.#to;
    return taken;
  }

  #grow(room: number): void {
    const pending = this.#slab.subarray(this.#from, this.#to);
    this.#slab = new Uint8Array(Math.max(slabBytes, 2 * pending.length + room));
    this.#slab.set(pending);
    this.#from = 0;
    this.#to = pending.length;
  }
}

/** One message as a frame of its own. */
export function encode(message: Message): Uint8Array {
  const bytes = new Uint8Array(frameBytesMax(message));
  return bytes.subarray(0, encodeFrame(message, bytes, 0));
}

/** A bound on the frame's bytes, header included, near enough to allocate by. */
export function frameBytesMax(message: Message): number {
  switch (message.kind) {
    case 'opened':
      return frameHeaderBytes + 64 + message.have.length;
    case 'hashes':
      return frameHeaderBytes + 64 + message.hashes.length;
    case 'haves':
    case 'elsewhere':
    case 'gone':
      return frameHeaderBytes + 64 + 3 * message.pieces.length;
    case 'wants':
      return frameHeaderBytes + 64 + 6 * message.swarms.length;
    case 'refuse':
    case 'neighbours':
      return frameHeaderBytes + 64 + addressBytesMax * message.peers.length;
    default:
      return frameHeaderBytes + 64 + addressBytesMax + clusterBytesMax;
  }
}

function encodeFrame(message: Message, bytes: Uint8Array, at: number): number {
  const frame = FRAMES[message.kind];
  const to = new ByteWriter(bytes, at);
  const swarm = frame.swarm ? (message as { swarm: number }).swarm : 0;
  assert(Number.isInteger(swarm) && swarm >= 0 && swarm <= swarmNoMax, `wire: swarm ${swarm} out of range`);
  to.u32(0);
  to.u8(frame.type);
  to.u8(flagsOf(message));
  to.u16(swarm);
  writeBody(to, message);
  const length = to.at - at - frameHeaderBytes;
  assert(length <= frame.bodyMax, `wire: a ${message.kind} of ${length} bytes`);
  to.patchU32(at, length);
  return to.at;
}

function flagsOf(message: Message): number {
  switch (message.kind) {
    case 'open':
      return (message.empty ? OPEN_FLAGS.empty : 0) | (message.needHashes ? OPEN_FLAGS.needHashes : 0);
    case 'request':
      return message.hedge ? REQUEST_FLAGS.hedge : 0;
    case 'opened':
      return (message.all ? OPENED_FLAGS.all : 0) | (message.growing ? OPENED_FLAGS.growing : 0);
    case 'haves':
      if (message.all) return HAVES_FLAGS.all;
      return asBitmap(message.pieces) ? HAVES_FLAGS.bitmap : 0;
    case 'elsewhere':
      return asBitmap(message.pieces) ? ELSEWHERE_FLAGS.bitmap : 0;
    case 'gone':
      return asBitmap(message.pieces) ? GONE_FLAGS.bitmap : 0;
    default:
      return 0;
  }
}

function writeBody(to: ByteWriter, m: Message): void {
  switch (m.kind) {
    case 'hello':
      to.varint(m.version, 0xffff, 'version');
      to.u32(m.features);
      to.text(m.cluster, clusterBytesMax, 'cluster');
      return writeAddress(to, m.self);
    case 'goodbye':
      return to.u8(GOODBYE_REASONS.indexOf(m.reason));
    case 'edgeReserve':
      writeToken(to, m.token);
      return to.hex(m.node, 16);
    case 'edgeTaken':
      return writeToken(to, m.token);
    case 'neighbours':
      return writeAddresses(to, m.peers);
    case 'grown':
      return to.varint(m.known, piecesMax, 'known');
    case 'open':
      writeToken(to, m.token);
      return writeDigest(to, m.digest);
    case 'close':
    case 'revoke':
      return;
    case 'wants':
      return writeWants(to, m);
    case 'request':
      to.varint(m.grant, grantMax, 'grant');
      to.varint(m.piece, piecesMax - 1, 'piece');
      return writeState(to, m);
    case 'pass':
      to.u8(PASS_REASONS.indexOf(m.reason));
      to.varint(m.grant, grantMax, 'grant');
      return writeState(to, m);
    case 'receipt':
      to.varint(m.piece, piecesMax - 1, 'piece');
      return writeState(to, m);
    case 'cancel':
      return to.varint(m.piece, piecesMax - 1, 'piece');
    case 'wantHashes':
      return to.varint(m.from, piecesMax - 1, 'from');
    case 'elsewhere':
    case 'gone':
      return asBitmap(m.pieces) ? writeBitmap(to, m.pieces) : writeGaps(to, m.pieces);
    case 'wishes':
      return writeWishes(to, m);
    case 'opened':
      return writeOpened(to, m);
    case 'refuse':
      to.u8(REFUSE_REASONS.indexOf(m.reason));
      return writeAddresses(to, m.peers);
    case 'edgeOffer':
      writeToken(to, m.token);
      return writeAddress(to, m.peer);
    case 'haves':
      return writeHaves(to, m);
    case 'grant':
      to.varint(m.grant, grantMax, 'grant');
      return to.varint(m.piece + 1, piecesMax, 'piece');
    case 'piece':
      to.varint(m.grant, grantMax, 'grant');
      to.varint(m.piece, piecesMax - 1, 'piece');
      assert(m.length > 0, 'wire: a piece of no bytes');
      return to.varint(m.length, pieceLengthMax, 'length');
    case 'missing':
      to.varint(m.grant, grantMax, 'grant');
      return to.varint(m.piece, piecesMax - 1, 'piece');
    case 'hashes':
      return writeHashes(to, m);
  }
}

function writeToken(to: ByteWriter, token: number): void {
  assert(Number.isInteger(token) && token >= 0 && token <= tokenMax, `wire: token ${token} out of range`);
  to.u32(token);
}

function writeInbound(to: ByteWriter, m: Inbound): void {
  to.varint(m.inPieces, inPiecesMax, 'inPieces');
  to.varint(m.inBytes, inBytesMax, 'inBytes');
}

/** What a puller adds wherever it helps: pieces it would take, pieces and bytes on their way to it. */
function writeState(to: ByteWriter, m: Inbound & { readonly count: number }): void {
  to.varint(m.count, piecesMax, 'count');
  writeInbound(to, m);
}

function writeWants(to: ByteWriter, m: Wants): void {
  writeInbound(to, m);
  to.varint(m.swarms.length, swarmsPerLinkMax, 'swarms');
  for (const { swarm, count } of m.swarms) {
    assert(swarm >= 0 && swarm <= swarmNoMax, `wire: swarm ${swarm} out of range`);
    to.u16(swarm);
    to.varint(count, piecesMax, 'count');
  }
}

function writeWishes(to: ByteWriter, { wishes }: Wishes): void {
  assert(wishes.length <= wishesPerFrameMax, `wire: ${wishes.length} wishes in a frame`);
  to.u8(wishes.length);
  for (const { piece, hops } of wishes) {
    assert(hops <= wishHopsMax, `wire: a wish of ${hops} hops`);
    to.varint(piece, piecesMax - 1, 'piece');
    to.u8(hops);
  }
}

function writeOpened(to: ByteWriter, m: Opened): void {
  assert(metainfoValid(m.meta), 'wire: metainfo is not valid');
  to.varint(m.meta.length, Number.MAX_SAFE_INTEGER, 'length');
  to.u8(Math.log2(m.meta.pieceLength));
  to.hex(m.meta.root, hashBytes);
  if (m.growing) {
    assert(!m.all && growthValid({ ...m.meta, known: m.known ?? -1 }), 'wire: nothing that a blob can grow by');
    to.varint(m.known ?? 0, piecesMax, 'known');
  }
  assert(m.have.length === (m.all ? 0 : (pieceCount(m.meta) + 7) >> 3), 'wire: have is not one bit a piece');
  to.bytes(m.have);
}

function writeHaves(to: ByteWriter, m: Haves): void {
  if (m.all) return;
  if (asBitmap(m.pieces)) writeBitmap(to, m.pieces);
  else writeGaps(to, m.pieces);
}

function writeHashes(to: ByteWriter, m: Hashes): void {
  const count = m.hashes.length / hashBytes;
  assert(Number.isInteger(count) && count <= hashesPerFrameMax, `wire: ${count} hashes in a frame`);
  assert(m.from + count <= m.total, 'wire: hashes past their total');
  to.varint(m.total, piecesMax, 'total');
  to.varint(m.from, piecesMax, 'from');
  to.bytes(m.hashes);
}
