/**
 * Blocked digests at the proxy: which requests name one. Loaded only while something is blocked.
 *
 * Rule: what is blocked is neither given nor taken, as a blob, a manifest, or by a mount. It may be deleted: its bytes stay on
 *   the origins (platform/blocks).
 */

import type { OciRequest } from '../core/oci/request.ts';
import type { Blocked } from '../platform/blocks/blocks.ts';
import { heedBlocked } from '../platform/blocks/giving.ts';

/** Throws DENIED. What a tag is on, and what a manifest refers to, is known later (manifests.ts). */
export function heedRequest(blocked: Blocked, request: OciRequest): void {
  switch (request.kind) {
    case 'blobRead':
    case 'uploadCommit':
      return heedBlocked(blocked, request.digest);
    case 'uploadBegin':
      return heedBlocked(blocked, request.digest, request.mount?.digest);
    case 'manifestRead':
    case 'manifestPut':
      return heedBlocked(blocked, request.reference.kind === 'digest' ? request.reference.digest : undefined);
    default:
      return undefined;
  }
}
