/** What a peer needs of the trackers. tracker.ts is the real one; tests keep an in-memory one. */

import type { Waits } from '../../core/announce/types.ts';
import type { AnnounceAnswer, Located, LocatedGrowing } from '../../core/contracts/tracker.ts';
import type { BlobIn, Digest } from '../../core/digest.ts';
import type { Metainfo } from '../../core/piece.ts';
import type { PeerAddress } from '../../core/wire/messages.ts';
import type { CallContext } from './context.ts';

export interface Tracking {
  /**
   * Called once, as soon as the peer listens; nothing is announced before. Calls made earlier are kept. `answered` is
   * told what a seek brings: the error 'unavailable' is not final, the session keeps asking, with back-off, until the
   * blob is no longer wanted; 'unknown' is final for this seek.
   */
  join(self: PeerAddress, answered: (answer: AnnounceAnswer) => void): void;
  /** Take part in a blob's swarm. `meta` is what an origin knows; trackers believe it of origins only. */
  set(digest: Digest, state: 'want' | 'have', meta?: Metainfo): void;
  /** Of one that is wanted and grows: so many hashes are known here; more are asked for by and by, soon where somebody `waits`. */
  grows(digest: Digest, known: number, waits: Waits): void;
  unset(digest: Digest): void;
  /**
   * Ask for up to `count` neighbours in the next batch, which goes out within about 10 ms. Only while 'want'. Where no
   * tracker answers, an agent's session asks the origins, as far as it knows them, and answers with who holds it.
   */
  seek(blob: BlobIn, count: number): void;
  /** What is known of a blob; joins nothing. Undefined: no origin knows it. Throws ApiError UNAVAILABLE. */
  locate(blob: BlobIn, ctx: CallContext): Promise<Located | LocatedGrowing | undefined>;
  /** Ends every lease, as far as trackers can be reached, within a second; announces nothing from then on. */
  leave(): Promise<void>;
}
