/** Defects that are planted on purpose, to prove that the checks find them. */

import type { DigestAlgorithm } from '../../core/digest.ts';
import type { Disk } from '../../platform/store/disk/disk.ts';
import { InlinePieceIo } from '../../platform/store/pieces/inline-piece-io.ts';
import type { Arena } from '../../platform/workers/arena.ts';
import { pieceHash } from '../../platform/workers/hash.ts';
import type { HashStream, IoFailure, PieceIo, PieceJob } from '../../platform/workers/piece-io.ts';

export const PLANTS = ['lost-write', 'unverified-serve', 'stale-tag'] as const;
/**
 * lost-write: origins acknowledge a push without syncing it. unverified-serve: pieces are neither verified
 * on their way in nor on their way out. stale-tag: agents and proxies keep a tag that they read for a while.
 */
export type Plant = (typeof PLANTS)[number];

/** How long the stale-tag plant keeps a tag. */
export const staleTagMs = 4_000;

/** PieceIo that believes everything. */
export class UnverifiedPieceIo implements PieceIo {
  readonly arena: Arena;
  readonly #io: InlinePieceIo;

  constructor(arena: Arena, disk: Disk) {
    this.arena = arena;
    this.#io = new InlinePieceIo(arena, disk);
  }

  verifyWrite(job: PieceJob): Promise<'held' | 'corrupt' | IoFailure> {
    const folded = job.folded ?? false;
    return this.#io.verifyWrite({ ...job, expected: pieceHash(job.slot.parts(), folded) });
  }

  async readVerify(job: PieceJob): Promise<'ok' | 'corrupt' | IoFailure> {
    const verdict = await this.#io.readVerify(job);
    return verdict === 'corrupt' ? 'ok' : verdict;
  }

  hashStream(algorithm: DigestAlgorithm): HashStream {
    return this.#io.hashStream(algorithm);
  }
}
