/**
 * The lives of the records, as tables: from which state to which, and what brings it about. The code changes a state
 * through `next` alone, which knows no other way; docs/swarm.md draws its pictures from here (tools/draw-lives.ts).
 */

import { Bug } from '../../assert.ts';

/** By state: those that may follow it, and why they do. */
export type Life<State extends string> = {
  readonly [From in State]: { readonly [To in State]?: string };
};

/** `to`, if it may follow `from`. */
export function next<State extends string>(life: Life<State>, from: State, to: State): State {
  if (life[from][to] === undefined) throw new Bug(`a state ${to} does not follow ${from}`);
  return to;
}

/**
 * bare: no metainfo. rooted: metainfo, no hash list. ready: both. growing: an origin still receives it, so that its length
 * is known and its list in part. gone: dropped.
 */
export type BlobStage = 'bare' | 'rooted' | 'growing' | 'ready' | 'gone';
export const blobLife: Life<BlobStage> = {
  bare: {
    rooted: 'metainfo is known',
    growing: 'its length is known, while an origin receives it',
    gone: 'dropped or revoked',
  },
  rooted: { ready: 'the hash list agrees with the root', gone: 'dropped or revoked' },
  growing: { ready: 'the whole list agrees with the final root', gone: 'dropped or revoked' },
  ready: { gone: 'dropped or revoked' },
  gone: {},
};

export type LinkState = 'dialling' | 'greeting' | 'active' | 'closed';
/** One that was accepted begins with greeting. */
export const linkLife: Life<LinkState> = {
  dialling: { greeting: 'connected', closed: 'no connection' },
  greeting: { active: 'Hello', closed: 'not one of us, or silent' },
  active: { closed: 'idle, at fault, or lost' },
  closed: {},
};

/** hoped: we have asked. kept: one of the two has accepted the other, so that it counts. */
export type EdgeState = 'hoped' | 'kept' | 'gone';
export const edgeLife: Life<EdgeState> = {
  hoped: { kept: 'Opened came, or the peer opened here', gone: 'refused, or not needed any more' },
  kept: { hoped: 'the peer closed its side before it answered ours', gone: 'both sides closed' },
  gone: {},
};

/**
 * waiting: the link or the metainfo is not there yet. opening: Open is sent. offered: the feeder is
 * full and offered an edge. open. parting: takes no more pieces, closes after those in flight.
 * closed: kept only until the pieces that may still come on it have come.
 */
export type SourceState = 'waiting' | 'opening' | 'offered' | 'open' | 'parting' | 'closed';
export const sourceLife: Life<SourceState> = {
  waiting: { opening: 'link and metainfo are there: Open', closed: 'not needed any more, or the link is lost' },
  opening: { open: 'Opened', offered: 'EdgeOffer', closed: 'Refuse, or no answer' },
  offered: { opening: 'open at the offered edge: Open again', closed: 'nothing came of it' },
  open: { parting: 'every piece is held, or the edge goes to a newcomer', closed: 'the link, the feeder or we end it' },
  parting: { closed: 'its last piece has come' },
  closed: {},
};

/** pending: we do not know the blob well enough to answer yet. parting: gets no more grants. */
export type SinkState = 'pending' | 'open' | 'parting' | 'closed';
export const sinkLife: Life<SinkState> = {
  pending: { open: 'the blob is ready: Opened', closed: 'Close, or the link is lost' },
  open: { parting: 'the edge goes to a newcomer', closed: 'Close, Refuse, or the link is lost' },
  parting: { closed: 'Close, or the link is lost' },
  closed: {},
};

/**
 * A piece on its way to us. due: it comes. late: and a hedge is wanted. hedge: the second one of a late piece.
 * hedged: a late one whose hedge is on its way. cancelled: another one came first; if it still comes it is thrown
 * away. givenUp: the same, since it stood still or there is no room.
 */
export type FlightState = 'due' | 'late' | 'hedged' | 'hedge' | 'cancelled' | 'givenUp';
export const flightLife: Life<FlightState> = {
  due: {
    late: 'it takes too long',
    hedge: 'asked for beside a late one',
    cancelled: 'not needed',
    givenUp: 'it stands',
  },
  late: { hedged: 'a second one is asked for', cancelled: 'not needed', givenUp: 'it stands' },
  hedged: { due: 'its hedge is gone', cancelled: 'its hedge came first', givenUp: 'not wanted any more' },
  hedge: { due: 'the late one is gone', cancelled: 'the late one came first', givenUp: 'not wanted any more' },
  cancelled: {},
  givenUp: {},
};

/** A grant of ours. */
export type AllowanceState = 'offered' | 'sending' | 'over';
export const allowanceLife: Life<AllowanceState> = {
  offered: { sending: 'Request', over: 'Pass, no answer, or the end of the sink' },
  sending: { over: 'Receipt, or the end of the sink' },
  over: {},
};
