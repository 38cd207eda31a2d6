/** Who is told of what an index writes (platform/tags/targets.ts), by its configuration: each part of it names its own. */

import type { Backends } from '../../platform/backends/backends.ts';
import type { OutboxKind, OutboxTarget } from '../../platform/tags/targets.ts';

export type Targeting = {
  /** Of all that are configured, whether or not a repository has them. */
  readonly names: readonly string[];
  readonly targetsOf: (repo: string) => readonly OutboxTarget[];
};

const everything: readonly OutboxKind[] = ['blob', 'manifest', 'tag'];

/** The backend that keeps a repository's tags is told of all. */
export function backendTargets(backends: Backends): Targeting {
  const names = backends.keepingTags.map(({ name }) => name);
  return {
    names,
    targetsOf: (repo) => {
      const owed = backends.owedOf(repo);
      return owed?.tags === undefined ? [] : [{ name: owed.name, kinds: everything }];
    },
  };
}

/** Undefined: there is none. */
export function allTargets(parts: readonly (Targeting | undefined)[]): Targeting | undefined {
  const some = parts.filter((part) => part !== undefined);
  if (some.length === 0) return undefined;
  return {
    names: some.flatMap(({ names }) => names),
    targetsOf: (repo) => some.flatMap(({ targetsOf }) => targetsOf(repo)),
  };
}
