/** The life of a sink (records/lives.ts): it begins, is answered, gets no more, ends; and the hash list that it asks for. */

import { hashBytes } from '../../piece.ts';
import { hashesPerFrameMax } from '../../wire/limits.ts';
import type { Open } from '../../wire/messages.ts';
import { toBytes } from '../records/bits.ts';
import { next, sinkLife } from '../records/lives.ts';
import { takeOut } from '../records/ours.ts';
import { type Blob, type Edge, type InLink, Sink } from '../records/records.ts';
import type { State } from '../records/state.ts';
import type { OurFeedingBlob, OurFeedingLink, OurSink } from './ours.ts';
import { beginUnsent, takeBack } from './unsent.ts';
import { accept, end, grant, setCount } from './uplink.ts';

const noBytes = new Uint8Array(0);

/** The peer on `link` opens the blob of `edge`. */
export function beginSink(edge: Edge, link: InLink, asked: Open): Sink {
  const sink = new Sink(edge, link, asked);
  (link as OurFeedingLink).sinks.push(sink);
  (edge.blob.feeding as OurFeedingBlob).sinks.push(sink);
  return sink;
}

/** The blob is ready: answers who has been waiting. */
export function beginFeeding(state: State, blob: Blob): void {
  beginUnsent(state, blob);
  for (const sink of blob.feeding.sinks) if (sink.state === 'pending') answerOpen(state, sink);
}

/** The answer to Open, with what was asked for along with it. */
export function answerOpen(state: State, sink: Sink): void {
  const { blob, link, swarm } = sink;
  const { fresh, freshBase } = blob.feeding;
  const all = blob.complete;
  const have = all ? noBytes : toBytes(blob.held, blob.pieces);
  const ours = sink as OurSink;
  ours.state = next(sinkLife, sink.state, 'open');
  ours.told = freshBase + fresh.length;
  state.send(link, { kind: 'opened', swarm, meta: blob.meta, all, growing: false, have });
  if (sink.needHashes) sendHashes(state, sink, 0);
  if (!sink.empty || blob.pieces !== 1 || !all) return;
  const length = blob.meta.length;
  const allowance = grant(state, sink, 0, length);
  accept(state, sink, allowance, 0);
  state.out.push({ kind: 'feed', link: link.no, grant: allowance.grant, swarm, blob: blob.no, piece: 0, length });
}

/** One frame of the hash list, from piece `from`. */
export function sendHashes(state: State, { blob, link, swarm }: Sink, from: number): void {
  const until = Math.min(blob.pieces, from + hashesPerFrameMax);
  const hashes = blob.hashes.subarray(from * hashBytes, until * hashBytes);
  link.puller.hashLists.spend(hashes.length, state.nowMs);
  state.send(link, { kind: 'hashes', swarm, from, total: blob.pieces, hashes });
}

/** Gives `sink` no more grants; its puller closes it. */
export function partSink(state: State, sink: Sink): void {
  (sink as OurSink).state = next(sinkLife, sink.state, 'parting');
  setCount(state, sink, 0);
}

/** Takes back what `sink` was granted, and forgets it. */
export function endSink(state: State, sink: Sink): void {
  const { blob, link, swarm } = sink;
  takeBack(sink);
  setCount(state, sink, 0);
  while (sink.allowances.length > 0) {
    const allowance = sink.allowances[sink.allowances.length - 1]!;
    const { grant: no, piece, state: was } = allowance;
    end(state, sink, allowance, false);
    if (was === 'sending') state.out.push({ kind: 'unfeed', link: link.no, grant: no, swarm, piece });
  }
  (sink as OurSink).state = next(sinkLife, sink.state, 'closed');
  takeOut((blob.feeding as OurFeedingBlob).sinks, sink);
  takeOut((link as OurFeedingLink).sinks, sink);
  if (blob.wishing) state.wishesMayChange(blob, false);
}
