/**
 * The life of a blob that a node takes part in: its states, all that ends each, and what ends a wait for it. part.ts goes
 * by these tables, and docs/pull.md draws them (life.test.ts holds the two equal).
 *
 * Rule: what is not in here does not happen: a state is left by one of its own ends, or it is a Bug.
 */

import { askAfterMs, forgottenMs, idleBlobMs, learnMsDefault, orphanStallMs, stallMsDefault } from '../limits.ts';

export type PartState = 'seeking' | 'storing' | 'growing' | 'pulling' | 'held' | 'whole' | 'ended';

/** `unusedMs`: it ends so when nobody has used the blob for that long; 'linger': as the node is told, and only what readers have used. */
type End = { readonly to: PartState; readonly when: string; readonly unusedMs?: number | 'linger' };

/** Whoever waits is told, and the trackers that we do not take part in it any more. */
const failures = {
  unwanted: { to: 'ended', when: 'it was read, and nobody reads it any more', unusedMs: 'linger' },
  stopped: { to: 'ended', when: 'it is called off' },
  dropped: { to: 'ended', when: 'it is removed from the store, or evicted' },
  revoked: { to: 'ended', when: 'an origin took the blob back: UNAVAILABLE, and the store removes it' },
  refused: { to: 'ended', when: 'the store has no room for it, or its disk refuses: STORAGE_FULL, UNAVAILABLE' },
  closed: { to: 'ended', when: 'the process is shutting down' },
} as const satisfies Record<string, End>;
const { unwanted: _, stopped: __, ...kept } = failures;
/** Of one that an origin still receives, or may. */
const odds = {
  to: 'ended',
  when: 'what was told of it contradicts itself: UNAVAILABLE, and the store removes it',
} as const;

export const partLife = {
  seeking: {
    means: 'nobody has told yet what the blob consists of',
    ends: {
      found: { to: 'whole', when: 'all of it is in the store' },
      opened: { to: 'held', when: 'all of it is in the store, and a peer opens it' },
      resumed: { to: 'pulling', when: 'some of it is in the store' },
      learned: { to: 'pulling', when: 'a peer told its metainfo and its hashes, and the store has made the entry' },
      grows: { to: 'growing', when: 'an origin, be it this one, still receives it: a part of its list is known' },
      inlined: { to: 'storing', when: 'a tracker answered with all of it, as it is small' },
      arrived: { to: 'whole', when: 'it came by another way, a push' },
      unknown: { to: 'ended', when: 'no origin has it, the trackers say, and no peer was named with it: BLOB_UNKNOWN' },
      ...failures,
      odds,
      forgotten: { to: 'ended', when: 'nobody waits for it any more', unusedMs: forgottenMs },
    },
  },
  storing: {
    means: 'a small blob came with an answer and is being written',
    ends: {
      arrived: { to: 'whole', when: 'it is on the disk' },
      mismatched: { to: 'seeking', when: 'it is not what its digest says: peers are asked instead' },
      learned: { to: 'pulling', when: 'a peer was faster' },
      grows: { to: 'growing', when: 'the same, of one that an origin still receives' },
      ...failures,
      odds,
    },
  },
  growing: {
    means: 'an origin still receives it: its entry is there, and pieces come whose hashes are known',
    ends: {
      settled: { to: 'pulling', when: 'its whole list is known, and the entry an ordinary one' },
      received: { to: 'held', when: 'this process has received all of it, and its digest is right' },
      arrived: { to: 'whole', when: 'it came by another way, a push' },
      odds,
      displaced: { to: 'ended', when: 'it passes through, nobody reads it, and its place is wanted for others' },
      ...failures,
    },
  },
  pulling: {
    means: 'its entry is there, and pieces come',
    ends: {
      complete: { to: 'held', when: 'the last piece is on the disk, verified' },
      arrived: { to: 'whole', when: 'it came by another way: a push, or what the disk would not read is read again' },
      displaced: { to: 'ended', when: 'it passes through, nobody reads it, and its place is wanted for others' },
      ...failures,
    },
  },
  held: {
    means: 'all of it is here, and peers are fed',
    ends: {
      lost: { to: 'pulling', when: 'a piece turned out to be missing or wrong' },
      left: { to: 'whole', when: 'the same, where it was only fed: a pull of it begins' },
      idle: { to: 'whole', when: 'no peer opens it and nobody reads it', unusedMs: idleBlobMs },
      ...kept,
    },
  },
  whole: { means: 'all of it is here; the swarm does not know it until a peer opens it, as another', ends: {} },
  ended: { means: 'it failed, or was given up; a new pull is another', ends: {} },
} as const satisfies Record<PartState, { means: string; ends: Readonly<Record<string, End>> }>;

export type PartEnd = { [S in PartState]: keyof (typeof partLife)[S]['ends'] }[PartState];

/** What ends a wait, and not the pull. `ms`: unless the node is told otherwise. */
export const waitEnds = {
  learn: { of: 'what the blob consists of', code: 'UNAVAILABLE', ms: learnMsDefault, when: 'nobody told within' },
  stall: { of: 'a piece', code: 'SWARM_STALLED', ms: stallMsDefault, when: 'no byte of the blob came for' },
  orphan: {
    of: 'a piece',
    code: 'BLOB_UNKNOWN',
    ms: orphanStallMs,
    when: `the same, where nobody is known to have it whole (asked after ${askAfterMs / 1000} s), for`,
  },
} as const;
