/**
 * What is told in batches: haves to our sinks, wants to our feeders. A batch goes out havesEveryMs
 * after the first thing that it carries. Two things do not wait: haves to a neighbour that is idle
 * and wants nothing we have told it of, and a want that goes from nothing to something.
 */

import { FEATURES } from '../../wire/frames.ts';
import { holdsPiece, wanted } from '../pulling/interest.ts';
import type { Blob } from '../records/blob.ts';
import type { Sink, Source } from '../records/links.ts';
import type { State } from '../records/state.ts';

const nothing: readonly number[] = [];

/** `piece` is held from now on. */
export function announce(state: State, blob: Blob, piece: number): void {
  if (blob.sinks.length === 0) {
    blob.newsBase += 1;
    return;
  }
  if (blob.news.length === 0) {
    state.newsOf.push(blob);
    state.batch();
  }
  blob.news.push(piece);
  for (const sink of blob.sinks) {
    if (sink.wishes.some((wish) => wish.piece === piece)) {
      tell(state, sink);
      continue;
    }
    if (sink.count > 0 || sink.state !== 'open' || sink.link.inBytes > 0 || sink.link.outstanding > 0) continue;
    const { source } = sink.edge;
    if (source !== undefined && holdsPiece(source, piece)) continue;
    tell(state, sink);
  }
}

/** `piece` was given up. */
export function withdraw(state: State, blob: Blob, piece: number): void {
  if (blob.sinks.length === 0) return;
  if (blob.gone.length === 0) {
    state.goneOf.push(blob);
    state.batch();
  }
  blob.gone.push(piece);
}

/** Who heard of these pieces and would ask for them in vain hears that they are gone. */
function tellGone(state: State): void {
  for (const blob of state.goneOf) {
    const pieces = [...new Set(blob.gone)].filter((piece) => !blob.holds(piece)).sort((a, b) => a - b);
    blob.gone = [];
    if (pieces.length === 0) continue;
    for (const { link, state: at, swarm } of blob.sinks)
      if (at === 'open' && (link.features & FEATURES.gone) !== 0) state.send(link, { kind: 'gone', swarm, pieces });
  }
  state.goneOf.length = 0;
}

/** Sends every batch that is due. */
export function flush(state: State): void {
  state.batchAtMs = Infinity;
  if (state.goneOf.length > 0) tellGone(state);
  for (const blob of state.newsOf) {
    // Sinks that were told in part first, for places in the log count only while it is in order.
    for (const sink of blob.sinks) if (sink.told > blob.newsBase) tell(state, sink);
    const end = blob.newsBase + blob.news.length;
    const news = fresh(blob, blob.news);
    const all = blob.complete;
    news.sort((a, b) => a - b);
    for (const sink of blob.sinks) {
      if (sink.told >= end || sink.state !== 'open') continue;
      sink.told = end;
      if (!all && (news.length === 0 || isOldNews(sink, news))) continue;
      state.send(sink.link, { kind: 'haves', swarm: sink.swarm, pieces: all ? nothing : news, all });
    }
    blob.newsBase = end;
    blob.news = [];
  }
  state.newsOf.length = 0;
  sendWants(state, true);
}

/** Without what has been given up meanwhile, where there is no room for the blob. */
function fresh(blob: Blob, news: number[]): number[] {
  return blob.scope === undefined ? news : news.filter((piece) => blob.holds(piece));
}

/** Whether the neighbour is known to hold all of this itself: then it gains nothing by hearing of it. */
function isOldNews(sink: Sink, news: readonly number[]): boolean {
  const { source } = sink.edge;
  if (source === undefined || source.state !== 'open') return false;
  for (let i = 0; i < news.length; i += 1) if (!holdsPiece(source, news[i]!)) return false;
  return true;
}

/** The sink waits for `piece`, which we hold: it hears so at once. */
export function tellOf(state: State, sink: Sink, piece: number): void {
  if (sink.blob.news.includes(piece, Math.max(0, sink.told - sink.blob.newsBase))) tell(state, sink);
}

/** Everything that this sink has not been told yet. */
function tell(state: State, sink: Sink): void {
  const { blob } = sink;
  if (sink.state !== 'open' || sink.told === blob.newsBase + blob.news.length) return;
  const all = blob.complete;
  const pieces = all ? nothing : fresh(blob, blob.news.slice(sink.told - blob.newsBase)).sort((a, b) => a - b);
  sink.told = blob.newsBase + blob.news.length;
  state.send(sink.link, { kind: 'haves', swarm: sink.swarm, pieces, all });
}

/** Sends the counts that changed, one message a link; between batches only those that cannot wait. */
export function sendWants(state: State, batch: boolean): void {
  state.wantsUrgent = false;
  const queue = state.wants;
  if (queue.length === 0) return;
  if (queue.length > 1) queue.sort((a, b) => a.link.no - b.link.no);
  let swarms: { swarm: number; count: number }[] = [];
  let kept = 0;
  for (let i = 0; i < queue.length; i += 1) {
    const source = queue[i]!;
    const next = queue[i + 1];
    if (!batch && source.told > 0) {
      queue[kept] = source;
      kept += 1;
    } else {
      source.queued = false;
      const count = reachable(source) ? wanted(source) : source.told;
      if (count !== source.told) swarms.push({ swarm: source.swarm, count });
      source.told = count;
    }
    if (swarms.length > 0 && next?.link !== source.link) {
      state.send(source.link, { kind: 'wants', swarms, ...state.inbound(source.link) });
      swarms = [];
    }
  }
  queue.length = kept;
}

function reachable(source: Source): boolean {
  return source.state === 'open' || source.state === 'parting';
}
