/** The numbers of a database (the row `identity`), held by the transaction that has locked it: read once, written once. */

import { ApiError } from '../../../core/contracts/errors.ts';
import type { TagVersion } from '../../../core/contracts/index-api.ts';
import { tagVersion, versionNumberMax } from '../versions.ts';
import type { Querying } from './server/statements.ts';

export type IdentityRow = {
  readonly id: string;
  readonly generation: number;
  readonly version: number;
  readonly forgotten: number;
};

export class Numbers {
  /** Which database this is. */
  readonly id: string;
  generation: number;
  version: number;
  forgotten: number;
  readonly #before: IdentityRow;

  constructor(row: IdentityRow) {
    this.#before = row;
    this.id = row.id;
    this.generation = row.generation;
    this.version = row.version;
    this.forgotten = row.forgotten;
  }

  get changed(): boolean {
    const { generation, version, forgotten } = this.#before;
    return generation !== this.generation || version !== this.version || forgotten !== this.forgotten;
  }

  /** Of the next write, not below `leastNo`. */
  next(leastNo: number): number {
    const no = Math.max(this.version + 1, leastNo);
    // Two writes would have one number, and who writes on a condition would undo another's write.
    if (no > versionNumberMax)
      throw new ApiError(
        'UNAVAILABLE',
        `identity.tag_version in the index's database is ${this.version}, which no index counts to: set it to the highest version in its tags and tombstones that a clock may say`,
      );
    this.version = no;
    return this.version;
  }

  seen(no: number): void {
    this.version = Math.max(this.version, no);
  }

  /** Of a write of this database, or of the one that is named. */
  versionOf(no: number, writer: string | null = null): TagVersion {
    return tagVersion(no, writer ?? this.id);
  }
}

/** A transaction that has the lock: nobody else writes until it has ended. */
export type Tx = {
  readonly asking: Querying;
  readonly numbers: Numbers;
  /** Targets of the outbox that it leaves rows for. */
  readonly told: Set<string>;
};
