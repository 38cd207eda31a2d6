/**
 * One blob that should be here, fetched from those that hold it over the swarm's data plane, no faster than all repairs
 * together may.
 *
 * Rule 1: it is whole here, and synced, when this resolves; what it still owes a backend is owed here as well by then.
 * Rule 2: one of which nothing comes is given up: its place is for others.
 * Rule 3: it puts nothing out that can be had from a backend: where there is no room it is left there.
 */

import { ApiError } from '../../core/contracts/errors.ts';
import { inlineBytesMax } from '../../core/contracts/fields.ts';
import type { Digest } from '../../core/digest.ts';
import type { Clock } from '../../platform/net/clock.ts';
import type { PeerNode, Pull } from '../../platform/peer/node.ts';
import type { BlobEntry, BlobStore } from '../../platform/store/store.ts';
import type { Want } from './fetching.ts';
import type { RepairPace } from './pace.ts';

/** Beyond the time that its pieces take at the rate. */
const stallMs = 60_000;
const lookMs = 1_000;

export type TakeOptions = {
  readonly node: Pick<PeerNode, 'pull' | 'stop'>;
  readonly store: Pick<BlobStore, 'get' | 'whole'>;
  readonly tracking: { unset(digest: Digest): void };
  readonly pace: RepairPace;
  readonly parallel: number;
  /** Whether so much more fits without anything having to go; and whether a backend has it. */
  readonly room: (bytes: number) => boolean;
  readonly inBackend: (digest: Digest, signal: AbortSignal) => Promise<boolean>;
  /** It is here: whoever sought it need not any more, and what is owed with it is owed here. */
  readonly came: (entry: BlobEntry, owed: readonly string[]) => Promise<void>;
  readonly clock: Clock;
};

export function takeBy(o: TakeOptions): (want: Want, signal: AbortSignal) => Promise<void> {
  return async (want, signal) => {
    const { digest, meta, owed = [] } = want;
    if (!o.room(meta.length) && (await o.inBackend(digest, signal)))
      throw new ApiError('STORAGE_FULL', `${digest} does not fit here, and a backend has it`);
    await pulled(o, want, signal);
    const entry = await o.store.whole(digest, 'size');
    if (entry === undefined) throw new ApiError('UNAVAILABLE', `${digest} came, and is not whole here`);
    await o.came(entry, owed);
    // An origin is asked what it holds: nobody has to be told.
    o.tracking.unset(digest);
  };
}

async function pulled(o: TakeOptions, { digest, meta, from }: Want, signal: AbortSignal): Promise<void> {
  const { pace, node, clock } = o;
  let paid = 0;
  let movedMs = clock.nowMs();
  const wait = (bytes: number, go: () => void): Disposable => {
    paid += bytes;
    return pace.wait(bytes, () => {
      movedMs = clock.nowMs();
      go();
    });
  };
  const pull = node.pull(digest, { peers: from, meta, pace: { wait } });
  const patienceMs = stallMs + (4 * o.parallel * meta.pieceLength * 1000) / pace.bytesPerS;
  const watch = watching(pull, clock, (moved) => {
    if (moved) movedMs = clock.nowMs();
    return clock.nowMs() - movedMs < patienceMs && !signal.aborted;
  });
  try {
    await Promise.race([pull.learned().then(() => pull.complete), watch.over]);
  } catch (error) {
    node.stop(digest);
    throw error;
  } finally {
    watch[Symbol.dispose]();
  }
  // What is so small comes with an answer of a tracker, as a whole.
  if (paid === 0 && meta.length <= inlineBytesMax) pace.came(meta.length);
}

/** Looks now and then whether anything came, until `goOn` says no: then `over` rejects. */
function watching(
  pull: Pull,
  clock: Clock,
  goOn: (moved: boolean) => boolean,
): Disposable & { readonly over: Promise<never> } {
  const { promise, reject } = Promise.withResolvers<never>();
  let held = -1;
  let timer: Disposable | undefined;
  const look = (): void => {
    const now = pull.entry?.heldCount ?? 0;
    const moved = now !== held;
    held = now;
    if (goOn(moved)) timer = clock.after(lookMs, look);
    else reject(new ApiError('UNAVAILABLE', `nothing of ${pull.digest} comes: it is tried again later`));
  };
  look();
  return { over: promise, [Symbol.dispose]: () => timer?.[Symbol.dispose]() };
}
