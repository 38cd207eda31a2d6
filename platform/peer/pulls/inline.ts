/** A small blob that came whole with a tracker's answer: checked against its digest and stored. */

import { createHash } from 'node:crypto';
import { ApiError } from '../../../core/contracts/errors.ts';
import { inlineBytesMax } from '../../../core/contracts/fields.ts';
import type { AnnounceAnswer } from '../../../core/contracts/tracker.ts';
import { digestAlgorithm, digestHex } from '../../../core/digest.ts';
import { metainfoValid } from '../../../core/piece.ts';
import type { Verdict } from '../../../core/swarm/types.ts';
import type { BlobEntry } from '../../store/pieces/entry.ts';
import type { BlobStore } from '../../store/store.ts';
import type { Logger } from '../../telemetry/log.ts';
import type { PieceMemory } from '../../workers/arena.ts';
import { blake3, blake3Hex } from '../../workers/hash.ts';
import type { PartEnd } from './life.ts';
import type { Part } from './part.ts';

/**
 * The stored blob, or undefined where the answer does not match its digest or its own metainfo.
 * Throws what the store throws (STORAGE_FULL), and UNAVAILABLE where the disk refuses it.
 */
async function inlineBlob(
  to: { readonly store: BlobStore; readonly arena: PieceMemory },
  { digest, meta, inline }: AnnounceAnswer,
): Promise<BlobEntry | undefined> {
  if (inline === undefined || meta === undefined || !metainfoValid(meta) || meta.length > inlineBytesMax)
    return undefined;
  const bytes = Buffer.from(inline, 'base64');
  if (bytes.length !== meta.length) return undefined;
  // Small enough for the main thread; and so nobody's word is needed, not even the tracker's.
  if (createHash(digestAlgorithm(digest)).update(bytes).digest('hex') !== digestHex(digest)) return undefined;
  const hashes = bytes.length === 0 ? new Uint8Array(0) : blake3(bytes);
  if (blake3Hex(hashes) !== meta.root) return undefined;
  const entry = await to.store.create(digest, meta, hashes, bytes);
  if (bytes.length === 0) return entry;
  const slot = await to.arena.acquire('receive', bytes.length);
  let verdict: Verdict = 'failed';
  try {
    slot.window(0).set(bytes);
    // A part of it was there, from before it was small enough to come with an answer.
    verdict = entry.complete ? 'held' : await entry.write(0, slot);
  } finally {
    // Whoever asked for it reads it now.
    if (verdict === 'held') entry.keep(0, slot);
    else slot.release();
  }
  if (verdict === 'held') return entry;
  throw entry.failure ?? new ApiError('UNAVAILABLE', `blob ${digest} cannot be stored: try again`);
}

export type InlineHost = {
  readonly store: BlobStore;
  readonly arena: PieceMemory;
  readonly log: Logger;
  readonly arrived: (entry: BlobEntry) => void;
  /** It is to be pulled from peers. */
  readonly suggest: (part: Part, answer: AnnounceAnswer) => void;
  readonly end: (part: Part, end: PartEnd, why: Error) => void;
};

/** A tracker's answer held the whole blob: no swarm is needed. */
export async function enterInline(part: Part, answer: AnnounceAnswer, host: InlineHost): Promise<void> {
  part.go('inlined');
  try {
    const entry = await inlineBlob(host, answer);
    if (part.no === undefined) return;
    if (entry === undefined) {
      host.log.warn({ digest: part.digest }, "a tracker's inline blob does not match: pulled from peers instead");
      if (part.state === 'storing') part.go('mismatched');
      return host.suggest(part, answer);
    }
    part.stats.bytesFromOrigins += entry.meta.length;
    host.arrived(entry);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (part.no !== undefined) host.end(part, 'refused', error);
  }
}
