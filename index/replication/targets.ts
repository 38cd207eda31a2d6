/**
 * Remotes as targets of the outbox: of what is written here they want tags, and what refers to something; with `deletes`, each
 * manifest that is deleted.
 */

import { remotesOf, ruleFor } from '../../core/replicate/rules.ts';
import type { Targeting } from '../outbox/targets.ts';
import type { ReplicateConfig } from './config.ts';

const written = ['tag', 'referrer'] as const;
const withDeletions = [...written, 'deletion'] as const;

export function remoteTarget(name: string): string {
  return `remote:${name}`;
}

/** Undefined: no remote is configured. */
export function replicationTargets(config: ReplicateConfig | undefined): Targeting | undefined {
  if (config === undefined || Object.keys(config.remotes).length === 0) return undefined;
  return {
    names: Object.keys(config.remotes).map(remoteTarget),
    targetsOf: (repo) =>
      remotesOf(config.rules, repo).map((name) => {
        const kinds = ruleFor(config.rules, repo, name)?.deletes === true ? withDeletions : written;
        return { name: remoteTarget(name), kinds };
      }),
  };
}
