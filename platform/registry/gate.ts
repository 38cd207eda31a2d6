/** Who asks before a request of the registry API is handled: the one hook of its door, where `access` is set. */

import type { Socket } from 'node:net';
import type { Need } from '../../core/access/rights.ts';
import type { OciRequest } from '../../core/oci/request.ts';
import type { OciContext, OciReply } from './reply.ts';

/** Those that are looked at. */
type GateHeaders = {
  readonly authorization?: string | undefined;
  readonly host?: string | undefined;
  readonly 'x-forwarded-proto'?: string | readonly string[] | undefined;
};

export type GateAsked = {
  readonly headers: GateHeaders;
  readonly socket: Socket;
  /** Who asks, as far as it can be told: http/call.ts. */
  readonly address: string;
};

/** What is answered in place of what was asked for. */
export type GateRefusal = Extract<OciReply, { readonly kind: 'error' }>;
/** As it is to be handled, which may be less than was asked for. */
export type GateAdmission =
  | ({ readonly kind: 'admitted'; readonly request: OciRequest } & Pick<OciContext, 'subject' | 'sees'>)
  | GateRefusal;

/** What a start says where there is no gate. */
export const nobodyIsAsked =
  '`access` is not set: nobody is asked who he is, and whoever reaches the registry may do there whatever it does';

export interface RegistryGate {
  admit(request: OciRequest, asked: GateAsked): Promise<GateAdmission>;
  /** Of what is asked for in another way; undefined: he may. */
  refusal(need: Need, asked: GateAsked): Promise<GateRefusal | undefined>;
}
