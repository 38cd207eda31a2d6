/** What is sent as an answer with bytes of a blob or manifest: a value, so that whoever has the bytes holds no HTTP. */

import type { Digest } from '../../core/digest.ts';

export type Headers = Readonly<Record<string, string>>;

/** Bytes on loan, in order, until `release`, which whoever sends them calls exactly once. */
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
