/**
 * What counts now: rules and users as the index has told them last, and what is done where it has told nothing for long.
 *
 * Rule: as long as nothing is known, nobody gets in. A host that is cut off goes on with what it knows, or lets nobody in
 *       after a while, as `cutOff` says.
 */

import type { AccessPublic } from '../../core/access/documents.ts';
import type { AccessRule } from '../../core/access/rights.ts';
import { ApiError } from '../../core/contracts/errors.ts';
import type { Followed } from '../clients/followed.ts';
import type { CutOff } from './config.ts';

type PolicyUser = { readonly name: string; readonly groups: readonly string[] };
type Known<U> = Pick<AccessPublic, 'rules'> & { readonly users: readonly U[] };

export class Policy<U extends PolicyUser = PolicyUser> {
  readonly #following: Followed<Known<U>>;
  readonly #cutOff: CutOff;
  #of: Known<U> | undefined;
  #users: ReadonlyMap<string, U> = new Map<string, U>();

  constructor(following: Followed<Known<U>>, cutOff: CutOff) {
    this.#following = following;
    this.#cutOff = cutOff;
  }

  /** Throws UNAVAILABLE. */
  get rules(): readonly AccessRule[] {
    return this.#now().rules;
  }

  /** By their names. Throws UNAVAILABLE. */
  get users(): ReadonlyMap<string, U> {
    const now = this.#now();
    if (this.#of !== now) this.#users = new Map(now.users.map((user): [string, U] => [user.name, user]));
    this.#of = now;
    return this.#users;
  }

  /** What somebody should see to. */
  warnings(): string[] {
    const { what, afterMs } = this.#cutOff;
    const ageMs = this.#following.ageMs();
    if (this.#following.value() === undefined) return ['access: the index has told no rules yet: nobody gets in'];
    if (ageMs <= afterMs) return [];
    const since = `the index has not been reached for ${Math.round(ageMs / 1_000)} s`;
    return [`access: ${since}: ${what === 'keep' ? 'the rules from before are gone by' : 'nobody gets in'}`];
  }

  #now(): Known<U> {
    const found = this.#following.value();
    if (found === undefined) throw new ApiError('UNAVAILABLE', 'who may do what is not known here yet: try again');
    const { what, afterMs } = this.#cutOff;
    if (what === 'refuse' && this.#following.ageMs() > afterMs)
      throw new ApiError('UNAVAILABLE', 'who may do what was told too long ago, since the index is not reached');
    return found;
  }
}
