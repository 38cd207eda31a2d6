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
  /** Places of those that should hold the blob; this origin's may be among them. */
  owners(digest: Digest): readonly string[];
  /** All other origins that are known, whether they answer or not. */
  others(): readonly OtherOrigin[];
}

/** `replicas`: owners of each blob. `self`: which of the members this origin is, by its id. */
export function ringOfMembers(
  origins: Pick<Members<OriginClient>, 'owners' | 'places' | 'byId'>,
  { self, replicas }: { readonly self: string; readonly replicas: number },
): RepairRing {
  const other = ({ id, url = '' }: { readonly id: string; readonly url?: string | undefined }): OtherOrigin => {
    const member = origins.byId(id);
    return { place: id, url, live: member?.pulse.well === true, client: member?.repair };
  };
  return {
    self,
    owners: (digest) => origins.owners(digest, replicas).map(({ id }) => id),
    others: () => origins.places.filter(({ id }) => id !== self).map(other),
  };
}
