/**
 * Who says what may go from this origin when room is needed: the index, of what nothing links to; the backends, of what they
 * hold as well; the other origins, of what only they own and hold. So nothing goes that has fewer copies than it should,
 * but what nobody needs or a backend has.
 *
 * Rule 1: what a backend is still owed stays, whoever needs it. (A row that comes later comes with a claim: room/let-go.ts.)
 * Rule 2: each is asked by itself: one that does not answer keeps what only it could let go.
 */

import type { Digest } from '../core/digest.ts';
import type { Queue } from '../platform/queue/queue.ts';
import type { AskUnneeded } from '../platform/store/room/let-go.ts';
import type { BackendCopies } from './cold/copies.ts';
import type { Repairing } from './repair/open.ts';

type Askable = {
  /** Undefined: no index is configured. */
  readonly index: AskUnneeded | undefined;
  /** Undefined: no backend is, or it is not open yet. */
  readonly owed: () => Pick<Queue, 'held'> | undefined;
  readonly copies: () => Pick<BackendCopies, 'confirmed'> | undefined;
  readonly spares: () => Pick<Repairing, 'sparesToGo'> | undefined;
};

export function askUnneeded({ index, owed, copies, spares }: Askable): AskUnneeded {
  return async (digests, signal) => {
    const held = await owed()?.held(digests);
    const free = held === undefined ? digests : digests.filter((digest) => !held.has(digest));
    const [told, confirmed = [], spare = []] = await Promise.all([
      index?.(free, signal).catch(failed),
      copies()?.confirmed(free, signal),
      spares()?.sparesToGo(free, signal),
    ]);
    const others = [...confirmed, ...spare];
    if (told instanceof Error && others.length === 0) throw told;
    const { unneeded, waiting } = told === undefined || told instanceof Error ? nothing : told;
    return { unneeded: [...new Set([...unneeded, ...others])], waiting };
  };
}

const nothing: { readonly unneeded: readonly Digest[]; readonly waiting: number } = { unneeded: [], waiting: 0 };

function failed(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
