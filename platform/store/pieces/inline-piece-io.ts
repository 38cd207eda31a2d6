/**
 * PieceIo on the calling thread over any Disk: the store's rules without threads, so that a run with
 * faults can be replayed from its seed. Same hashes, same verdicts, same order as the workers.
 */

import { createHash } from 'node:crypto';
import { assert } from '../../../core/assert.ts';
import type { DigestAlgorithm } from '../../../core/digest.ts';
import { unitBytes } from '../../../core/piece.ts';
import type { Arena } from '../../workers/arena.ts';
import { blake3, pieceHash, sameBytes } from '../../workers/hash.ts';
import { type FileRange, type HashStream, IoFailure, type PieceIo, type PieceJob } from '../../workers/piece-io.ts';
import { type Disk, diskCode } from '../disk/disk.ts';

export class InlinePieceIo implements PieceIo {
  readonly arena: Arena;
  readonly #disk: Disk;

  constructor(arena: Arena, disk: Disk) {
    this.arena = arena;
    this.#disk = disk;
  }

  async verifyWrite(job: PieceJob): Promise<'held' | 'corrupt' | IoFailure> {
    return await this.#held(job, async () => {
      if (!sameBytes(pieceHash(partsOf(job), foldedOf(job)), job.expected)) return 'corrupt';
      return (await this.#write(job)) ?? 'held';
    });
  }

  async readVerify(job: PieceJob): Promise<'ok' | 'corrupt' | IoFailure> {
    const believed = job.believed === true;
    if (!believed && !this.#asItWas(job)) return 'corrupt';
    return await this.#held(job, async () => {
      const failure = await this.#read(job);
      if (failure !== undefined) return failure;
      if (believed) return this.#asItWas(job) ? 'ok' : 'corrupt';
      return sameBytes(pieceHash(partsOf(job), foldedOf(job)), job.expected) ? 'ok' : 'corrupt';
    });
  }

  #asItWas({ fd, stamped }: PieceJob): boolean {
    const stamp = stamped && this.#disk.stampNow?.(fd);
    return stamp === undefined || stamped?.(stamp) !== false;
  }

  hashStream(algorithm: DigestAlgorithm): HashStream {
    const hash = createHash(algorithm);
    let open = true;
    // Jobs of one stream run in the order of their calls, as on one worker.
    let last: Promise<unknown> = Promise.resolve();
    const inOrder = <T>(work: () => Promise<T>): Promise<T> => {
      const next = last.then(work);
      last = next.catch(() => undefined);
      return next;
    };
    const end = (): void => {
      assert(open, 'hash stream: it has ended already');
      open = false;
    };
    return {
      append: (range) =>
        inOrder(() =>
          this.#held(range, async () => {
            const parts = partsOf(range);
            for (const part of parts) hash.update(part);
            const hashes = Buffer.concat(parts.map((part) => blake3(part)));
            return (await this.#write(range)) ?? hashes;
          }),
        ),
      appendStored: (range) =>
        inOrder(() =>
          this.#held(range, async () => {
            const failure = await this.#read(range);
            if (failure !== undefined) return failure;
            for (const part of partsOf(range)) hash.update(part);
            return 'ok';
          }),
        ),
      finish: () => {
        end();
        return inOrder(async () => hash.digest('hex'));
      },
      abort: end,
    };
  }

  async #held<T>(range: FileRange, work: () => Promise<T>): Promise<T> {
    this.arena.hold(range.slot);
    try {
      return await work();
    } finally {
      this.arena.unhold(range.slot);
    }
  }

  async #write(range: FileRange): Promise<IoFailure | undefined> {
    return await refused(async () => {
      let position = range.position;
      for (const part of partsOf(range)) {
        await this.#disk.write(range.fd, part, position);
        position += part.length;
      }
      return undefined;
    });
  }

  async #read(range: FileRange): Promise<IoFailure | undefined> {
    return await refused(async () => {
      let position = range.position;
      for (const part of partsOf(range)) {
        if ((await this.#disk.read(range.fd, part, position)) < part.length) return new IoFailure('SHORT');
        position += part.length;
      }
      return undefined;
    });
  }
}

async function refused(work: () => Promise<IoFailure | undefined>): Promise<IoFailure | undefined> {
  try {
    return await work();
  } catch (error) {
    const code = diskCode(error);
    if (code === undefined) throw error;
    return new IoFailure(code);
  }
}

function partsOf(range: FileRange): Uint8Array[] {
  let left = range.length ?? range.slot.length;
  const parts: Uint8Array[] = [];
  for (const part of range.slot.parts()) {
    if (left <= 0) break;
    parts.push(left < part.length ? part.subarray(0, left) : part);
    left -= part.length;
  }
  return parts;
}

function foldedOf(job: PieceJob): boolean {
  return job.folded ?? job.slot.length > unitBytes;
}
