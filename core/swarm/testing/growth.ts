/**
 * A blob that an origin receives while others pull it, in the virtual cluster: the origin's front moves at a rate, and
 * every puller hears from the tracker how far it is, as often as it asks.
 */

import type { Growth } from '../../piece.ts';
import type { Cluster, TestBlob, TestNode } from './cluster.ts';
import { testRoot } from './cluster.ts';

const hash = 32;

/** What is known of `blob` when so many of its hashes are. */
export function growthOf({ meta, hashes }: TestBlob, known: number): Growth {
  const { length, pieceLength } = meta;
  return { length, pieceLength, known, root: testRoot(hashes.subarray(0, known * hash)) };
}

export type GrowthOptions = {
  /** Time between two pieces at the origin. */
  readonly pieceMs: number;
  /** Time between two questions of a puller. */
  readonly askMs: number;
};

export class GrowingBlob {
  readonly #cluster: Cluster;
  readonly #blob: TestBlob;
  readonly #options: GrowthOptions;
  readonly #pieces: number;
  #known = 0;

  constructor(cluster: Cluster, blob: TestBlob, options: GrowthOptions) {
    this.#cluster = cluster;
    this.#blob = blob;
    this.#options = options;
    this.#pieces = blob.hashes.length / hash;
  }

  /** The whole list is known: the last piece has been compared with the digest. */
  get final(): boolean {
    return this.#known === this.#pieces;
  }

  /** `origin` receives it from now on. */
  receive(origin: TestNode): void {
    const { no, digest } = this.#blob;
    this.#cluster.join(origin, no);
    const nothing = { meta: undefined, hashes: undefined, have: undefined };
    this.#cluster.input(origin, { kind: 'blob', blob: no, digest, ...nothing, pull: false });
    this.#say(origin, []);
    this.#next(origin);
  }

  /** The origin `node`, which pulled it, receives the rest by itself. */
  resume(node: TestNode): void {
    const lacking: number[] = [];
    for (let piece = 0; piece < this.#known; piece += 1) if (node.heldMs[piece] === undefined) lacking.push(piece);
    this.#say(node, lacking);
    this.#next(node);
  }

  /** `node` pulls it, and asks the tracker again and again. */
  pull(node: TestNode): void {
    this.#cluster.pull(node, this.#blob);
    node.refresh = () => this.#cluster.at(this.#cluster.nowMs + 1, () => this.#tell(node));
    this.#ask(node);
  }

  #ask(node: TestNode): void {
    this.#tell(node);
    if (!this.final && node.state === 'up')
      this.#cluster.at(this.#cluster.nowMs + this.#options.askMs, () => this.#ask(node));
  }

  #tell(node: TestNode): void {
    const { no: blob, meta } = this.#blob;
    if (this.final) this.#cluster.input(node, { kind: 'candidates', blob, peers: [], meta });
    else this.#cluster.input(node, { kind: 'grown', blob, growth: growthOf(this.#blob, this.#known) });
  }

  #next(origin: TestNode): void {
    this.#cluster.at(this.#cluster.nowMs + this.#options.pieceMs, () => {
      if (origin.state !== 'up') return;
      this.#known += 1;
      if (this.final) {
        const { no: blob, meta, hashes } = this.#blob;
        this.#cluster.meta.set(blob, meta);
        return this.#cluster.input(origin, { kind: 'settled', blob, meta, hashes });
      }
      this.#say(origin, [this.#known - 1]);
      return this.#next(origin);
    });
  }

  #say(origin: TestNode, gained: readonly number[]): void {
    const hashes = this.#blob.hashes.subarray(0, this.#known * hash);
    const growth = growthOf(this.#blob, this.#known);
    this.#cluster.input(origin, { kind: 'grown', blob: this.#blob.no, growth, hashes, gained });
  }
}
