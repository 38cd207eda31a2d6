/**
 * What a host with a certificate may say to a tracker: of itself, and only origins what a blob is made of.
 *
 * Rule: where nobody shows certificates, everybody is believed as before.
 */

import { notItsAddress } from '../core/access/announce.ts';
import { ApiError } from '../core/contracts/errors.ts';
import type { AnnounceRequest } from '../core/contracts/tracker.ts';
import type { CallContext } from '../platform/clients/context.ts';
import type { Secure } from '../platform/secure/secure.ts';

export type NotOwn = Secure['notOwn'];

/** What of it counts. Throws DENIED. */
export function ownWords(request: AnnounceRequest, { from }: CallContext, notOwn: NotOwn | undefined): AnnounceRequest {
  if (notOwn === undefined || from === undefined) return request;
  const why = notOwn(from, request.self) ?? notItsAddress(from, request.self.host);
  if (why !== undefined) throw new ApiError('DENIED', why);
  if (from.role === 'origin') return request;
  // What an agent pulled is verified, and what it says of it is not: the origins are asked.
  return { ...request, entries: request.entries.map((entry) => ({ ...entry, meta: undefined })) };
}

/** Throws DENIED where somebody else would be sent away. */
export function ownLeave(node: string, { from }: CallContext, notOwn: NotOwn | undefined): void {
  if (notOwn === undefined || from === undefined) return;
  const why = notOwn(from, { node, role: from.role === 'origin' ? 'origin' : 'agent' });
  if (why !== undefined) throw new ApiError('DENIED', why);
}
