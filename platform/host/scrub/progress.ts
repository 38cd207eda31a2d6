/**
 * How far the reading back of what is on the disk is, in the file `scrub` of the data directory: a restart goes on there.
 *
 * Rule 1: it is a hint. One that cannot be read, or is of the future, begins a round anew.
 * Rule 2: it is replaced whole, by a rename, and not more often than `writeMs`.
 */

import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Digest, parseDigest } from '../../../core/digest.ts';
import type { LineLog } from '../../telemetry/log.ts';

export type Round = {
  /** Wall clock, for it outlives a process. */
  readonly startedMs: number;
  /** The last one that was looked at. */
  readonly last: Digest | undefined;
  /** Bytes of those looked at. */
  readonly bytes: number;
};

/** What is looked at twice after a crash: no more than this time's. */
export const writeMs = 10_000;

export class ScrubProgress {
  readonly #file: string;
  readonly #log: Pick<LineLog, 'warn'>;
  #writtenMs = Number.NEGATIVE_INFINITY;

  constructor(dir: string, log: Pick<LineLog, 'warn'>) {
    this.#file = join(dir, 'scrub');
    this.#log = log;
  }

  async read(nowMs: number): Promise<Round> {
    const anew: Round = { startedMs: nowMs, last: undefined, bytes: 0 };
    try {
      const { startedMs, last, bytes } = JSON.parse(await readFile(this.#file, 'utf8')) as Record<string, unknown>;
      const digest = typeof last === 'string' ? parseDigest(last) : undefined;
      if (!count(startedMs) || !count(bytes) || startedMs > nowMs) return anew;
      return { startedMs, last: digest, bytes: digest === undefined ? 0 : bytes };
    } catch {
      return anew;
    }
  }

  /** Now and then, or `now`. */
  async write(round: Round, now = false): Promise<void> {
    if (!now && performance.now() - this.#writtenMs < writeMs) return;
    this.#writtenMs = performance.now();
    try {
      await writeFile(`${this.#file}.new`, `${JSON.stringify(round)}\n`);
      await rename(`${this.#file}.new`, this.#file);
    } catch (error) {
      this.#log.warn({ file: this.#file, why: (error as Error).message }, 'how far the scrub is cannot be noted');
    }
  }
}

function count(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
