/**
 * What a backend holds of a tag, a manifest or a blob's link, as bytes: a link is a digest, as the Docker registry has it; a
 * record (JSON) has what a link cannot say.
 *
 * Rule: what is read may be anybody's: a record that is none is told apart, and believed in nothing.
 */

import { mediaType, digest as ofDigest } from '../../core/contracts/fields.ts';
import { type TagVersion, versionOfTag } from '../../core/contracts/index-api.ts';
import { flag, Malformed, optional, type Parser, parse, record } from '../../core/contracts/parse.ts';
import { type Digest, parseDigest } from '../../core/digest.ts';
import { numberOf, versionNumberMax } from '../../platform/tags/versions.ts';

export type LinkRecord = {
  readonly version: TagVersion;
  /** It was deleted by that write; then there is nothing else to say. */
  readonly deleted?: boolean | undefined;
  /** Of a tag. */
  readonly digest?: Digest | undefined;
  /** Of a manifest: as its pusher named it, which the bytes alone may not tell. */
  readonly mediaType?: string | undefined;
};

/** Bytes that a record or a link has at most: the longest are about 700. */
export const recordBytesMax = 4096;

const version: Parser<TagVersion> = (value) => {
  const read = versionOfTag(value);
  if (numberOf(read) <= versionNumberMax) return read;
  throw new Malformed('is above all that a clock may say');
};
const linkRecord: Parser<LinkRecord> = record({
  version,
  deleted: optional(flag),
  digest: optional(ofDigest),
  mediaType: optional(mediaType),
});

export function recordBytes(of: LinkRecord): Uint8Array {
  return Buffer.from(`${JSON.stringify(of)}\n`);
}

/** Undefined: it is none. */
export function recordOf(bytes: Uint8Array | undefined): LinkRecord | undefined {
  if (bytes === undefined) return undefined;
  try {
    const read = parse(linkRecord, JSON.parse(Buffer.from(bytes).toString('utf8')), 'it');
    return read.ok ? read.value : undefined;
  } catch {
    return undefined;
  }
}

/** Exactly so, without a line's end: registries read it with a pattern. */
export function linkBytes(digest: Digest): Uint8Array {
  return Buffer.from(digest);
}

export function linkOf(bytes: Uint8Array | undefined): Digest | undefined {
  return bytes === undefined ? undefined : parseDigest(Buffer.from(bytes).toString('latin1').trim());
}
