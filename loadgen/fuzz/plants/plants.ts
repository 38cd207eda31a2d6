/** Defects that are planted on purpose, to prove that the checks find them. */

import type { DigestAlgorithm } from '../../../core/digest.ts';
import type { Disk } from '../../../platform/store/disk/disk.ts';
import { InlinePieceIo } from '../../../platform/store/pieces/inline-piece-io.ts';
import type { Arena } from '../../../platform/workers/arena.ts';
import { pieceHash } from '../../../platform/workers/hash.ts';
import type { HashStream, IoFailure, PieceIo, PieceJob } from '../../../platform/workers/piece-io.ts';
import { PLANTED_HTTP } from '../http/planted.ts';
import { PLANTED_MEMBERS } from '../roster/planted.ts';
import { PLANTED_BACKING } from './backing.ts';
import { PLANTED } from './planted.ts';

/** Planted through what the run gives the product: disks, piece I/O. */
const THROUGH_SEAMS = {
  'lost-write': { room: 'platform/store', defect: 'origins acknowledge a push without syncing it' },
  'unverified-serve': { room: 'platform/workers', defect: 'pieces are verified neither on their way in nor out' },
} as const;
const IN_METHODS = { ...PLANTED, ...PLANTED_HTTP, ...PLANTED_BACKING, ...PLANTED_MEMBERS } as const;
/** Every plant, with its room in the product. */
export const PLANTS = { ...THROUGH_SEAMS, ...IN_METHODS } as const;
export type Plant = keyof typeof PLANTS;

/** Plants what is planted in methods; the returned function takes it out again. */
export function plantIn(plant: Plant | undefined): () => void {
  const planted = IN_METHODS[plant as keyof typeof IN_METHODS];
  return planted === undefined ? () => undefined : planted.plant();
}

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
