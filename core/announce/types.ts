/** The announcer's face: what goes in, what comes out, what a tick is for. */

import type { AnnounceAnswer, AnnounceReply, AnnounceRequest } from '../contracts/tracker.ts';
import type { BlobIn, Digest } from '../digest.ts';
import type { Metainfo } from '../piece.ts';
import type { Prng } from '../prng.ts';
import type { PeerAddress } from '../wire/messages.ts';
import type { AnnounceTiming } from './timing.ts';

/** Who asks how far a blob has grown: nobody waits; somebody waits, or is further; 'whole': a neighbour has all of it. */
export type Waits = boolean | 'whole';

export type AnnouncerInput =
  | {
      readonly kind: 'set';
      readonly digest: Digest;
      readonly state: 'want' | 'have';
      readonly meta?: Metainfo | undefined;
    }
  /** A blob that is wanted grows, and so many hashes are known here: more are asked for by and by, soon where somebody `waits`. */
  | { readonly kind: 'grows'; readonly digest: Digest; readonly known: number; readonly waits: Waits }
  | { readonly kind: 'unset'; readonly digest: Digest }
  /** Only for a blob that is wanted; otherwise without effect. */
  | { readonly kind: 'seek'; readonly digest: Digest; readonly count: number; readonly repo?: string | undefined }
  | { readonly kind: 'reply'; readonly request: number; readonly reply: AnnounceReply }
  | { readonly kind: 'failed'; readonly request: number }
  /** These are the trackers from now on; at least one. */
  | { readonly kind: 'trackers'; readonly trackers: readonly string[] }
  /** Has every tracker speak once, though there may be nothing to announce: so it is known who is there. */
  | { readonly kind: 'greet' }
  /** The last input that has an effect. */
  | { readonly kind: 'leave' }
  | { readonly kind: 'tick' };

export type AnnouncerOutput =
  | { readonly kind: 'send'; readonly tracker: string; readonly request: number; readonly body: AnnounceRequest }
  | { readonly kind: 'answer'; readonly answer: AnnounceAnswer }
  /**
   * The blob is sought, or grows, and no tracker is there to tell of it: whoever knows the origins asks them. `known`: as
   * in `set`.
   */
  | ({ readonly kind: 'alone'; readonly known: number | undefined } & BlobIn)
  | { readonly kind: 'leave'; readonly tracker: string; readonly node: string };

export type AnnouncerConfig = {
  readonly self: PeerAddress;
  /** Base URLs, or any other names; the same on every host. */
  readonly trackers: readonly string[];
  readonly prng: Prng;
  readonly timing: AnnounceTiming;
  /** We take blobs while an origin still receives them, and say so with each that we want. */
  readonly growing?: boolean | undefined;
};

/** What a tick is for: a tracker is to be told, a seek waited too long for an answer, a seek is repeated, a blob may have grown. */
export type AnnouncerDue = 'announce' | 'alone' | 'again' | 'growth';
