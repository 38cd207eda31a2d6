/**
 * What was asked of one tag and what came of it: the operations that the checker judges.
 *
 * Rule 1: each write brings a digest that no other one brings, so that whoever reads it tells which write it saw.
 * Rule 2: an operation whose outcome nobody knows never ended: it may have been done at any time since it began, also
 *   long after the caller gave up, or never. One that failed for sure is not in a history.
 */

/** A tag's version as the index tells it: its number, a dash, its database. */
export type Version = string;

type Told =
  /** Done. Without a version: it was overwritten by whoever wrote at the same time, which one nobody said. */
  | { readonly kind: 'done'; readonly version: Version | undefined }
  /** Not done: the tag was at another version than was asked for. null: it was not there, and nobody knows of a deletion. */
  | { readonly kind: 'changed'; readonly version: Version | null }
  /** Not done: there was no such tag. */
  | { readonly kind: 'absent' }
  | { readonly kind: 'unknown' };

export type Write = {
  readonly kind: 'write';
  readonly digest: string;
  /** The version that it was to follow; null: only if there is no such tag. Absent: whatever is there. */
  readonly after?: Version | null;
  readonly told: Exclude<Told, { kind: 'absent' }>;
};
export type Deletion = { readonly kind: 'delete'; readonly after?: Version; readonly told: Told };
export type Read = {
  readonly kind: 'read';
  /** null: there was no such tag. */
  readonly saw: { readonly digest: string; readonly version: Version | undefined } | null;
};

export type Operation = (Write | Deletion | Read) & {
  /** Whoever asked; for the report. */
  readonly by: string;
  readonly beganMs: number;
  /** Infinity where the outcome is unknown. */
  readonly endedMs: number;
};

export function unknownOf(operation: Operation): boolean {
  return operation.kind !== 'read' && operation.told.kind === 'unknown';
}

/** For reports: one line. */
export function lineOf(operation: Operation): string {
  const { by, beganMs, endedMs } = operation;
  const when = `${beganMs.toFixed(1)}..${Number.isFinite(endedMs) ? endedMs.toFixed(1) : '?'} ${by}`;
  if (operation.kind === 'read') {
    const { saw } = operation;
    return `${when} read: ${saw === null ? 'absent' : `${short(saw.digest)} at ${saw.version}`}`;
  }
  const { told, after } = operation;
  const what = operation.kind === 'write' ? `write ${short(operation.digest)}` : 'delete';
  const only = after === undefined ? '' : ` after ${after}`;
  return `${when} ${what}${only}: ${told.kind}${'version' in told ? ` ${told.version}` : ''}`;
}

function short(digest: string): string {
  return digest.slice(-8);
}
