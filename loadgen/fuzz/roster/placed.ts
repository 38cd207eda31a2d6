/** In a run that moves: whether what was acknowledged lies where it belongs, by the ids of all origins that are there. */

import { Rendezvous } from '../../../core/rendezvous/rendezvous.ts';
import { type Acked, rightSomewhere } from '../disks/stored.ts';
import type { OriginSite } from '../origin.ts';

const replicas = 2;

/** Owners that do not have a blob of theirs, whole on their disks; one line each. */
export function misplaced({
  origins,
  acked,
}: {
  readonly origins: ReadonlyMap<string, OriginSite>;
  readonly acked: Acked['acked'];
}): string[] {
  const there = new Map([...origins.values()].filter(({ joined }) => joined).map((site) => [site.id, site]));
  const ring = Rendezvous.of([...there.keys()]);
  return [...acked.values()].flatMap((content) =>
    ring
      .pick(content.digest, replicas)
      .flatMap((id) => there.get(id) ?? [])
      .filter((site) => !rightSomewhere([site], content))
      .map((site) => `${site.name} owns ${content.digest.slice(7, 15)} and does not have it`),
  );
}
