/** The part of a client's request that goes with every call made for it. */

import type { CallContext } from '../platform/clients/http.ts';

export function callOf({ requestId, signal, client }: CallContext): CallContext {
  return { requestId, signal, client };
}
