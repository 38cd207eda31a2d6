/**
 * Hears all that peers say to each other as it is sent, decodes it, and judges what honest ones say: every byte of a
 * piece is the blob's, every frame can be decoded, and nobody asks for more than fits.
 *
 * Rule: a bit that flips on the way is our doing. Both hosts are `tainted` from then on, for whatever they think of each
 * other may come from it.
 */

import { PeerFault } from '../../../core/assert.ts';
import type { Digest } from '../../../core/digest.ts';
import { Decoder } from '../../../core/wire/decode.ts';
import type { Message, Piece } from '../../../core/wire/messages.ts';
import type { Between } from '../../../platform/net/medium.ts';
import { sameBytes } from '../../../platform/workers/hash.ts';
import type { Content } from '../content.ts';
import { type Cluster, hostsOf } from './net.ts';

/** One piece in so many has a bit flipped on its way, and one of all other writes. */
const pieceFlipsOnceIn = 400;
const messageFlipsOnceIn = 30_000;
/** A window's worth is asked for, and what may come twice. */
const windowsMax = 4;

/** A piece whose payload is being sent: what it may be of. */
type Underway = { readonly piece: Piece; left: number; of: Content[] };

/** What is known of one connection. */
type Line = {
  readonly hosts: readonly [number, number];
  /** Of the dialler, which pulls, and of the acceptor. Undefined: it said what cannot be decoded. */
  readonly decoders: [Decoder | undefined, Decoder | undefined];
  /** What the dialler opened under each number, the first one first. */
  readonly opened: Map<number, Digest[]>;
  underway: Underway | undefined;
};

export class Wiretap {
  readonly #cluster: Cluster;
  readonly #lines = new WeakMap<Between, Line>();

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  /** `bytes` leave; what arrives in their place. */
  sent(pair: Between, from: 0 | 1, bytes: Uint8Array): Uint8Array {
    const line = this.#line(pair);
    const host = line.hosts[from];
    const honest = !this.#cluster.hostile.has(host);
    const payload = from === 1 && line.underway !== undefined;
    const decoder = line.decoders[from];
    if (decoder !== undefined) this.#hear(line, from, { decoder, bytes, honest });
    return honest ? this.#spoilt(line, bytes, payload) : bytes;
  }

  #line(pair: Between): Line {
    let line = this.#lines.get(pair);
    if (line === undefined) {
      const decoders: Line['decoders'] = [new Decoder('puller'), new Decoder('feeder')];
      line = { hosts: hostsOf(pair), decoders, opened: new Map(), underway: undefined };
      this.#lines.set(pair, line);
    }
    return line;
  }

  #hear(line: Line, from: 0 | 1, o: { decoder: Decoder; bytes: Uint8Array; honest: boolean }): void {
    const { decoder, bytes, honest } = o;
    try {
      for (let at = 0; at < bytes.length; ) {
        if (from === 1 && line.underway !== undefined) {
          at = this.#payload(line, line.underway, { bytes, at, honest });
          continue;
        }
        at = decoder.push(bytes, at);
        const message = decoder.take();
        if (message !== undefined) this.#said(line, from, { message, honest });
      }
    } catch (error) {
      if (!(error instanceof PeerFault)) throw error;
      line.decoders[from] = undefined;
      if (honest) this.#violate('fault', line.hosts[from], `sent what cannot be decoded: ${error.message}`);
    }
  }

  #said(line: Line, from: 0 | 1, { message, honest }: { message: Message; honest: boolean }): void {
    const { world, peers, contents } = this.#cluster;
    const host = line.hosts[from];
    world.inputs++;
    if (world.trace !== undefined)
      world.debug(`h${host} ${from === 0 ? '=>' : '->'} h${line.hosts[1 - from]} ${brief(message)}`);
    if (message.kind === 'open') {
      const before = line.opened.get(message.swarm) ?? [];
      line.opened.set(message.swarm, [...before, message.digest]);
    } else if (message.kind === 'piece') {
      const known = (line.opened.get(message.swarm) ?? []).flatMap((digest) => contents.get(digest) ?? []);
      line.underway = { piece: message, left: message.length, of: known };
      if (honest && known.length === 0) this.#violate('unverified', host, `sends a piece of what nobody opened`);
    } else if ('inBytes' in message && honest) {
      const windowBytes = peers.get(host)?.windowBytes ?? 0;
      if (message.inBytes > windowsMax * windowBytes)
        this.#violate('limits', host, `has ${message.inBytes} bytes on their way, its window is ${windowBytes}`);
    }
  }

  #payload(line: Line, underway: Underway, o: { bytes: Uint8Array; at: number; honest: boolean }): number {
    const { piece } = underway;
    const length = Math.min(underway.left, o.bytes.length - o.at);
    const part = o.bytes.subarray(o.at, o.at + length);
    const from = piece.length - underway.left;
    underway.of = underway.of.filter(({ digest, bytes, meta }) => {
      const at = piece.piece * meta.pieceLength + from;
      const right = bytes.subarray(at, at + length);
      return sameBytes(part, right) || this.#cluster.lies.given(digest, part, right);
    });
    if (o.honest && underway.of.length === 0 && !this.#cluster.decayed.has(line.hosts[1]))
      this.#violate('unverified', line.hosts[1], `serves wrong bytes of piece ${piece.piece}`);
    underway.left -= length;
    if (underway.left === 0) line.underway = undefined;
    return o.at + length;
  }

  /** A bit flips, rarely. */
  #spoilt(line: Line, bytes: Uint8Array, payload: boolean): Uint8Array {
    const { world } = this.#cluster;
    if (world.faultsOver || !world.once(payload ? pieceFlipsOnceIn : messageFlipsOnceIn)) return bytes;
    world.taint(...line.hosts);
    world.fault(payload ? 'a bit of a piece flips on the wire' : 'a bit of a control frame flips');
    const flipped = bytes.slice();
    const at = world.prng.below(flipped.length);
    flipped[at] = (flipped[at] as number) ^ (1 << world.prng.below(8));
    return flipped;
  }

  #violate(kind: string, host: number, what: string): void {
    this.#cluster.world.violate(kind, `h${host} ${what}`);
  }
}

function brief(message: Message): string {
  return JSON.stringify(message, (_, value: unknown) =>
    value instanceof Uint8Array ? `${value.length} bytes` : value,
  ).slice(0, 300);
}
