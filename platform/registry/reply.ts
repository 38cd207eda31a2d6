/**
 * What a registry handler gets and what it gives back: values, so that agent and proxy hold no HTTP.
 * `routes.ts` parses, calls the handler and writes the reply.
 */

import type { ApiError } from '../../core/contracts/errors.ts';
import type { Digest } from '../../core/digest.ts';
import type { OciRequest } from '../../core/oci/request.ts';

export type Headers = Readonly<Record<string, string>>;

/** Bytes on loan, in order, until `release`, which the registry calls exactly once. */
export type SourceChunk = { readonly bytes: readonly Uint8Array[]; release(): void };

/** A blob or manifest to be read. */
export type Content = {
  readonly digest: Digest;
  readonly mediaType: string;
  /** Bytes in all. */
  readonly size: number;
  /** Whether `Range` is honoured: blobs. */
  readonly ranges: boolean;
  /** Exactly bytes [start, end). Not called for HEAD, 304 or 416. A failure midway cuts the connection. */
  open(start: number, end: number): AsyncIterable<SourceChunk>;
};

export type OciReply =
  | { readonly kind: 'empty'; readonly status: number; readonly headers?: Headers }
  | { readonly kind: 'json'; readonly value: unknown; readonly headers?: Headers }
  | { readonly kind: 'content'; readonly content: Content }
  | { readonly kind: 'error'; readonly error: ApiError; readonly headers?: Headers };

/** The body of a request; read by at most one caller. */
export type OciBody = {
  /** Content-Length, or undefined where the client does not say. */
  readonly length: number | undefined;
  /** The chunks as they come, with backpressure. Throws ApiError REQUEST_INVALID on a cut or a stall. */
  chunks(): AsyncIterable<Uint8Array>;
  /** All of it; SIZE_INVALID above `bytesMax`. */
  whole(bytesMax: number): Promise<Uint8Array>;
};

export type OciContext = {
  readonly requestId: string;
  /** Who asks, as far as it can be told: its address (client.ts). */
  readonly client: string;
  /** Aborted when the client has gone. */
  readonly signal: AbortSignal;
  header(name: 'content-type' | 'content-range' | 'user-agent'): string | undefined;
  readonly body: OciBody;
};

export interface RegistryHandler {
  handle(request: OciRequest, context: OciContext): Promise<OciReply>;
}

/** A manifest or blob whose bytes are at hand. */
export function contentOf(bytes: Uint8Array, about: { digest: Digest; mediaType: string; ranges: boolean }): Content {
  return {
    ...about,
    size: bytes.length,
    async *open(start, end) {
      yield { bytes: [bytes.subarray(start, end)], release: () => undefined };
    },
  };
}
