/** Receivers of events as targets of writes: each wants every write of its repositories, in order. */

import { repositoryMatches } from '../../core/oci/pattern.ts';
import type { OutboxTarget } from '../../platform/tags/targets.ts';
import type { Targeting } from '../outbox/targets.ts';
import type { EventsConfig } from './config.ts';

export function eventTarget(endpoint: string): string {
  return `event:${endpoint}`;
}

/** Undefined: nobody is told. */
export function eventTargets({ endpoints }: EventsConfig): Targeting | undefined {
  if (endpoints.length === 0) return undefined;
  const targets = endpoints.map(({ name, repositories }) => {
    const target: OutboxTarget = { name: eventTarget(name), kinds: ['manifest', 'tag'], every: true };
    return { repositories, target };
  });
  return {
    names: targets.map(({ target }) => target.name),
    targetsOf: (repo) =>
      targets.filter(({ repositories }) => repositoryMatches(repositories, repo)).map(({ target }) => target),
  };
}
