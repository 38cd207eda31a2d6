/**
 * What is pushed, deleted and pushed again, in every third run, to origins that have no room to keep it all: blobs of a
 * repository of their own, linked and unlinked by the same pusher as the images. What is linked may not be lost, what
 * is not may go; at the end nothing is linked, and room is made for whatever still has to be pushed.
 *
 * Rule: a run without litter draws nothing for it, and litter draws from a source of its own.
 */

import { ApiError } from '../../core/contracts/errors.ts';
import type { Digest } from '../../core/digest.ts';
import { unitBytes } from '../../core/piece.ts';
import { type Prng, prng } from '../../core/prng.ts';
import { bytesOnDisk } from '../../platform/store/layout.ts';
import { type Content, layerOf, layersMax } from './content.ts';
import type { OriginSite } from './origin.ts';
import type { Image, Pusher } from './push.ts';
import type { World } from './world.ts';

const repo = 'fuzz/litter';
const blobs = 14;
/** Beside the images, and the largest of them once more on its way: some of the litter. */
const spareUnits = 4;
/** Uploads that nobody goes on with hold room. */
const sweepEveryMs = 5_000;

export function littered(seed: number): boolean {
  return seed % 3 === 0;
}

/** Bytes that an origin may hold in a run with litter. */
export function litteredBudget(images: readonly Image[], contents: readonly Content[]): number {
  const pushed = images.map(({ manifest, layers }) => sum([manifest, ...layers]));
  return spareUnits * unitBytes + sum(contents) + Math.max(...pushed);
}

function sum(contents: readonly Content[]): number {
  return contents.reduce((bytes, { meta }) => bytes + bytesOnDisk(meta), 0);
}

export type LitterParts = {
  readonly pusher: Pusher;
  readonly origins: ReadonlyMap<string, OriginSite>;
  readonly acked: Map<Digest, Content>;
};

export class Litter {
  readonly contents: readonly Content[] = Array.from({ length: blobs }, (_, no) => layerOf(layersMax + no));
  readonly #world: World;
  readonly #prng: Prng;
  readonly #parts: LitterParts;
  /** Linked, or perhaps: its link's answer was lost. */
  readonly #linked = new Set<Content>();
  #busy = false;

  constructor(world: World, parts: LitterParts) {
    this.#world = world;
    this.#parts = parts;
    this.#prng = prng(world.seed ^ 0x11774);
  }

  start(): void {
    this.#world.after(1_500, () => this.#next());
    this.#world.after(sweepEveryMs, () => this.#sweep());
  }

  /** Whether everything was unlinked, once faults are over. */
  get done(): boolean {
    return !this.#busy && this.#linked.size === 0;
  }

  #next(): void {
    const over = this.#world.faultsOver;
    if (!this.#busy) {
      this.#busy = true;
      const content = this.contents[this.#prng.below(blobs)] as Content;
      const [last] = this.#linked;
      const act = over
        ? last === undefined
          ? Promise.resolve()
          : this.#unlink(last)
        : this.#linked.has(content)
          ? this.#unlink(content)
          : this.#push(content);
      act
        .catch((error: unknown) => {
          if (!(error instanceof ApiError)) this.#world.threw(error);
        })
        .finally(() => {
          this.#busy = false;
        });
    }
    this.#world.after(100 + this.#prng.below(over ? 100 : 700), () => this.#next());
  }

  async #push(content: Content): Promise<void> {
    const { pusher } = this.#parts;
    this.#linked.add(content);
    await pusher.pushBlob(content, repo);
  }

  async #unlink(content: Content): Promise<void> {
    const { acked, pusher } = this.#parts;
    // From the call on: whether it took effect is known only when the answer comes.
    acked.delete(content.digest);
    await pusher.client.deleteBlob(repo, content.digest);
    this.#linked.delete(content);
  }

  #sweep(): void {
    for (const { running } of this.#parts.origins.values()) void running?.uploads.sweep().catch(() => undefined);
    this.#world.after(sweepEveryMs, () => this.#sweep());
  }
}
