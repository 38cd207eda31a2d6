/** The handout's face: what goes in, what comes out, what a tick is for. */

import type { AnnounceAnswer, AnnounceReply, AnnounceRequest } from '../contracts/tracker.ts';
import type { Digest } from '../digest.ts';
import type { Growth, Metainfo } from '../piece.ts';
import type { Prng } from '../prng.ts';
import type { PeerAddress } from '../wire/messages.ts';
import type { HandoutLimits } from './limits.ts';
import type { Limit } from './room.ts';

export type HandoutInput =
  /** Answered by one `reply`. `client`: whom limits count it for; absent: the node itself. */
  | { readonly kind: 'announce'; readonly request: AnnounceRequest; readonly client?: string | undefined }
  | { readonly kind: 'leave'; readonly node: string }
  /** What the origins said of a blob, and which of them hold it. Forgotten with the swarm. */
  | {
      readonly kind: 'located';
      readonly digest: Digest;
      readonly meta: Metainfo;
      readonly origins: readonly PeerAddress[];
    }
  /** So much the origin knows of a blob that it still receives; undefined: it receives it no more. What is less is passed over. */
  | {
      readonly kind: 'grows';
      readonly digest: Digest;
      readonly growth: Growth | undefined;
      readonly origins: readonly PeerAddress[];
    }
  /** Neighbours for a node that announced; `known` as it said. Answered by one `answer`. */
  | {
      readonly kind: 'ask';
      readonly digest: Digest;
      readonly node: string;
      readonly seek: number;
      readonly known?: number | undefined;
    }
  | { readonly kind: 'tick' };

/** A blob that a node seeks and of which no metainfo is known here. */
export type Cold = {
  readonly digest: Digest;
  /** 0: it knows neighbours, and asks how far the blob is. */
  readonly seek: number;
  readonly known?: number | undefined;
};
/** How many of a request's leases are not kept, and the limit that kept the first of them out. */
export type Refused = { readonly limit: Limit; readonly leases: number };
export type HandoutOutput =
  | {
      readonly kind: 'reply';
      readonly reply: AnnounceReply;
      readonly cold: readonly Cold[];
      /** Blobs that grow, and were asked for by who takes them so: the origin may know more by now. */
      readonly growing: readonly Digest[];
      readonly refused: Refused | undefined;
    }
  | { readonly kind: 'answer'; readonly answer: AnnounceAnswer };

/** What a tick is for: leases end. */
export type HandoutDue = 'leases';

export type HandoutConfig = {
  readonly prng: Prng;
  readonly leaseMs: number;
  /** Below leaseMs. */
  readonly intervalMs: number;
  readonly limits: HandoutLimits;
};
