/** What several contracts speak of: digests, names, peers, metainfo. Each is read in this one place. */

import { type Digest, digestOf, parseDigest } from '../digest.ts';
import { mediaTypeLengthMax } from '../oci/limits.ts';
import { repositoryValid, tagValid } from '../oci/name.ts';
import { type Growth, growthValid, type Metainfo, metainfoValid, piecesMax } from '../piece.ts';
import { hostBytesMax, hostPattern, nodePattern, zoneBytesMax, zonePattern } from '../wire/limits.ts';
import type { PeerAddress } from '../wire/messages.ts';
import { field, fields, Malformed, oneOf, optional, type Parser, text, textThat, whole } from './parse.ts';
import type { Param } from './route.ts';

export const digest: Parser<Digest> = (value) => {
  const parsed = typeof value === 'string' ? parseDigest(value) : undefined;
  if (parsed !== undefined) return parsed;
  throw new Malformed('is no digest: expected sha256: and 64, or sha512: and 128, lower-case hex digits');
};

export const repository = textThat(repositoryValid, 'is no valid repository name');
export const tag = textThat(tagValid, 'is no valid tag');
export const mediaType = text(mediaTypeLengthMax, 1);
/** Bytes. */
export const byteCount = whole(Number.MAX_SAFE_INTEGER);

export const inDigest: Param<Digest> = { parser: digest, refused: 'DIGEST_INVALID' };
/** Also bare hex, as Kraken takes it. */
export const inPlainDigest: Param<Digest> = {
  parser: (value) => {
    const known =
      typeof value === 'string' ? (parseDigest(value) ?? parseDigest(digestOf('sha256', value))) : undefined;
    if (known !== undefined) return known;
    throw new Malformed('is no digest: write sha256: and 64 hex digits');
  },
  refused: 'DIGEST_INVALID',
};
export const inRepository: Param<string> = { parser: repository, refused: 'NAME_INVALID' };
/** The repository of a question (BlobIn): callers of a release before name none. */
export const askedIn: Param<string | undefined> = { parser: optional(repository), refused: 'NAME_INVALID' };
export const inTag: Param<string> = { parser: tag, refused: 'TAG_INVALID' };

export const node = textThat((value) => nodePattern.test(value), 'is not 32 hex digits');
const host = textThat((value) => value.length <= hostBytesMax && hostPattern.test(value), 'is no address');
const anyPort = whole(65_535);
const port: Parser<number> = (value) => {
  if (value === 0) throw new Malformed('is no port to be dialled');
  return anyPort(value);
};
const role = oneOf('agent', 'origin');
const zone = textThat(
  (value) => value.length <= zoneBytesMax && zonePattern.test(value),
  `is not printable ASCII of at most ${zoneBytesMax}`,
);

function address(at: { readonly host: Parser<string>; readonly port: Parser<number> }): Parser<PeerAddress> {
  return (value) => {
    const of = fields(value);
    return {
      node: field(of, 'node', node),
      host: field(of, 'host', at.host),
      port: field(of, 'port', at.port),
      role: field(of, 'role', role),
      zone: field(of, 'zone', zone),
    };
  };
}

/** An address that a peer gave of itself or of another, to be dialled. */
export const peer = address({ host, port });
/** One that may be of a peer that nobody can dial. */
export const anyPeer = address({ host: (value) => (value === '' ? value : host(value)), port: anyPort });

export const metainfo: Parser<Metainfo> = (value) => {
  const { length, pieceLength, root } = fields(value);
  const meta = { length, pieceLength, root } as Metainfo;
  if (typeof root !== 'string' || !metainfoValid(meta)) throw new Malformed('is no metainfo that a blob can have');
  return meta;
};

/** Hashes of a list that are known. */
export const hashCount = whole(piecesMax);

export const growth: Parser<Growth> = (value) => {
  const { length, pieceLength, known, root } = fields(value);
  const read = { length, pieceLength, known, root } as Growth;
  if (typeof root !== 'string' || !growthValid(read)) throw new Malformed('is nothing that a blob can grow by');
  return read;
};

/** In a query: the caller takes what is known of a blob that grows, in place of its metainfo. Others ask nothing. */
export const askedGrowing: Parser<1 | undefined> = (value) => (value === '1' ? 1 : undefined);

/** Blobs up to this size come with answers about them, and are read from memory. */
export const inlineBytesMax = 16 * 1024;
const base64LengthMax = Math.ceil(inlineBytesMax / 3) * 4;

/** A small blob in base64. Whether it is base64, and of the right bytes, its digest will tell (peer/pulls/inline.ts). */
export const inline = textThat(
  ({ length }) => length <= base64LengthMax && length % 4 === 0,
  'is no small blob in base64',
);
