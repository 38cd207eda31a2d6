/**
 * WriteNumbers of writes (platform/tags/versions.ts) in a store that several processes share, and none counts for all of them.
 *
 * Rule: one above the highest that this process has seen, and above that of what is written; not below the clock on the
 *   wall where there are targets. So of one tag no number is used twice, as tombstones stay; of two tags that two
 *   processes write, two may be alike. What no clock says counts for its tag alone.
 */

import type { TagVersion } from '../../../../core/contracts/index-api.ts';
import { leadOf, numberOf, tagVersion } from '../../versions.ts';

export class WriteNumbers {
  readonly database: string;
  readonly #nowMs: (() => number) | undefined;
  #highest: number;

  /** `highest`: a number that is used already. */
  constructor(database: string, highest = 0, nowMs?: () => number) {
    this.database = database;
    this.#highest = highest;
    this.#nowMs = nowMs;
  }

  seen(version: TagVersion): void {
    this.#highest = Math.max(this.#highest, leadOf(version) ?? 0);
  }

  /** Of a write of what is at these; the one that it has, if it was made elsewhere. */
  next(over: readonly (TagVersion | null)[] = [], as?: TagVersion): TagVersion {
    if (as !== undefined) {
      this.seen(as);
      return as;
    }
    const numbers = over.map((version) => (version === null ? 0 : numberOf(version)));
    const no = Math.max(Math.max(this.#highest, ...numbers) + 1, Math.floor(this.#nowMs?.() ?? 0));
    const version = tagVersion(no, this.database);
    this.seen(version);
    return version;
  }
}
