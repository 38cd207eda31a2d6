/**
 * What a repository here is called in the registry: a name, or the beginning of one, in place of another.
 *
 * Rule: of two repositories here no two are one there, and back it is the same: a prefix goes, and another one comes.
 */

import { repositoryPatternCovers } from '../../../core/oci/pattern.ts';

/** '' is the beginning of every name. */
export type NamespaceMap = { readonly from: string; readonly to: string };

/** undefined: it is none of what is mapped. */
export function theirName({ from, to }: NamespaceMap, ours: string): string | undefined {
  return swapped(ours, from, to);
}

export function ourName({ from, to }: NamespaceMap, theirs: string): string | undefined {
  return swapped(theirs, to, from);
}

/** Of patterns of a rule: those of which some repository has no name in the registry. */
export function patternsOutside({ from, to }: NamespaceMap, patterns: readonly string[]): string[] {
  if (from === '') return [];
  return patterns.filter(
    (pattern) => !repositoryPatternCovers(`${from}/**`, pattern) && !(pattern === from && to !== ''),
  );
}

function swapped(name: string, off: string, on: string): string | undefined {
  if (name === off) return on === '' ? undefined : on;
  if (off !== '' && !name.startsWith(`${off}/`)) return undefined;
  const rest = off === '' ? name : name.slice(off.length + 1);
  return on === '' ? rest : `${on}/${rest}`;
}
