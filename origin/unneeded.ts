/**
 * Who says what may go from this origin when room is needed: the index, of what nothing links to; the backends, of what they
 * hold as well.
 *
 * Rule 1: what a backend is still owed stays, whoever needs it. (A row that comes later comes with a claim: room/let-go.ts.)
 * Rule 2: each is asked by itself: one that does not answer keeps what only it could let go.
 */

import type { Digest } from '../core/digest.ts';
import type { Queue } from '../platform/queue/queue.ts';
import type { AskUnneeded } from '../platform/store/room/let-go.ts';
import type { BackendCopies } from './cold/copies.ts';

type Askable = {
  /** Undefined: no index is configured. */
  readonly index: AskUnneeded | undefined;
  /** Undefined: no backend is, or it is not open yet. */
  readonly owed: () => Pick<Queue, 'held'> | undefined;
  readonly copies: () => Pick<BackendCopies, 'confirmed'> | undefined;
};

export function askUnneeded({ index, owed, copies }: Askable): AskUnneeded {
  return async (digests, signal) => {
    const held = await owed()?.held(digests);
    const free = held === undefined ? digests : digests.filter((digest) => !held.has(digest));
    const asked = copies()?.confirmed(free, signal);
    if (asked === undefined) return (await index?.(free, signal)) ?? { unneeded: [], waiting: 0 };
    const [told, confirmed] = await Promise.all([index?.(free, signal).catch(failed), asked]);
    if (told instanceof Error && confirmed.length === 0) throw told;
    const { unneeded, waiting } = told === undefined || told instanceof Error ? nothing : told;
    return { unneeded: [...new Set([...unneeded, ...confirmed])], waiting };
  };
}

const nothing: { readonly unneeded: readonly Digest[]; readonly waiting: number } = { unneeded: [], waiting: 0 };

function failed(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
