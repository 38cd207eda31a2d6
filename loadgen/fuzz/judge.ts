/**
 * What a node's peer keeps, sends and says is judged against what blobs really contain: nothing wrong may be
 * kept as held, served, or called corrupt when it is right; no table may outgrow its limit; and no honest
 * node may call another one faulty.
 */

import type { Digest } from '../../core/digest.ts';
import { degreeSlack } from '../../core/swarm/limits.ts';
import type { Swarm } from '../../core/swarm/swarm.ts';
import type { Output } from '../../core/swarm/types.ts';
import type { OutPiece } from '../../platform/peer/links/outbox.ts';
import type { Blobs } from '../../platform/peer/pulls/blobs.ts';
import type { Arena, Slot } from '../../platform/workers/arena.ts';
import { sameBytes } from '../../platform/workers/hash.ts';
import type { Payload } from './conn.ts';
import { type Content, pieceOf, slotHolds } from './content.ts';
import type { LightStore } from './light-store.ts';
import type { Link } from './link.ts';
import type { Cluster } from './net.ts';

export type Judged = {
  readonly cluster: Cluster;
  /** How reports name this node. */
  readonly name: string;
  readonly arena: Arena;
  /** The store of a light node. */
  readonly light: LightStore | undefined;
  /** Whether that piece lies on the disk as it should. */
  readonly stored: (content: Content, piece: number) => boolean;
};

export class Judge {
  readonly #o: Judged;
  readonly #swarm: Swarm;
  readonly #blobs: Blobs;
  /** What is fed: the blob, by link, swarm and piece. */
  readonly #fed = new Map<string, Digest>();
  /** Arrived pieces that are right, by slot. */
  readonly #right = new Map<number, boolean>();
  readonly #verifying = new Map<string, boolean>();

  constructor(o: Judged, swarm: Swarm, blobs: Blobs) {
    this.#o = o;
    this.#swarm = swarm;
    this.#blobs = blobs;
  }

  // ---- pieces ----------------------------------------------------------------------------------

  /** Told before it is read, as the blob may be gone when it leaves. */
  feeds(link: Link, { swarm, piece, blob }: Extract<Output, { kind: 'feed' }>): void {
    const digest = this.#blobs.entryOf(blob)?.digest;
    if (digest !== undefined) this.#fed.set(`${link.no}:${swarm}:${piece}`, digest);
  }

  /** What is about to leave must be what the blob is made of. */
  leaves(link: Link, { header, slot }: OutPiece): Content | undefined {
    const key = `${link.no}:${header.swarm}:${header.piece}`;
    const digest = this.#fed.get(key);
    this.#fed.delete(key);
    const content = digest === undefined ? undefined : this.#o.cluster.contents.get(digest);
    if (content === undefined) return undefined;
    if (!this.#holdsRight(content, header.piece, slot))
      this.#violate('unverified', `serves piece ${header.piece} of ${digest} with wrong bytes`);
    this.#o.light?.unmark(slot);
    return content;
  }

  arrived(blob: number, piece: number, { slot, whole }: { slot: Slot; whole: Payload | undefined }): void {
    const content = this.#contentOf(blob);
    const right =
      content !== undefined &&
      whole !== undefined &&
      whole.flip < 0 &&
      sameBytes(whole.content.bytes.subarray(whole.at, whole.at + whole.length), pieceOf(content, piece));
    this.#right.set(slot.no, right);
    this.#o.light?.mark(slot, content?.digest, piece, right);
  }

  verifies({ blob, piece, slot }: Extract<Output, { kind: 'verify' }>): void {
    this.#verifying.set(`${blob}:${piece}`, this.#right.get(slot) ?? false);
  }

  verdict({ blob, piece, verdict }: { blob: number; piece: number; verdict: string }): void {
    const key = `${blob}:${piece}`;
    const right = this.#verifying.get(key);
    this.#verifying.delete(key);
    const content = this.#contentOf(blob);
    // What was there already is not looked at again: it must have been right.
    if (verdict === 'held' && right === false && content !== undefined && !this.#o.stored(content, piece))
      this.#violate('unverified', `keeps a wrong piece ${piece} of blob ${blob} as held`);
    if (verdict === 'corrupt' && right === true)
      this.#violate('verdict', `calls piece ${piece} of blob ${blob} corrupt, which is right`);
  }

  // ---- limits ----------------------------------------------------------------------------------

  tables(): void {
    const { totals } = this.#swarm;
    const { neighboursMax } = this.#o.cluster.policy;
    // Either way, and those about to be told no (core/swarm/graph/greeting.ts).
    const linksMax = 2 * (2 * neighboursMax + 64) + 1;
    if (totals.links > linksMax) this.#violate('limits', `has ${totals.links} links, ${linksMax} allowed`);
    const window = this.#o.arena.shareBytes('receive');
    if (totals.inBytes > 4 * window)
      this.#violate('limits', `has ${totals.inBytes} bytes on their way, the window is ${window}`);
  }

  /** Per blob; dearer, so asked for now and then. */
  blobs(): void {
    const { neighboursPerBlobMax } = this.#o.cluster.policy;
    for (const digest of this.#o.cluster.contents.keys()) {
      const no = this.#blobs.noOf(digest);
      const stats = no === undefined ? undefined : this.#swarm.stats(no);
      if (stats === undefined) continue;
      const most = neighboursPerBlobMax + 2 * degreeSlack;
      if (stats.neighbours > most)
        this.#violate('limits', `has ${stats.neighbours} neighbours of ${digest}, ${most} allowed`);
      if (stats.held > stats.pieces) this.#violate('limits', `holds ${stats.held} of ${stats.pieces} pieces`);
    }
  }

  // ---- others ----------------------------------------------------------------------------------

  /** This node calls the other end of `link` faulty. */
  blames(link: Link, reason: string): void {
    const { conn } = link;
    this.#o.cluster.world.note(`${this.#o.name} blames ${link.remote}: ${reason}`);
    if (conn === undefined || conn.tainted || !conn.sides[1 - link.side]?.honest) return;
    this.#violate('fault', `calls honest ${link.peer?.host ?? link.remote} faulty: ${reason}`);
  }

  // ---- within ----------------------------------------------------------------------------------

  #violate(kind: string, what: string): void {
    this.#o.cluster.world.violate(kind, `${this.#o.name} ${what}`);
  }

  /** Whether the slot holds that piece of the content. */
  #holdsRight(content: Content, piece: number, slot: Slot): boolean {
    if (this.#o.light !== undefined) return this.#o.light.isRight(slot, content.digest, piece) ?? false;
    return slotHolds(slot, pieceOf(content, piece));
  }

  /** The entry may be on its way still: then the blob's number tells. */
  #contentOf(no: number): Content | undefined {
    const { contents } = this.#o.cluster;
    const digest = this.#blobs.entryOf(no)?.digest;
    if (digest !== undefined) return contents.get(digest);
    for (const [known, content] of contents) if (this.#blobs.noOf(known) === no) return content;
    return undefined;
  }
}
