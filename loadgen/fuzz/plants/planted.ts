/**
 * Defects planted in the product's own code while a run lasts, each in another room: a method is replaced by one that
 * does not do its work, from outside, so that the product has no hook for it. The checks have to find each one.
 *
 * Rule: what is planted is something that a change by mistake could leave behind: a line forgotten, a call too early, one
 *   too many. The process goes on as if nothing were.
 */

import { Announcer } from '../../../core/announce/announcer.ts';
import { Swarm } from '../../../core/swarm/swarm.ts';
import { Encoder } from '../../../core/wire/encode.ts';
import { Mending } from '../../../origin/mending.ts';
import { WriteBack } from '../../../origin/write-back/write-back.ts';
import { Driver } from '../../../platform/drive/driver.ts';
import { Feeds } from '../../../platform/peer/feeds.ts';
import { Inflow } from '../../../platform/peer/links/inflow.ts';
import { PeerLink } from '../../../platform/peer/links/link.ts';
import { Outbox, type PieceEnd } from '../../../platform/peer/links/outbox.ts';
import { Part } from '../../../platform/peer/pulls/part.ts';
import { Passage } from '../../../platform/peer/pulls/passage.ts';
import { Repair } from '../../../platform/peer/pulls/repair.ts';
import { Trust } from '../../../platform/store/pieces/remembered.ts';

export type Planted = {
  /** Where in the product. */
  readonly room: string;
  readonly defect: string;
  /** Plants it; what that returns takes it out again. */
  readonly plant: () => () => void;
};

/** Every so many-th feed is sent twice. */
const feedTwiceEvery = 10;
/** Every so many-th write of frames. */
const slipEvery = 100;

export function replace<P extends object, N extends keyof P>(
  of: { readonly prototype: P },
  name: N,
  by: (original: P[N]) => P[N],
): () => void {
  const { prototype } = of;
  const original = prototype[name];
  prototype[name] = by(original);
  return () => {
    prototype[name] = original;
  };
}

const nothing = (): void => undefined;

export const PLANTED = {
  'promise-without-row': {
    room: 'origin/write-back',
    defect: 'a push is acknowledged without a row to write it back',
    plant: () => replace(WriteBack, 'promise', () => async () => async () => undefined),
  },
  'driver-sleeps': {
    room: 'platform/drive',
    defect: 'a machine is not woken at its deadline',
    plant: () =>
      replace(
        Driver,
        'input',
        (original) =>
          function (this: Driver<never>, input) {
            if ((input as { kind: string }).kind !== 'tick') original.call(this, input);
          },
      ),
  },
  'link-waits-for-ever': {
    room: 'platform/peer/links/link.ts',
    defect: 'a link that stands still is not given up',
    plant: () => replace(PeerLink, 'sweep', () => nothing),
  },
  'inflow-keeps-slot': {
    room: 'platform/peer/links/inflow.ts',
    defect: 'a link that ends in the middle of a piece keeps its memory',
    plant: () => replace(Inflow, 'close', () => nothing),
  },
  'outbox-frees-early': {
    room: 'platform/peer/links/outbox.ts',
    defect: 'the memory of a piece is given back before it has left',
    plant: () =>
      replace(
        Outbox,
        'feed',
        (original) =>
          function (this: Outbox, piece) {
            let told = false;
            const done = (end: PieceEnd): void => {
              if (!told) piece.done(end);
              told = true;
            };
            original.call(this, { ...piece, done });
            setImmediate(() => done('sent'));
          },
      ),
  },
  'feeds-twice': {
    room: 'platform/peer/feeds.ts',
    defect: 'now and then a piece is fed twice',
    plant: () => {
      let feeds = 0;
      return replace(
        Feeds,
        'add',
        (original) =>
          function (this: Feeds, feed) {
            original.call(this, feed);
            feeds++;
            if (feeds % feedTwiceEvery === 0) original.call(this, feed);
          },
      );
    },
  },
  'trust-never-ends': {
    room: 'platform/store/pieces',
    defect: 'a file that was written to since is sent without hashing it again',
    plant: () => replace(Trust, 'check', () => nothing),
  },
  'repair-tells-nobody': {
    room: 'platform/peer/pulls/repair.ts',
    defect: 'a piece that the disk has lost is not fetched again',
    plant: () => replace(Repair, 'lacks', () => () => true),
  },
  'passage-stands-still': {
    room: 'platform/peer/pulls/passage.ts',
    defect: 'the window of a blob that passes through does not move on',
    plant: () => replace(Passage, 'due', () => nothing),
  },
  'part-tells-no-waiter': {
    room: 'platform/peer/pulls/part.ts',
    defect: 'whoever waits for a piece is not told that it came',
    plant: () => replace(Part, 'held', () => nothing),
  },
  'announcer-gives-up': {
    room: 'core/announce',
    defect: 'a call to a tracker that failed is forgotten',
    plant: () =>
      replace(
        Announcer,
        'handle',
        (original) =>
          function (this: Announcer, input, nowMs) {
            if (input.kind !== 'failed') original.call(this, input, nowMs);
          },
      ),
  },
  'swarm-believes': {
    room: 'core/swarm',
    defect: 'a piece that was found corrupt counts as held',
    plant: () =>
      replace(
        Swarm,
        'handle',
        (original) =>
          function (this: Swarm, input, nowMs) {
            const corrupt = input.kind === 'verified' && input.verdict === 'corrupt';
            original.call(this, corrupt ? { ...input, verdict: 'held' } : input, nowMs);
          },
      ),
  },
  'encoder-slips': {
    room: 'core/wire',
    defect: 'now and then a frame has another type',
    plant: () => {
      let taken = 0;
      return replace(
        Encoder,
        'take',
        (original) =>
          function (this: Encoder) {
            const bytes = original.call(this);
            taken++;
            if (taken % slipEvery === 0) bytes[0] = (bytes[0] as number) ^ 0x40;
            return bytes;
          },
      );
    },
  },
  'mending-waits': {
    room: 'origin',
    defect: 'an origin does not fetch what it has lost',
    plant: () => replace(Mending, 'want', () => nothing),
  },
} as const satisfies Record<string, Planted>;
