/**
 * The end of every step: what its input, or the time, has made due is done once, in this order; then the rules are held
 * that hold after each step.
 */

import { disown, finish, giveUpOdds } from './blobs.ts';
import { flushHaves } from './feeding/haves.ts';
import { pump, scanGrants } from './feeding/uplink.ts';
import { closeDue } from './graph/links.ts';
import { connectMore, tend } from './graph/neighbours.ts';
import { gossipMs, graphMs, scanMs } from './limits.ts';
import { scanFlights } from './pulling/flights.ts';
import { sendWants } from './pulling/wants.ts';
import { tellOrigins, tellRoom } from './pulling/window.ts';
import { sendWishes } from './pulling/wishes.ts';
import type { State } from './records/state.ts';

/** Ends the step; why its node cannot go on, if it cannot. */
export function finishStep(state: State): string | undefined {
  if (state.due.closings.length > 0) closeDue(state);
  const tends = state.nowMs >= state.due.graphAtMs;
  doDue(state);
  return broken(state) ?? (tends ? tablesBroken(state) : undefined);
}

function doDue(state: State): void {
  const { nowMs, due } = state;
  if (due.marked) endMarked(state);
  if (nowMs >= due.graphAtMs) tend(state);
  if (nowMs >= due.scanAtMs) scan(state);
  if (due.marked) connectMarked(state);
  if (due.loss) tellOrigins(state);
  if (due.room) tellRoom(state);
  if (nowMs >= due.batchAtMs) {
    due.batchAtMs = Infinity;
    flushHaves(state);
    sendWants(state, true);
    if (due.wishes.size > 0) sendWishes(state, true);
  } else {
    if (due.wants) sendWants(state, false);
    if (due.wishesNow) sendWishes(state, false);
  }
  if (due.pump || nowMs >= due.pumpAtMs) pump(state);
  if (due.graphAtMs === Infinity && (state.graph.links.size > 0 || state.unfinished.size > 0)) {
    due.graphAtMs = nowMs + state.jitter(graphMs);
    due.gossipAtMs = nowMs + state.jitter(gossipMs);
  }
}

function endMarked(state: State): void {
  const { due } = state;
  if (due.disowned.size > 0) disown(state);
  if (due.odds.size > 0) giveUpOdds(state);
  if (due.finished.size > 0) finishBlobs(state);
}

/** Connecting may close what is no longer needed, so that others have to be looked after: the next step's concern. */
function connectMarked(state: State): void {
  const { due } = state;
  const blobs = [...due.connect];
  due.connect.clear();
  for (const blob of blobs) connectMore(state, blob);
  due.marked = due.connect.size + due.finished.size + due.disowned.size + due.odds.size > 0;
}

/** Grants and pieces that are owed for too long. */
function scan(state: State): void {
  state.due.scanAtMs = Infinity;
  scanGrants(state);
  closeDue(state);
  scanFlights(state);
  closeDue(state);
  const { down, up } = state;
  if (down.inPieces > 0 || up.outPieces > 0 || up.takers > 0) state.due.scanAtMs = state.nowMs + scanMs;
}

function finishBlobs(state: State): void {
  for (const blob of state.due.finished) if (blob.complete) finish(state, blob);
  state.due.finished.clear();
}

/** What breaks a rule that holds after every step; undefined where nothing does. */
function broken({ down, up }: State): string | undefined {
  if (down.inPieces < 0 || down.inBytes < 0) return 'more pieces came than were on their way';
  if (down.inPieces === 0 && down.inBytes !== 0) return 'bytes on their way without a piece';
  if (down.standingPieces > down.inPieces) return 'more pieces stand still than are on their way';
  if (down.uncheckedBytes < 0 || (down.checks.length === 0 && down.uncheckedBytes !== 0))
    return 'unverified bytes without a piece';
  if (up.outPieces < 0 || up.outBytes < 0) return 'more grants ended than were given';
  if (up.outPieces === 0 && (up.outBytes !== 0 || up.load !== 0)) return 'uplink is loaded without a grant';
  return up.takers < 0 ? 'fewer than no neighbours want something' : undefined;
}

/** The same of whole tables, which is looked at as the graph is tended. */
function tablesBroken({ up, graph, byDigest, unfinished }: State): string | undefined {
  if (up.takers > graph.links.size) return 'more neighbours want something than there are links';
  if (up.blobs.length > byDigest.size) return 'feeding a blob that is gone';
  return unfinished.size > byDigest.size ? 'pulling a blob that is gone' : undefined;
}
