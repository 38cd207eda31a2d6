/** What is announced of one blob. */

import type { AnnounceEntry } from '../contracts/tracker.ts';
import type { Digest } from '../digest.ts';
import type { Metainfo } from '../piece.ts';
import type { PeerAddress } from '../wire/messages.ts';
import type { Target } from './target.ts';

/** `at`: the target that it is announced to. `seek`: neighbours to ask for in the next batch. */
export type AnnouncedBlob = {
  readonly digest: Digest;
  order: readonly Target[];
  state: 'want' | 'have';
  meta: Metainfo | undefined;
  at: Target;
  /** The repository that it was sought in last. */
  repo: string | undefined;
  /** Hashes that we know, where we take the blob while it grows. */
  known: number | undefined;
  seek: number;
  unavailable: number;
};

/** Only an origin's metainfo is believed, so only an origin sends it. */
export function entryOf(blob: AnnouncedBlob, role: PeerAddress['role']): AnnounceEntry {
  const { digest, state, seek, meta, repo, known } = blob;
  const asks =
    (seek > 0 || known !== undefined) && repo !== undefined ? { digest, state, seek, repo } : { digest, state, seek };
  const entry = known !== undefined && state === 'want' && meta === undefined ? { ...asks, known } : asks;
  return meta === undefined || role !== 'origin' ? entry : { ...entry, meta };
}
