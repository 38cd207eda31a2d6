/**
 * One blob to one backend: looked for there, read here with every piece verified, written, and confirmed.
 *
 * Rule 1: bytes that do not match their hash are never written: readRange has them fetched again, or the upload fails.
 * Rule 2: no slot of the readers' memory is held while the backend is waited for: one that hangs holds up no reader. An
 *         upload has a copy of one piece.
 * Rule 3: it is there once the backend itself says so: the right size, and the right digest where it knows digests.
 */

import { ApiError } from '../../core/contracts/errors.ts';
import { type Backend, BackendError, type BackendObject, type ObjectSource } from '../../platform/backends/backend.ts';
import type { Backed } from '../../platform/backends/backends.ts';
import type { SourceChunk } from '../../platform/http/content.ts';
import type { RowFailure } from '../../platform/queue/row.ts';
import type { Owed } from './owed.ts';

/** A blob's bytes, verified. */
export type OpenBlob = (start: number, end: number, signal: AbortSignal) => AsyncIterable<SourceChunk>;

/** Causes that say something of the backend, and nothing of this blob: others would fail as well. */
const OUTAGES: ReadonlySet<string> = new Set([
  ...['unavailable', 'stalled', 'throttled', 'credentials', 'denied', 'full', 'missing'],
]);
/** Another attempt would end the same, as far as can be told. */
const FINAL: ReadonlySet<string> = new Set(['refused', 'unsupported', 'damaged']);

export type WriteBackFailure = RowFailure & { readonly outage: boolean };

/** The blob could not be read here: its pieces are being mended. */
class Unreadable extends Error {}

/** What the backend has under the blob's key: all of it, as far as it knows; something, of whose digest it knows nothing; not that. */
export async function lookFor(
  backed: Backed,
  owed: Owed,
  signal: AbortSignal,
): Promise<'there' | 'alike' | 'not there'> {
  const found = await backed.backend.stat(backed.blobKey(owed.digest, owed.repo), signal);
  if (found === undefined || wrongly(found, owed)) return 'not there';
  return found.digest === undefined ? 'alike' : 'there';
}

/** Resolves once it is there and confirmed. `moved` is told of bytes as they go. */
export async function upload(
  backed: Backed,
  { owed, open }: { readonly owed: Owed; readonly open: OpenBlob },
  { signal, moved }: { readonly signal: AbortSignal; readonly moved: (bytes: number) => void },
): Promise<void> {
  const unread: { why: unknown } = { why: undefined };
  const source = sourceOf(owed, open, { moved, failed: (why) => (unread.why ??= why) });
  let written: BackendObject;
  try {
    written = await backed.backend.write(backed.blobKey(owed.digest, owed.repo), source, signal);
  } catch (error) {
    // Whatever the backend makes of it: the fault is on this side.
    if (unread.why !== undefined && !signal.aborted) throw new Unreadable((unread.why as Error).message);
    throw error;
  }
  if (wrongly(written, owed) || !(await confirmed(backed, owed, signal)))
    throw new BackendError(
      'damaged',
      `${backed.name}: ${owed.digest} was written, but is not there as it should be: look at who else writes to it`,
    );
}

/** Why it failed, as the queue keeps it. */
export function failureOf(error: unknown): WriteBackFailure {
  if (error instanceof Unreadable) return { cause: 'unreadable', message: error.message, final: false, outage: false };
  if (error instanceof BackendError) {
    const { why: cause, message, afterMs } = error;
    return { cause, message, afterMs, final: FINAL.has(cause), outage: OUTAGES.has(cause) };
  }
  if (error instanceof ApiError) return { cause: 'unreadable', message: error.message, final: false, outage: false };
  throw error;
}

function wrongly({ size, digest }: BackendObject, owed: Owed): boolean {
  return size !== owed.size || (digest !== undefined && digest !== owed.digest);
}

/** Whoever confirms wrongly is found out while the bytes are still here. */
async function confirmed(backed: Backed, owed: Owed, signal: AbortSignal): Promise<boolean> {
  return keepsNothing(backed.backend) || (await lookFor(backed, owed, signal)) !== 'not there';
}

function keepsNothing({ kind }: Backend): boolean {
  return kind === 'noop';
}

type SourceTold = { readonly moved: (bytes: number) => void; readonly failed: (why: unknown) => void };

function sourceOf({ size, digest }: Owed, open: OpenBlob, { moved, failed }: SourceTold): ObjectSource {
  return {
    size,
    digest,
    async *read(start, end, signal) {
      try {
        for await (const chunk of open(start, end, signal)) {
          const copy = Buffer.concat(chunk.bytes);
          chunk.release();
          yield copy;
          moved(copy.length);
        }
      } catch (error) {
        failed(error);
        throw error;
      }
    },
  };
}
