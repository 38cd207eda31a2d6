/** One swarm and peers played by the test: says what they say, shows what the swarm answers. */

import { prng } from '../../prng.ts';
import { protocolVersion } from '../../wire/limits.ts';
import type { Message, PeerAddress } from '../../wire/messages.ts';
import { defaultPolicy } from '../policy.ts';
import { Swarm } from '../swarm.ts';
import type { Input, LinkNo, Output, PolicyConfig } from '../types.ts';
import { type TestBlob, testRoot } from './cluster.ts';

export type Said = Exclude<Message, { kind: 'piece' }>;
export type SoloOptions = {
  readonly seed?: number;
  readonly role?: 'agent' | 'origin';
  readonly policy?: Partial<PolicyConfig>;
  readonly windowBytes?: number;
  readonly uplinkBytesPerS?: number;
  readonly zone?: string;
};

export function address(no: number, role: 'agent' | 'origin' = 'agent'): PeerAddress {
  return { node: no.toString(16).padStart(32, '0'), host: '10.9.0.1', port: 1000 + no, role, zone: '' };
}

export class Solo {
  readonly swarm: Swarm;
  nowMs = 0;
  /** Everything that came out so far. */
  readonly out: Output[] = [];
  #accepted = 1;

  constructor(options: SoloOptions = {}) {
    this.swarm = new Swarm({
      self: { ...address(0, options.role ?? 'agent'), zone: options.zone ?? '' },
      cluster: 'test',
      prng: prng(options.seed ?? 1),
      rootOf: testRoot,
      uplinkBytesPerS: options.uplinkBytesPerS ?? 100e6,
      windowBytes: options.windowBytes ?? 64 * 1024 * 1024,
      policy: { ...defaultPolicy, uplinkTarget: 5, uplinkTargetEnd: 3, ...options.policy },
    });
  }

  input(input: Input): readonly Output[] {
    const from = this.out.length;
    this.swarm.handle(input, this.nowMs);
    this.out.push(...this.swarm.drain());
    return this.out.slice(from);
  }

  /** Lets `ms` pass, with every tick that is due. */
  pass(ms: number): readonly Output[] {
    const from = this.out.length;
    const endMs = this.nowMs + ms;
    while (this.swarm.deadlineMs <= endMs) {
      this.nowMs = Math.max(this.nowMs, this.swarm.deadlineMs);
      this.input({ kind: 'tick' });
    }
    this.nowMs = endMs;
    return this.out.slice(from);
  }

  say(link: LinkNo, message: Said): readonly Output[] {
    return this.input({ kind: 'message', link, message });
  }

  /** A peer dials us and greets: it pulls. */
  accept(peer: PeerAddress, features = 0): LinkNo {
    const link = this.#accepted;
    this.#accepted += 2;
    this.input({ kind: 'connected', link, dialled: false });
    this.greet(link, peer, features);
    return link;
  }

  /** Our dial to `peer` comes about: we pull. */
  answer(peer: PeerAddress, features = 0): LinkNo {
    const dial = this.out.findLast((o) => o.kind === 'dial' && o.peer.node === peer.node);
    if (dial?.kind !== 'dial') throw new Error(`no dial to ${peer.node}`);
    this.input({ kind: 'connected', link: dial.link, dialled: true });
    this.greet(dial.link, peer, features);
    return dial.link;
  }

  greet(link: LinkNo, self: PeerAddress, features = 0): void {
    this.say(link, { kind: 'hello', version: protocolVersion, features, cluster: 'test', self });
  }

  seed(blob: TestBlob): void {
    const { no, digest, meta, hashes } = blob;
    this.input({ kind: 'blob', blob: no, digest, meta, hashes, have: 'all', pull: false });
  }

  /** Pulls with everything known already but the pieces, from `peers`. */
  pull(blob: TestBlob, peers: readonly PeerAddress[]): void {
    const { no, digest, meta, hashes } = blob;
    this.input({ kind: 'blob', blob: no, digest, meta, hashes, have: undefined, pull: true });
    this.input({ kind: 'candidates', blob: no, peers, meta });
  }

  /** The last message of that kind that was sent on `link`. */
  sent<K extends Message['kind']>(link: LinkNo, kind: K): Extract<Message, { kind: K }> | undefined {
    return this.allSent(link, kind).at(-1);
  }

  allSent<K extends Message['kind']>(link: LinkNo, kind: K): Extract<Message, { kind: K }>[] {
    const found: Extract<Message, { kind: K }>[] = [];
    for (const o of this.out) {
      if (o.kind === 'send' && o.link === link && o.message.kind === kind)
        found.push(o.message as Extract<Message, { kind: K }>);
    }
    return found;
  }

  /** Why that link was closed as faulty; undefined where it was not. */
  faultOf(link: LinkNo): string | undefined {
    for (const o of this.out) if (o.kind === 'close' && o.link === link && o.whose === 'fault') return o.why;
    return undefined;
  }

  /** A seeder on `link` opens our pull of `blob` as holding `have`, or all of it. */
  opened(link: LinkNo, blob: TestBlob, have: readonly number[] | 'all'): number {
    const open = this.sent(link, 'open');
    if (open === undefined) throw new Error(`nothing was opened on link ${link}`);
    const bytes = new Uint8Array(Math.ceil(blob.meta.length / blob.meta.pieceLength / 8));
    if (have !== 'all') for (const piece of have) bytes[piece >> 3]! |= 1 << (piece & 7);
    const all = have === 'all';
    this.say(link, {
      kind: 'opened',
      swarm: open.swarm,
      meta: blob.meta,
      all,
      growing: false,
      have: all ? new Uint8Array(0) : bytes,
    });
    return open.swarm;
  }
}
