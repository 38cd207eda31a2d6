/**
 * Learning a blob: metainfo first (the tracker's word), then the piece-hash list, from any neighbour
 * and checked against the metainfo's root. Until both are here nothing is fetched and openers wait.
 */

import { assert } from '../../assert.ts';
import { hashBytes, type Metainfo, metainfoValid } from '../../piece.ts';
import { hashesPerFrameMax } from '../../wire/limits.ts';
import type { Hashes } from '../../wire/messages.ts';
import { accept, grant } from '../feeding/uplink.ts';
import { sendOpen } from '../graph/edges.ts';
import { hashListsMax, hashListsPerMs } from '../limits.ts';
import { bits, toBytes } from '../records/bits.ts';
import type { Blob } from '../records/blob.ts';
import type { Sink, Source } from '../records/links.ts';
import type { State } from '../records/state.ts';
import { openLacking, reviewAll } from './interest.ts';

const noBytes = new Uint8Array(0);

/** The metainfo is known: whoever waits for it opens. False where it cannot be a blob's. */
export function learnMeta(state: State, blob: Blob, meta: Metainfo): boolean {
  if (!metainfoValid(meta)) return false;
  blob.root(meta);
  blob.rootedMs = state.nowMs;
  for (const { source } of blob.edges) if (source !== undefined) sendOpen(state, source);
  if (blob.pieces === 0 && state.config.rootOf(noBytes) === meta.root) learnHashes(state, blob, noBytes);
  return true;
}

/** The hash list is known and agrees with the root: the blob is ready. */
export function learnHashes(state: State, blob: Blob, hashes: Uint8Array): void {
  state.out.push({ kind: 'learned', blob: blob.no, meta: blob.meta, hashes });
  makeReady(state, blob, hashes);
  if (blob.complete) state.finished.add(blob);
}

/** Opens what is lacking, and answers who has been waiting. */
export function makeReady(state: State, blob: Blob, hashes: Uint8Array): void {
  assert(blob.stage === 'rooted', 'a blob is made ready once, after its metainfo');
  blob.hashes = hashes;
  blob.stage = 'ready';
  blob.lead = undefined;
  openLacking(blob);
  const origin = state.config.self.role === 'origin';
  blob.doubted = bits(blob.pieces);
  blob.unsent = origin ? blob.held.slice() : bits(blob.pieces);
  blob.unsentCount = origin ? blob.heldCount : 0;
  for (const sink of blob.sinks) if (sink.state === 'pending') answerOpen(state, sink);
  reviewAll(state, blob);
}

/** The answer to Open, with what was asked for along with it. */
export function answerOpen(state: State, sink: Sink): void {
  const { blob, link, swarm } = sink;
  const all = blob.complete;
  const have = all ? noBytes : toBytes(blob.held, blob.pieces);
  sink.state = 'open';
  sink.told = blob.newsBase + blob.news.length;
  state.send(link, { kind: 'opened', swarm, meta: blob.meta, all, growing: false, have });
  if (sink.needHashes) sendHashes(state, sink, 0);
  if (!sink.empty || blob.pieces !== 1 || !all) return;
  const allowance = grant(state, sink, 0, blob.meta.length);
  accept(state, sink, allowance, 0);
  state.out.push({
    kind: 'feed',
    link: link.no,
    grant: allowance.grant,
    swarm,
    blob: blob.no,
    piece: 0,
    length: blob.meta.length,
  });
}

/** One frame of the hash list, from piece `from`. */
export function sendHashes(state: State, sink: Sink, from: number): void {
  const { blob, link, swarm } = sink;
  const until = Math.min(blob.pieces, from + hashesPerFrameMax);
  const hashes = blob.hashes.subarray(from * hashBytes, until * hashBytes);
  const regained = (state.nowMs - link.hashesMs) * hashListsPerMs;
  link.hashBytes = Math.min(hashListsMax, link.hashBytes + regained) - hashes.length;
  link.hashesMs = state.nowMs;
  state.send(link, { kind: 'hashes', swarm, from, total: blob.pieces, hashes });
}

/** A frame of the list from `source`. Returns what is wrong with it, or undefined. */
export function onHashes(state: State, source: Source, message: Hashes): string | undefined {
  const { blob } = source;
  const { from, total, hashes } = message;
  const count = hashes.length / hashBytes;
  if (total !== blob.pieces || !Number.isInteger(count) || from + count > total) return 'hash list out of bounds';
  if (blob.stage !== 'rooted') return undefined;
  // A list that comes whole is taken from whoever sends it: its piece may follow at once, whoever leads by now.
  const whole = from === 0 && count === total;
  if (!whole && (blob.lead !== source || from !== blob.hashesAt)) return undefined;
  if (count === 0 && total > 0) return 'empty hash list';
  blob.hashes = joined(blob, from, hashes);
  blob.hashesAt = from + count;
  if (blob.hashesAt < total) {
    blob.hashesAskedMs = state.nowMs;
    state.send(source.link, { kind: 'wantHashes', swarm: source.swarm, from: blob.hashesAt });
    return undefined;
  }
  if (state.config.rootOf(blob.hashes) !== blob.meta.root) {
    blob.hashes = noBytes;
    blob.hashesAt = 0;
    return 'hash list does not match its root';
  }
  learnHashes(state, blob, blob.hashes);
  return undefined;
}

/** Asks an open source for the list from its start, another one than last time where there is one. */
export function askHashes(state: State, blob: Blob): void {
  const others = blob.sources.filter((source) => source !== blob.lead && source.state === 'open');
  const lead = others[others.length === 0 ? 0 : state.config.prng.below(others.length)] ?? blob.lead;
  blob.hashesAt = 0;
  blob.hashesAskedMs = state.nowMs;
  if (lead === undefined || lead.state !== 'open') {
    // Nobody is open yet: the next Open asks.
    blob.lead = undefined;
    return;
  }
  blob.lead = lead;
  state.send(lead.link, { kind: 'wantHashes', swarm: lead.swarm, from: 0 });
}

/** The list so far with this frame in it; frames that lie side by side in memory are joined without a copy. */
function joined(blob: Blob, from: number, frame: Uint8Array): Uint8Array {
  const before = blob.hashes;
  if (from === 0) return frame;
  const adjacent = before.buffer === frame.buffer && before.byteOffset + before.length === frame.byteOffset;
  if (adjacent) return new Uint8Array(frame.buffer, before.byteOffset, before.length + frame.length);
  const whole = blob.pieces * hashBytes;
  let list = before;
  if (before.length < whole) {
    list = new Uint8Array(whole);
    list.set(before);
  }
  list.set(frame, from * hashBytes);
  return list;
}
