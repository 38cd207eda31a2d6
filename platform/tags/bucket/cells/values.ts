/**
 * What each kind of cell says, read as it was written.
 *
 * Rule: what is none of that is believed in nothing. A number that is taken from it would be written on, into every tag.
 */

import { documentBytesMax } from '../../../../core/contracts/documents/documents.ts';
import { byteCount, digest, mediaType, repository } from '../../../../core/contracts/fields.ts';
import { referencesMax, type TagVersion, versionOfTag } from '../../../../core/contracts/index-api.ts';
import {
  field,
  fields,
  finite,
  flag,
  listOf,
  Malformed,
  optional,
  type Parser,
  record,
  text,
  texts,
  whole,
} from '../../../../core/contracts/parse.ts';
import type { Digest } from '../../../../core/digest.ts';
import type { StoredDocument } from '../../documents.ts';
import { numberOf, versionNumberMax } from '../../versions.ts';
import type { HeldManifest } from '../record.ts';

/** Far beyond what is ever counted, and all numbers that may follow are still exact. */
const numberMax = 2 ** 52;
/** newName() makes 16. */
const name = text(64, 1);

export const orNull =
  <T>(of: Parser<T>): Parser<T | null> =>
  (value) =>
    value === null ? null : of(value);

const version: Parser<TagVersion> = (value) => {
  const read = versionOfTag(value);
  if (numberOf(read) <= versionNumberMax) return read;
  throw new Malformed('is above all that is counted');
};

/** What a tag is on. `made`: the write that set it: its mark has that name. */
export type On = {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly size: number;
  readonly made: string;
};
export type TagSaid = {
  /** null: nothing was ever said of it; the cell was written to end what was on its way. */
  readonly version: TagVersion | null;
  readonly on?: On | undefined;
};
export const tagSaid: Parser<TagSaid> = record({
  version: orNull(version),
  on: optional(record({ digest, mediaType, size: byteCount, made: name })),
});

export type GateSaid = {
  /** The generation in which the digest was last condemned; 0: never. */
  readonly epoch: number;
  /** Nothing links to it, as far as was seen then. Milliseconds. */
  readonly sinceMs?: number | undefined;
  /** Since `sinceMs` it has links, of blobs only. */
  readonly idle?: boolean | undefined;
  /** When it was condemned, in the generation `epoch`; it was not proved since. */
  readonly toldMs?: number | undefined;
};
export const gateSaid: Parser<GateSaid> = record({
  epoch: whole(numberMax),
  sinceMs: optional(finite),
  idle: optional(flag),
  toldMs: optional(finite),
});

export type BlobSaid = { readonly size: number };
export const blobSaid: Parser<BlobSaid> = record({ size: byteCount });

const heldManifest: Parser<HeldManifest> = record({
  made: name,
  mediaType,
  size: byteCount,
  subject: optional(digest),
  artifactType: optional(mediaType),
  annotations: optional(texts),
  blobs: listOf(digest, referencesMax),
  manifests: listOf(digest, referencesMax),
});
export const recordSaid: Parser<HeldManifest | null> = orNull(heldManifest);

/** Of a removal that is under way, or of a record that is replaced by one of which tags are to be told. */
export type RemovalSaid = {
  readonly repo: string;
  readonly digest: Digest;
  readonly was: HeldManifest;
  readonly nowMs: number;
};
export const removalSaid: Parser<RemovalSaid> = record({ repo: repository, digest, was: heldManifest, nowMs: finite });

export const flagSaid: Parser<boolean> = flag;

/** Who works on what waits of a repository for a target, and for how long, by whatever clock, since it was written. */
export type ClaimSaid = { readonly holder: string; readonly forMs: number };
export const claimSaid: Parser<ClaimSaid> = record({ holder: name, forMs: finite });

/** Of a row: it failed so often at that version. */
export type FailureSaid = {
  readonly row: string;
  readonly version: TagVersion;
  readonly attempts: number;
  readonly dueMs: number;
  readonly cause: string;
  readonly dead: boolean;
};
/** Of a target and a repository; what is older is forgotten, and tried at once. */
export const failuresMax = 1_000;
const rowCharsMax = 300;
const causeCharsMax = 100;
export const failuresSaid: Parser<readonly FailureSaid[]> = listOf(
  record({
    row: text(rowCharsMax, 1),
    version,
    attempts: whole(numberMax),
    dueMs: finite,
    cause: text(causeCharsMax),
    dead: flag,
  }),
  failuresMax,
);

/** `text` is JSON. */
export const documentSaid: Parser<StoredDocument> = record({
  version: whole(Number.MAX_SAFE_INTEGER),
  text: text(documentBytesMax),
});

/** Of a store of another format only that is known. */
export type StoreSaid = {
  readonly format: number;
  readonly database?: string | undefined;
  /** The last ones of the engine that it was moved from: what is counted here goes on beyond them. */
  readonly numbers?: NumbersSaid | undefined;
  /** Databases that this one comes after, as it was moved from one that was restored. */
  readonly succession?: readonly FormerSaid[] | undefined;
};
export type FormerSaid = { readonly id: string; readonly trusted: boolean };
/** As many as core/contracts/gc/succession.ts takes. */
const formerMax = 64;
export type NumbersSaid = { readonly generation: number; readonly version: number; readonly forgotten: number };
const numbersSaid: Parser<NumbersSaid> = record({
  generation: whole(numberMax),
  version: whole(numberMax),
  forgotten: whole(numberMax),
});
export const storeSaid: Parser<StoreSaid> = (value) => {
  const of = fields(value);
  return {
    format: field(of, 'format', whole(numberMax)),
    database: field(of, 'database', optional(text(64, 1))),
    numbers: field(of, 'numbers', optional(numbersSaid)),
    succession: field(of, 'succession', optional(listOf(record({ id: text(64, 1), trusted: flag }), formerMax))),
  };
};
