/**
 * Readers on simulated hosts. In order: one that takes what is there at once. Random and lazy: one that reads ranges
 * of a piece out of the blue, the next as soon as the last is there, as snapshotters do that pull lazily; a lazy one
 * reads the end of a layer first, where its table of contents is.
 */

import type { Prng } from '../../core/prng.ts';
import type { Fleet, SimBlob } from './fleet.ts';
import type { SimOptions } from './options.ts';
import type { Progress } from './progress.ts';

/** Ranges that a reader out of the blue reads, one after the other. */
const rangesMax = 20;

type Range = { readonly blob: number; readonly piece: number; readonly sinceMs: number };
type Reader = { readonly blobs: readonly number[]; left: number; range: Range | undefined };
type Arrival = { readonly agent: number; readonly blob: number; readonly piece: number; readonly prefix: number };

export type ReadersConfig = {
  readonly options: SimOptions;
  readonly blobs: readonly SimBlob[];
  readonly progress: Progress;
  readonly prng: Prng;
};

export class Readers {
  readonly #config: ReadersConfig;
  /** By agent; of those out of the blue. */
  readonly #readers: (Reader | undefined)[] = [];
  /** How long each range was waited for, those that were there already included. */
  readonly waitsMs: number[] = [];
  /** The same of each reader's first one. */
  readonly firstMs: number[] = [];

  constructor(config: ReadersConfig) {
    this.#config = config;
  }

  /** Ranges that were never served. */
  get unserved(): number {
    return this.#readers.reduce((sum, reader) => sum + (reader?.range === undefined ? 0 : 1), 0);
  }

  /** The host has asked for `blobs`. */
  begin(fleet: Fleet, agent: number, at: { readonly blobs: readonly number[]; readonly nowMs: number }): void {
    const { readers, readerShare } = this.#config.options;
    if (readers === 'none') return;
    if (readers === 'inorder') {
      for (const blob of at.blobs) fleet.readerAt(agent, blob, 0);
      return;
    }
    if (this.#readers[agent] !== undefined || this.#config.prng.unit() >= readerShare) return;
    const reader: Reader = { blobs: at.blobs, left: rangesMax, range: undefined };
    this.#readers[agent] = reader;
    this.#next(fleet, agent, at.nowMs);
  }

  /** A piece is verified at a host. */
  arrived(fleet: Fleet, { agent, blob, piece, prefix }: Arrival, nowMs: number): void {
    if (this.#config.options.readers === 'inorder' && prefix >= 0) fleet.readerAt(agent, blob, prefix);
    const range = this.#readers[agent]?.range;
    if (range === undefined || range.blob !== blob || range.piece !== piece) return;
    this.#served(nowMs - range.sinceMs, this.#readers[agent] as Reader);
    this.#next(fleet, agent, nowMs);
  }

  #served(ms: number, reader: Reader): void {
    if (reader.left === rangesMax - 1) this.firstMs.push(ms);
    this.waitsMs.push(ms);
    reader.range = undefined;
  }

  /** To the next range that is not there yet. */
  #next(fleet: Fleet, agent: number, nowMs: number): void {
    const { options, blobs, prng, progress } = this.#config;
    const reader = this.#readers[agent] as Reader;
    while (reader.left > 0) {
      const blob = reader.blobs[prng.below(reader.blobs.length)] as number;
      const { pieces } = blobs[blob] as SimBlob;
      const toc = options.readers === 'lazy' && reader.left === rangesMax;
      const piece = toc ? pieces - 1 : prng.below(pieces);
      reader.left--;
      reader.range = { blob, piece, sinceMs: nowMs };
      if (!progress.has(agent, blob, piece)) {
        fleet.readerAt(agent, blob, piece, piece + 1);
        return;
      }
      this.#served(0, reader);
    }
    for (const blob of reader.blobs) fleet.readerAt(agent, blob, (blobs[blob] as SimBlob).pieces);
  }
}
