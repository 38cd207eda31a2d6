/**
 * One connection of a hostile peer, of some temper.
 *
 * As feeder: lies about what it holds, about metainfo and hashes; grants and never sends; sends wrong
 * bytes, too few, too many, unasked. As puller: opens everything, asks without grants, never receipts,
 * never reads. Either way: garbage, truncated frames, any message at any time, silence.
 */

import { PeerFault } from '../../../core/assert.ts';
import { Decoder } from '../../../core/wire/decode.ts';
import { encode } from '../../../core/wire/encode.ts';
import { FEATURES } from '../../../core/wire/frames.ts';
import { protocolVersion } from '../../../core/wire/limits.ts';
import type { Message, PeerAddress } from '../../../core/wire/messages.ts';
import type { Connection, Ears } from '../../../platform/net/net.ts';
import { type Content, pieceOf } from '../content.ts';
import type { World } from '../world.ts';
import { type Known, nodeId, pick, randomMessage, strangeAddress } from './random-message.ts';

export const TEMPERS = ['corrupts', 'withholds', 'lies', 'floods', 'babbles', 'garbles', 'silent', 'serves'] as const;
type Temper = (typeof TEMPERS)[number];

/** Whose connection it is. */
export type HostileOwner = {
  readonly world: World;
  readonly self: PeerAddress;
  known(): Known;
  gone(side: HostileSide): void;
};

export class HostileSide implements Ears {
  readonly side: 0 | 1;
  connection: Connection | undefined;
  readonly #of: HostileOwner;
  readonly #world: World;
  readonly #temper: Temper;
  readonly #decoder: Decoder;
  /** Swarm number to blob, as opened on this connection. */
  readonly #swarms = new Map<number, Content>();
  #grants = 0;
  #deaf = false;
  /** Of a piece that comes, which nobody wants. */
  #payloadLeft = 0;

  constructor(of: HostileOwner, o: { no: 0 | 1; temper: Temper }) {
    this.#of = of;
    this.#world = of.world;
    this.side = o.no;
    this.#temper = o.temper;
    this.#decoder = new Decoder(o.no === 0 ? 'feeder' : 'puller');
  }

  /** It was accepted. */
  begin(connection: Connection): void {
    this.connection = connection;
    this.connected();
  }

  connected(): void {
    if (this.#temper === 'silent' && this.#world.once(2)) return;
    const { self } = this.#of;
    const role = this.#world.once(6) ? 'origin' : 'agent';
    this.#say({
      kind: 'hello',
      version: protocolVersion,
      features: FEATURES.wishes | FEATURES.growing,
      cluster: this.#world.once(20) ? 'other' : 'fuzz',
      self: { ...self, role },
    });
    if (this.side === 0) this.#openSome();
  }

  /** Goes deaf where it cannot tell what it hears: of honest ones that is judged on the wire. */
  received(bytes: number, buffer: Uint8Array): boolean {
    // Some never read at all: whoever feeds them has to notice.
    if (this.#temper === 'silent' && this.side === 0) return false;
    if (this.#deaf) return true;
    try {
      for (let at = 0; at < bytes; ) {
        const payload = Math.min(this.#payloadLeft, bytes - at);
        this.#payloadLeft -= payload;
        at += payload;
        if (payload > 0) continue;
        at = this.#decoder.push(buffer, at, bytes);
        const message = this.#decoder.take();
        if (message?.kind === 'piece') this.#payloadLeft = message.length;
        else if (message !== undefined) this.#heard(message);
      }
    } catch (error) {
      if (!(error instanceof PeerFault)) throw error;
      this.#deaf = true;
    }
    return true;
  }

  closed(): void {
    this.#of.gone(this);
  }

  /** Something unasked for. */
  act(): void {
    switch (this.#temper) {
      case 'garbles':
        return this.#garbage();
      case 'babbles':
        return this.#say(randomMessage(this.#of.known(), this.side === 0 ? 'puller' : 'feeder'));
      case 'floods':
        for (let i = 0; i < 20; i++) this.#flood();
        return;
      case 'silent':
        return;
      default:
        if (this.side === 1) this.#grantSome();
        else if (this.#world.once(3)) this.#openSome();
        else this.#askSome();
    }
  }

  // ---- as feeder -------------------------------------------------------------------------------

  #heard(message: Message): void {
    const { prng } = this.#world;
    switch (message.kind) {
      case 'open': {
        const content = this.#of.known().contents.find((one) => one.digest === message.digest);
        if (content === undefined || this.#temper === 'silent') return;
        this.#swarms.set(message.swarm, content);
        if (this.#world.once(12)) {
          this.#say({
            kind: 'refuse',
            swarm: message.swarm,
            reason: pick(prng, ['unknown', 'full', 'limit', 'revoked', 'leaving'] as const),
            peers: [strangeAddress(this.#of.known())],
          });
          return;
        }
        if (this.#world.once(12))
          return this.#say({
            kind: 'edgeOffer',
            swarm: message.swarm,
            peer: strangeAddress(this.#of.known()),
            token: 1 + prng.below(1000),
          });
        this.#opened(message.swarm, content);
        if (message.needHashes) this.#hashes(message.swarm, content, 0);
        return this.#grantSome();
      }
      case 'wantHashes': {
        const content = this.#swarms.get(message.swarm);
        if (content !== undefined) this.#hashes(message.swarm, content, Math.min(message.from, content.pieces));
        return;
      }
      case 'request': {
        const content = this.#swarms.get(message.swarm);
        if (content !== undefined && message.piece < content.pieces)
          this.#answer(message.swarm, message.grant, message.piece, content);
        return;
      }
      case 'opened':
        return this.#askSome();
      case 'grant':
        return this.#used(message.swarm, message.grant, message.piece);
      default:
        return;
    }
  }

  #opened(swarm: number, content: Content): void {
    const lies = this.#temper === 'lies' && this.#world.once(2);
    const meta =
      lies && this.#world.once(3)
        ? { ...content.meta, root: nodeId(this.#world.prng) + nodeId(this.#world.prng) }
        : content.meta;
    const all = !this.#world.once(3);
    const have = all ? new Uint8Array(0) : new Uint8Array((content.pieces + 7) >> 3).fill(this.#world.prng.below(256));
    const growing = lies && this.#world.once(4) && !all && content.pieces > 0;
    this.#say({ kind: 'opened', swarm, meta, all, growing, have, ...(growing ? { known: content.pieces >> 1 } : {}) });
  }

  #hashes(swarm: number, content: Content, from: number): void {
    const hashes = content.hashes.slice(from * 32);
    if (this.#temper === 'lies' && hashes.length > 0) hashes[this.#world.prng.below(hashes.length)]! ^= 1;
    if (this.#temper === 'withholds' && this.#world.once(2)) return;
    this.#say({ kind: 'hashes', swarm, from, total: content.pieces, hashes });
  }

  #grantSome(): void {
    for (const [swarm, content] of this.#swarms) {
      if (content.pieces === 0) continue;
      this.#grants++;
      this.#say({
        kind: 'grant',
        grant: this.#grants,
        swarm,
        piece: this.#world.once(2) ? -1 : this.#world.prng.below(content.pieces),
      });
    }
  }

  #answer(swarm: number, grant: number, piece: number, content: Content): void {
    const { prng } = this.#world;
    const bytes = pieceOf(content, piece);
    const header = { kind: 'piece', grant, swarm, piece, length: bytes.length } as const;
    const draw = prng.below(8);
    if (this.#temper === 'withholds') {
      if (draw < 3) this.#say(header);
      return;
    }
    if (this.#temper === 'floods' && draw < 4) {
      const other = prng.below(content.pieces);
      this.#say({ ...header, piece: other, length: pieceOf(content, other).length });
      return this.#payload(content, other, -1);
    }
    if (this.#temper === 'lies' && draw < 3) {
      this.#say({ ...header, length: 1 + prng.below(bytes.length + 100) });
      return this.#payload(content, piece, -1);
    }
    if (draw === 7) {
      this.#say({ kind: 'missing', grant, swarm, piece });
      if (this.#world.once(2)) return;
    }
    const wrong = this.#temper === 'corrupts' ? draw < 6 : draw === 0;
    this.#say(header);
    this.#payload(content, piece, wrong ? prng.below(bytes.length) : -1);
    if (this.#world.once(8)) {
      this.#say(header);
      this.#payload(content, piece, -1);
    }
  }

  #payload(content: Content, piece: number, flip: number): void {
    const bytes = pieceOf(content, piece);
    if (bytes.length === 0) return;
    if (flip >= 0) this.#world.fault('a hostile peer sends a wrong piece');
    if (flip < 0) return this.#send(bytes);
    const wrong = bytes.slice();
    wrong[flip] = (wrong[flip] as number) ^ 0x10;
    this.#send(wrong);
  }

  // ---- as puller -------------------------------------------------------------------------------

  #openSome(): void {
    const known = this.#of.known();
    for (let i = this.#world.prng.below(4); i >= 0; i--) {
      const content = pick(known.prng, known.contents);
      const swarm = this.#world.once(10) ? this.#world.prng.below(5) : this.#swarms.size;
      this.#swarms.set(swarm, content);
      this.#say({
        kind: 'open',
        swarm,
        digest: content.digest,
        token: this.#world.once(4) ? this.#world.prng.below(1000) : 0,
        empty: this.#world.once(2),
        needHashes: this.#world.once(2),
      });
      this.#say({
        kind: 'wants',
        inPieces: 0,
        inBytes: 0,
        swarms: [{ swarm, count: 1 + this.#world.prng.below(1000) }],
      });
    }
  }

  #askSome(): void {
    for (const [swarm, content] of this.#swarms) {
      if (content.pieces === 0 || this.#world.once(2)) continue;
      const piece = this.#world.prng.below(content.pieces);
      const nothing = { inPieces: 0, inBytes: 0 };
      const draw = this.#world.prng.below(16);
      if (draw < 5) this.#say({ kind: 'wants', ...nothing, swarms: [{ swarm, count: 1_000 }] });
      else if (draw < 8) this.#say({ kind: 'cancel', swarm, piece });
      else if (draw < 10) this.#say({ kind: 'receipt', ...nothing, swarm, piece, count: 5 });
      else if (draw === 10) {
        const grant = this.#world.prng.below(50);
        this.#say({ kind: 'request', ...nothing, grant, swarm, piece, hedge: false, count: 9 });
      }
    }
  }

  #used(swarm: number, grant: number, piece: number): void {
    const content = this.#swarms.get(swarm);
    if (content === undefined || this.#temper === 'withholds' || content.pieces === 0) return;
    const wanted = piece >= 0 && !this.#world.once(20) ? piece : this.#world.prng.below(content.pieces);
    this.#say({
      kind: 'request',
      inPieces: 0,
      inBytes: 0,
      grant,
      swarm,
      piece: wanted,
      hedge: this.#world.once(5),
      count: 50,
    });
    if (this.#temper === 'serves')
      this.#say({ kind: 'receipt', inPieces: 0, inBytes: 0, swarm, piece: wanted, count: 50 });
  }

  // ---- either way ------------------------------------------------------------------------------

  #flood(): void {
    if (this.side === 0) this.#askSome();
    else this.#grantSome();
  }

  #garbage(): void {
    const { prng } = this.#world;
    const bytes = new Uint8Array(1 + prng.below(300));
    for (let i = 0; i < bytes.length; i++) bytes[i] = prng.below(256);
    if (this.#world.once(2)) {
      const frame = encode(randomMessage(this.#of.known(), this.side === 0 ? 'puller' : 'feeder'));
      bytes.set(frame.subarray(0, bytes.length));
    }
    this.#world.fault('a hostile peer sends garbage');
    this.#send(bytes);
  }

  #say(message: Message): void {
    this.#send(encode(message));
  }

  #send(bytes: Uint8Array): void {
    this.connection?.write(bytes, () => undefined);
  }
}
