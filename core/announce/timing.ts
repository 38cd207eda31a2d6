/** When a node tells its trackers, and how long it waits for them. */

export type AnnounceTiming = {
  /** A seek, where no request is on its way: long enough for what comes up at the same moment. */
  readonly seekMs: number;
  /** A seek that moves to another tracker, and whatever an origin says, goes out after 0 to this. */
  readonly batchMs: number;
  /** An agent's other news goes out after 0 to this. */
  readonly newsMs: number;
  /** What another tracker was told of meanwhile goes back to one that answers again after 0 to this: so do thousands of hosts. */
  readonly homeMs: number;
  /** A seek without an answer for this long is `alone`: a tracker answers from memory, or within its `lookup.wait`. */
  readonly aloneMs: number;
  /** Until a tracker says otherwise. */
  readonly intervalMs: number;
  /** A tracker that failed is tried again after a jittered, doubling delay. */
  readonly down: { readonly delayMs: number; readonly delayMsMax: number };
  /** So is a seek that was answered 'unavailable'. */
  readonly again: { readonly delayMs: number; readonly delayMsMax: number };
};

export const announceTiming: AnnounceTiming = {
  seekMs: 1,
  batchMs: 10,
  newsMs: 250,
  homeMs: 2_000,
  aloneMs: 500,
  intervalMs: 10_000,
  down: { delayMs: 200, delayMsMax: 5000 },
  again: { delayMs: 100, delayMsMax: 2000 },
};
