/** What an engine gives and takes of a store as a whole, for whoever moves it into another engine (moving/ of each). */

import type { Change, Entries, EntryKind } from './entries.ts';

/** What a store holds, at one moment where the engine has such, else as it is read. Kinds are read in the order of KINDS. */
export interface MoveReading extends AsyncDisposable {
  /** In their order; none is empty. */
  pages<K extends EntryKind>(kind: K): AsyncIterable<readonly Entries[K][]>;
}

export interface MoveSource extends AsyncDisposable {
  /** For messages. */
  readonly name: string;
  /** Which database it is: 32 hex digits. */
  readonly database: string;
  read(): Promise<MoveReading>;
}

/**
 * A store that is being filled, which no index takes for one until `finish`: it has the identity of the source, so that only
 * a move from there goes on with it.
 */
export interface MoveTarget extends AsyncDisposable {
  readonly name: string;
  /** Kinds that it has a place for. */
  readonly holds: ReadonlySet<EntryKind>;
  /** Whether a move had begun here before. */
  readonly begun: boolean;
  read(): Promise<MoveReading>;
  /** All of it is there once this returns; a part of it may be where it throws, or the process ends. */
  write(changes: readonly Change[]): Promise<void>;
  /** From now on it is a store. */
  finish(): Promise<void>;
}

/** Entries that are read, and changes that are written, at once. */
export const movePage = 1_000;

/** `rows` in pages. */
export function* paged<T>(rows: Iterable<T>): Generator<T[]> {
  let page: T[] = [];
  for (const row of rows) {
    if (page.push(row) < movePage) continue;
    yield page;
    page = [];
  }
  if (page.length > 0) yield page;
}
