/**
 * Who should hold a blob, as repair needs it: places on the ring, and how the others are asked. Made of the members that
 * this origin knows; where it changes, everything is compared anew.
 */

import type { Digest } from '../../core/digest.ts';
import type { OriginClient } from '../../platform/clients/origin.ts';
import type { RepairClient } from '../../platform/clients/origin-repair.ts';
import type { Members } from '../../platform/members/members.ts';

export type OtherOrigin = {
  readonly place: string;
  readonly url: string;
  /** It answered lately, as far as known. */
  readonly live: boolean;
  /** Undefined: nobody knows where it is. */
  readonly client: RepairClient | undefined;
};

export interface RepairRing {
  /** This origin's own place. */
  readonly self: string;
  /** Places of those that should hold the blob; this origin's may be among them. `told`: others say that it has so many. */
  owners(digest: Digest, told?: number): readonly string[];
  /** How many these are, as far as known here. */
  count(digest: Digest): number;
  /** All other origins that are known, whether they answer or not. */
  others(): readonly OtherOrigin[];
}

/** `replicas`: owners of a blob. `self`: which of the members this origin is, by its id. */
export function ringOfMembers(
  origins: Pick<Members<OriginClient>, 'owners' | 'places' | 'byId'>,
  { self, replicas }: { readonly self: string; readonly replicas: (digest: Digest) => number },
): RepairRing {
  const other = ({ id, url = '' }: { readonly id: string; readonly url?: string | undefined }): OtherOrigin => {
    const member = origins.byId(id);
    return { place: id, url, live: member?.pulse.well === true, client: member?.repair };
  };
  return {
    self,
    owners: (digest, told = 0) => origins.owners(digest, Math.max(told, replicas(digest))).map(({ id }) => id),
    count: replicas,
    others: () => origins.places.filter(({ id }) => id !== self).map(other),
  };
}
