/**
 * Which images must be signed, and what a signature must say beside their digest.
 *
 * Rule: the first policy whose patterns match counts, and no other.
 */

import { repositoryMatches } from '../oci/pattern.ts';
import { type Claim, partsOfReference } from './claim.ts';

export type SignaturePolicy = {
  /** In messages: where it stands, and what it is for. */
  readonly name: string;
  readonly repositories: readonly string[];
  readonly mode: 'enforce' | 'warn';
  /**
   * Of which repository a signature must say that it is. `repository`: of the one that is asked; a list: of one that it
   * matches. One that names none, as a bundle, counts by its digest alone. `any`: it may name whatever it likes.
   */
  readonly identity: 'repository' | 'any' | readonly string[];
};

export function policyFor<P extends SignaturePolicy>(policies: readonly P[], repo: string): P | undefined {
  return policies.find(({ repositories }) => repositoryMatches(repositories, repo));
}

/** What is wrong with the repository that a claim names, for an image of `repo`; undefined: nothing. */
export function foreign({ identity }: SignaturePolicy, { reference }: Claim, repo: string): string | undefined {
  if (identity === 'any' || reference === undefined) return undefined;
  const named = partsOfReference(reference).repo;
  const right = identity === 'repository' ? named === repo : repositoryMatches(identity, named);
  return right ? undefined : named;
}

/** The only tag that a claim is for; undefined: for whatever tag. */
export function onlyTagOf({ identity }: SignaturePolicy, { reference }: Claim): string | undefined {
  return identity === 'any' || reference === undefined ? undefined : partsOfReference(reference).tag;
}
