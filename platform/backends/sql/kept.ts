/** What is kept under a key of a database: small, and read whole. */

import type { BackendError, BackendRead, WriteCondition } from '../backend.ts';
import type { Asking } from './table.ts';

export type SqlKept = { readonly bytes: Uint8Array; readonly version: string };
export type Put = { readonly bytes: Uint8Array; readonly condition: WriteCondition | undefined };
export type SqlListed = { readonly key: string; readonly size: number };
export type ListAsked = { readonly prefix: string; readonly after: string; readonly max: number };

/** Of each of the two tables. */
export interface Keeping {
  get(asking: Asking): Promise<SqlKept | undefined>;
  /** The version that it got. BackendError changed where the condition is not met. */
  put(put: Put, asking: Asking): Promise<string>;
  remove(asking: Asking): Promise<void>;
  /** In the order of the keys' bytes. */
  list(asked: ListAsked, asking: Asking): Promise<SqlListed[]>;
}

/** The range of it that is asked for. */
export function ranged(
  found: SqlKept | undefined,
  { start, end, version }: BackendRead,
  wrong: (why: BackendError['why'], words: string) => BackendError,
): Uint8Array {
  if (found === undefined) throw wrong('missing', 'is not there');
  if (version !== undefined && version !== found.version)
    throw wrong('changed', 'was written anew since its reading began: begin again');
  if (end > found.bytes.length) throw wrong('damaged', `has ${found.bytes.length} bytes, not ${end}`);
  return found.bytes.subarray(start, end);
}

export function notMet(wrong: (why: BackendError['why'], words: string) => BackendError): BackendError {
  return wrong('changed', 'was written by somebody else meanwhile: read it again');
}
