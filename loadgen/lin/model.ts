/**
 * One tag as it is to behave: what an operation makes of a state, and whether what was told of it is so there.
 *
 * Rule 1: versions of one tag grow with each write and each deletion, and are never used again.
 * Rule 2: of a write whose version nobody told, the state has none until somebody tells it: one that is known to be another
 *   write's it is not.
 */

import type { Deletion, Operation, Read, Version, Write } from './history.ts';

export type State = {
  /** null: there is no such tag. */
  readonly digest: string | null;
  /** Of the last write or deletion; null: there was none; undefined: nobody told it yet. */
  readonly version: Version | null | undefined;
  /** All versions told so far are at most this. */
  readonly floor: number;
};

/** Whose versions are: the digest of the write, null of a deletion. */
export type Owners = ReadonlyMap<Version, string | null>;

export const nothing: State = { digest: null, version: null, floor: 0 };

export function numberOf(version: Version): number {
  return Number(version.slice(0, version.indexOf('-')));
}

/** The state afterwards; undefined: it cannot have been so here. */
export function apply(state: State, operation: Operation, owners: Owners): State | undefined {
  if (operation.kind === 'read') return read(state, operation, owners);
  const { told } = operation;
  switch (told.kind) {
    case 'changed':
      return refused(state, { operation, owners }, told.version);
    case 'absent':
      return state.digest === null ? state : undefined;
    case 'done':
      return done(state, { operation, owners }, told.version);
    case 'unknown':
      return done(state, { operation, owners }, undefined);
  }
}

function read(state: State, { saw }: Read, owners: Owners): State | undefined {
  if (saw === null) return state.digest === null ? state : undefined;
  if (state.digest !== saw.digest) return undefined;
  return saw.version === undefined ? state : at(state, saw.version, owners);
}

type Change = { readonly operation: Write | Deletion; readonly owners: Owners };

function done(state: State, { operation, owners }: Change, version: Version | undefined): State | undefined {
  const from = follows(state, operation.after, owners);
  if (from === undefined) return undefined;
  if (operation.kind === 'delete' && from.digest === null) return undefined;
  if (version !== undefined && numberOf(version) <= from.floor) return undefined;
  const floor = version === undefined ? from.floor : numberOf(version);
  return { digest: operation.kind === 'write' ? operation.digest : null, version, floor };
}

/** The state, with its version where `after` tells it; undefined: the condition does not hold. */
function follows(state: State, after: Version | null | undefined, owners: Owners): State | undefined {
  if (after === undefined) return state;
  if (after === null) return state.digest === null ? state : undefined;
  return at(state, after, owners);
}

function refused(state: State, { operation, owners }: Change, told: Version | null): State | undefined {
  const { after } = operation;
  // Nobody remembers all deletions.
  if (told === null) return state.digest === null && after !== null ? state : undefined;
  const found = told === after ? undefined : at(state, told, owners);
  if (found === undefined || (after === null && found.digest === null)) return undefined;
  return found;
}

/** The state if it is at `version`. */
function at(state: State, version: Version, owners: Owners): State | undefined {
  if (state.version === version) return state;
  const owner = owners.get(version);
  // A deletion that is known has its version itself.
  if (owner === null || (owner !== undefined && owner !== state.digest)) return undefined;
  if (state.version !== undefined || numberOf(version) <= state.floor) return undefined;
  return { ...state, version, floor: numberOf(version) };
}
