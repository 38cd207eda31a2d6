/** A request to a server of others as a value, and how messages name it. */

import { BackendError } from '../backend.ts';
import { shown } from './address.ts';
import type { Hop, RedirectPolicy } from './redirects.ts';
import { faultOf, type WebVerdict } from './verdicts.ts';

export type WebHeaders = Readonly<Record<string, string | undefined>>;

export type WebCall = {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'PATCH' | 'DELETE';
  readonly url: URL;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** A stream goes once, and out by `content-length` where that is among the headers, else in chunks. */
  readonly body?: Uint8Array | AsyncIterable<Uint8Array> | undefined;
  readonly signal: AbortSignal;
  /** For messages: `read`. */
  readonly doing: string;
  /** For messages: a key, a repository and tag; undefined: it is about none. */
  readonly object: string | undefined;
  /** Without one, an answer that sends us elsewhere is an answer as any other. */
  readonly redirects?: RedirectPolicy | undefined;
  /** Statuses beside 200 to 299 that are answers, and no errors. */
  readonly expect?: readonly number[] | undefined;
  /** What a status means with this protocol; undefined: what it means everywhere. `text`: the start of what it says. */
  readonly judge?: ((status: number, text: string, headers: WebHeaders) => WebVerdict | undefined) | undefined;
};

export type Told = { readonly words: string; readonly afterMs?: number | undefined; readonly error?: unknown };

/** `hop`: where the call has got to. */
export function webError(name: string, { call, hop }: Where, { why, remedy }: WebVerdict, told: Told): BackendError {
  const what = call.object === undefined ? '' : ` ${call.object}`;
  const message = `${name}: cannot ${call.doing}${what}: ${hop.method} ${shown(hop.url)}: ${told.words}: ${remedy}`;
  return new BackendError(why, message, { afterMs: told.afterMs, error: told.error });
}

export type Where = { readonly call: WebCall; readonly hop: Hop };

/** A failure of the network as a BackendError; anything else as it is. */
export function networkError(name: string, where: Where, error: unknown, after = ''): unknown {
  if (error instanceof BackendError) return error;
  const fault = faultOf(error);
  return fault === undefined ? error : webError(name, where, fault, { words: `${fault.words}${after}`, error });
}
