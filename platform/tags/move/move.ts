/**
 * A store copied into another engine.
 *
 * Rule 1: a move is rounds of one thing: both stores are walked side by side, entry by entry, and what differs is made alike.
 *   The first brings all that lacks, also after a move that broke off; the last finds nothing to do, and is the proof.
 * Rule 2: only then is the target a store. What is written to the source meanwhile is found by a round; where it does not
 *   end, the move fails, and may be gone on with.
 * Rule 3: what the target has no place for it finds out by itself (since when links are idle).
 * Rule 4: rows of the outbox come and go while a source is read only, since backends are still written to: a round that finds
 *   nothing else is the last. One that is brought though it was written since is written once more, as it is.
 */

import { StartError } from '../../lifecycle/errors.ts';
import { changesOf } from './compare.ts';
import { type MoveSource, type MoveTarget, movePage } from './engine.ts';
import { type Change, type EntryKind, KINDS } from './entries.ts';

/** A source that is read only takes two or three. */
const roundsMax = 6;

/** Entries of each kind. */
type Sums = Readonly<Record<EntryKind, number>>;

export type Moved = {
  readonly database: string;
  readonly entries: Sums;
  /** Of the first round: they were there, as a move had begun before. */
  readonly kept: number;
  /** Brought after the first round: they came into being, or changed, meanwhile. */
  readonly late: number;
  readonly rounds: number;
};

export type MoveOptions = {
  readonly source: MoveSource;
  readonly target: MoveTarget;
  readonly signal: AbortSignal;
  readonly progress: (round: number, kind: EntryKind, entries: number) => void;
};

type Round = { readonly entries: Record<EntryKind, number>; readonly changed: Record<EntryKind, number> };

/** Throws StartError where the source does not keep still. */
export async function moveTags(options: MoveOptions): Promise<Moved> {
  const { source, target } = options;
  let kept = 0;
  let late = 0;
  for (let round = 1; round <= roundsMax; round++) {
    const { entries, changed } = await bring(options, round);
    const { outbox: _, ...lasting } = changed;
    if (round === 1) kept = sumOf(entries) - sumOf(changed);
    else late += sumOf(lasting);
    if (sumOf(lasting) > 0) continue;
    await target.finish();
    return { database: source.database, entries, kept, late, rounds: round };
  }
  throw new StartError(
    `${source.name} is written to all the time: see to it that each of its indexes is read only (\`readOnly: true\`), then give the command again: it goes on`,
  );
}

async function bring({ source, target, signal, progress }: MoveOptions, round: number): Promise<Round> {
  await using from = await source.read();
  await using to = await target.read();
  const [entries, changed] = [noSums(), noSums()];
  for (const kind of KINDS) {
    if (!target.holds.has(kind)) continue;
    let changes: Change[] = [];
    for await (const change of changesOf(kind, from, to)) {
      if (change?.how !== 'remove') entries[kind] += 1;
      if (entries[kind] % movePage === 0) {
        signal.throwIfAborted();
        progress(round, kind, entries[kind]);
      }
      if (change === undefined) continue;
      changed[kind] += 1;
      if (changes.push(change) < movePage) continue;
      await target.write(changes);
      changes = [];
    }
    if (changes.length > 0) await target.write(changes);
    signal.throwIfAborted();
  }
  return { entries, changed };
}

function noSums(): Record<EntryKind, number> {
  return Object.fromEntries(KINDS.map((kind) => [kind, 0])) as Record<EntryKind, number>;
}

function sumOf(sums: Readonly<Record<string, number>>): number {
  return Object.values(sums).reduce((all, one) => all + one, 0);
}
