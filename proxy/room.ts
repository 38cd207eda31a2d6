/**
 * Whether a quota has room for a blob, asked of the index before its bytes are taken: whoever pushes is refused at once, and not
 * after gigabytes. Loaded only where there are quotas.
 *
 * Rule 1: only what is known counts: of a body with a length that, of one without a byte. Of a chunk nobody says which blob it
 *   is of: it counts as none that is there. The link decides in the end, as the count may change meanwhile.
 * Rule 2: an index that does not answer, or knows nothing of it, refuses nothing here.
 */

import { ApiError } from '../core/contracts/errors.ts';
import type { RoomAsked } from '../core/contracts/quota/routes.ts';
import { parseChunkRange } from '../core/oci/range.ts';
import type { OciRequest } from '../core/oci/request.ts';
import { type QuotaRule, quotasFor } from '../core/quota.ts';
import type { IndexClient } from '../platform/clients/index-client.ts';
import type { OciContext } from '../platform/registry/reply.ts';

export type PushedBody = Extract<OciRequest, { kind: 'uploadBegin' | 'uploadAppend' | 'uploadCommit' }>;

/** Throws DENIED where a quota has no room for what is sent. */
export async function heedRoom(
  index: Pick<IndexClient, 'room'>,
  rules: readonly QuotaRule[],
  request: PushedBody,
  context: OciContext,
): Promise<void> {
  const asked = askedOf(request, context);
  if (asked === undefined || !quotasFor(rules, asked.repo).some(({ bytes }) => bytes !== undefined)) return;
  try {
    await index.room(asked, context.call);
  } catch (error) {
    context.call.signal.throwIfAborted();
    if (!(error instanceof ApiError) || isQuota(error)) throw error;
  }
}

/** Another DENIED is of a proxy that may not ask. */
function isQuota({ code, detail }: ApiError): boolean {
  return code === 'DENIED' && typeof detail === 'object' && detail !== null && 'limit' in detail;
}

/** Undefined: nothing is sent. */
function askedOf(request: PushedBody, { body, header }: OciContext): RoomAsked | undefined {
  const { repo } = request;
  const digest = request.kind === 'uploadAppend' ? undefined : request.digest;
  if (body.length === 0) return undefined;
  const range = header('content-range');
  const start = range === undefined ? 0 : parseChunkRange(range).start;
  return { repo, digest, size: start + (body.length ?? 1) };
}
