/** What is sent as an answer with bytes of a blob or manifest: a value, so that whoever has the bytes holds no HTTP. */

import type { Digest } from '../../core/digest.ts';
import { manifestBytesMax } from '../../core/oci/limits.ts';
import { tooLarge } from '../../core/oci/manifest.ts';

export type Headers = Readonly<Record<string, string>>;

/** Bytes on loan, in order, until `release`, which whoever sends them calls exactly once. */
export type SourceChunk = { readonly bytes: readonly Uint8Array[]; release(): void };

/** In place of the first byte: the bytes are had there, by who asked. */
export class Redirect extends Error {
  override readonly name = 'Redirect';
  readonly url: string;
  constructor(url: string) {
    super('the bytes are elsewhere');
    this.url = url;
  }
}

/** A blob or manifest to be read. */
export type Content = {
  readonly digest: Digest;
  readonly mediaType: string;
  /** Bytes in all. */
  readonly size: number;
  /** Whether `Range` is honoured: blobs. */
  readonly ranges: boolean;
  /**
   * Exactly bytes [start, end). Not called for HEAD, 304 or 416. A failure midway cuts the connection. Of the registry API
   * it may throw Redirect before its first byte.
   */
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

/** All bytes of a manifest; throws SIZE_INVALID of what is too large to be one. */
export async function bytesOf(content: Pick<Content, 'size' | 'open'>): Promise<Uint8Array> {
  if (content.size > manifestBytesMax) throw tooLarge();
  const bytes = new Uint8Array(content.size);
  let at = 0;
  for await (const chunk of content.open(0, content.size)) {
    for (const part of chunk.bytes) {
      bytes.set(part, at);
      at += part.length;
    }
    chunk.release();
  }
  return bytes;
}
