/**
 * What a registry handler gets and what it gives back: values, so that agent and proxy hold no HTTP.
 * `routes.ts` parses, calls the handler and writes the reply.
 */

import type { Subject } from '../../core/access/rights.ts';
import type { ApiError } from '../../core/contracts/errors.ts';
import type { ReplicationHeader } from '../../core/contracts/replicate/headers.ts';
import type { OciRequest } from '../../core/oci/request.ts';
import type { CallContext } from '../clients/context.ts';
import type { Content, Headers } from '../http/content.ts';
import type { RequestBody } from '../http/exchange.ts';

export type OciReply =
  | { readonly kind: 'empty'; readonly status: number; readonly headers?: Headers }
  | { readonly kind: 'json'; readonly value: unknown; readonly headers?: Headers }
  | { readonly kind: 'content'; readonly content: Content; readonly headers?: Headers }
  | { readonly kind: 'error'; readonly error: ApiError; readonly headers?: Headers };

export type OciContext = {
  /** Whose caller is the client, as far as it can be told: its address (call.ts). */
  readonly call: CallContext;
  /** Who asks, where `access` finds that out. */
  readonly subject?: Subject | undefined;
  header(name: 'content-type' | 'content-range' | 'user-agent' | ReplicationHeader): string | undefined;
  readonly body: RequestBody;
  /** Whether a repository may be named to whoever asks. Default: each may. */
  readonly sees?: ((repo: string) => boolean) | undefined;
};

export interface RegistryHandler {
  handle(request: OciRequest, context: OciContext): Promise<OciReply>;
}
