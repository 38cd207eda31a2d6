/** Remotes as targets of the outbox: of what is written here they want tags, and what refers to something. */

import { remotesOf } from '../../core/replicate/rules.ts';
import type { Targeting } from '../outbox/targets.ts';
import type { ReplicateConfig } from './config.ts';

export function remoteTarget(name: string): string {
  return `remote:${name}`;
}

/** Undefined: no remote is configured. */
export function replicationTargets(config: ReplicateConfig | undefined): Targeting | undefined {
  if (config === undefined || Object.keys(config.remotes).length === 0) return undefined;
  return {
    names: Object.keys(config.remotes).map(remoteTarget),
    targetsOf: (repo) =>
      remotesOf(config.rules, repo).map((name) => ({ name: remoteTarget(name), kinds: ['tag', 'referrer'] })),
  };
}
