/** The origin's HTTP interface, called by proxies (uploads, reads), trackers (metainfo) and origins. */

import type { Digest, DigestAlgorithm } from '../digest.ts';
import type { Growth, Metainfo } from '../piece.ts';
import type { PeerAddress } from '../wire/messages.ts';
import { ERRORS, type ErrorCode } from './errors.ts';
import {
  askedGrowing,
  askedIn,
  byteCount,
  digest,
  growth,
  inDigest,
  inline,
  metainfo,
  peer,
  repository,
} from './fields.ts';
import { originIdentity } from './members.ts';
import {
  closed,
  digits,
  fields,
  flag,
  listOf,
  oneOf,
  optional,
  type Parser,
  parse,
  record,
  text,
  textThat,
} from './parse.ts';
import { type Param, route } from './route.ts';

/** 'size': its file is there, as long as it should be. */
export type InfoProof = 'size' | 'sample';

/** Lower-case letters, digits and dashes; the proxy draws it. */
export const uploadIdPattern = /^[a-z0-9-]{16,64}$/;

/**
 * Who uploads (the call's caller, as the proxy tells it apart from others), and what. Sent when an upload begins, as
 * headers, which an origin of before does not mind; a proxy of before sends none, and is itself the client.
 */
export type Uploader = { readonly client: string; readonly kind: 'blob' | 'manifest' };
export const uploadKindHeader = 'x-shoal-upload';

/** `algorithm` of the running digest; sha256 unless the client said otherwise when it began. */
export type BeginUpload = { readonly algorithm: DigestAlgorithm };
export type UploadStatus = { readonly id: string; readonly offset: number };
export type BlobInfo = {
  readonly digest: Digest;
  readonly meta: Metainfo;
  /** Base64 of the blob, where at most inlineBytesMax. */
  readonly inline?: string | undefined;
  readonly peer: PeerAddress;
  /** The repository that was asked for has a backend: who relies on the blob there has it proved. */
  readonly backed?: boolean | undefined;
};
/** In place of BlobInfo, and only to who asked so: the origin still receives the blob. */
export type GrowingInfo = { readonly digest: Digest; readonly growth: Growth; readonly peer: PeerAddress };
/** Blobs that are asked of at once, at most. */
export const infosMax = 64;
export type InfosRequest = { readonly digests: readonly Digest[] };
/** null: the origin does not hold it. `error`: what a question for it alone would get. */
export type InfoOutcome =
  | BlobInfo
  | GrowingInfo
  | null
  | { readonly error: { readonly code: ErrorCode; readonly message: string } };
/** In the order of the digests. */
export type InfosReply = { readonly infos: readonly InfoOutcome[] };
/** In the detail of what is refused because of a backend: which one said so. */
export type BackendRefusal = {
  readonly backend: string;
  /** What it has is not the blob, which a push would mend. */
  readonly damaged: boolean;
};
export type FetchRequest = {
  readonly from: PeerAddress;
  readonly meta: Metainfo;
  /**
   * Whoever asks was promised that a backend gets the blob, and the backend has not confirmed it: the repositories through
   * which (empty: a caller of a release before named none). Who takes the copy takes the promise with it. A release before takes no notice.
   */
  readonly owed?: readonly string[] | undefined;
};
/** Backends that one blob is owed to. */
export const owedMax = 64;
/**
 * written: the backend has confirmed it, as far as this origin knows. queued: a row for it is on this origin's disk;
 * `progress` is a number that grows as long as its write-backs to that backend go on, `failing` why they do not.
 */
export type WriteBackReply = {
  readonly state: 'written' | 'queued';
  readonly progress?: number | undefined;
  readonly failing?: string | undefined;
};
export type FetchState = {
  readonly state: 'held' | 'fetching';
  /** Pieces of it that are here: grows as long as it comes. A release before does not say. */
  readonly pieces?: number | undefined;
};

const messageMax = 4096;
const backendNameMax = 64;
const inUpload: Param<string> = {
  parser: textThat((id) => uploadIdPattern.test(id), 'is no upload id: 16 to 64 lower-case letters, digits and dashes'),
  refused: 'BLOB_UPLOAD_INVALID',
};
const inOffset: Param<number> = { parser: digits(Number.MAX_SAFE_INTEGER), refused: 'BLOB_UPLOAD_INVALID' };
/**
 * What an origin does for a blob that it does not hold and the repository's backend does: fetches it ('stat': only tells its
 * length). Which of them asks the backend they settle among each other: a question that was passed on says how often.
 */
const cold: Parser<'stat' | undefined> = (value) => (value === 'stat' ? 'stat' : undefined);
/** A question is passed on so often, at most. */
export const hopsMax = 2;
const hops = optional(digits(hopsMax));
/** Whatever is not known here asks for no more than usual. */
const proof: Parser<InfoProof | undefined> = (value) => (value === 'sample' ? 'sample' : undefined);

const uploadStatus = record({ id: text(64), offset: byteCount }) satisfies Parser<UploadStatus>;
const blobInfo: Parser<BlobInfo> = record({
  digest,
  meta: metainfo,
  inline: optional(inline),
  peer,
  backed: optional(flag),
});
const growingInfo: Parser<GrowingInfo> = record({ digest, growth, peer });
const anyInfo: Parser<BlobInfo | GrowingInfo> = (value) =>
  fields(value)['growth'] === undefined ? blobInfo(value) : growingInfo(value);
const beginUpload: Parser<BeginUpload> = (value) => {
  const { algorithm = 'sha256' } = closedBegin(value ?? {});
  return { algorithm };
};
const closedBegin = closed({ algorithm: optional(oneOf('sha256', 'sha512')) });

/** A code that a newer origin knows, and we do not, is a failure all the same. */
const errorCode: Parser<ErrorCode> = (value) =>
  typeof value === 'string' && Object.hasOwn(ERRORS, value) ? (value as ErrorCode) : 'UNAVAILABLE';
const errorOf = record({ code: errorCode, message: text(messageMax) });
/** What cannot be read is a failure of that blob's, and not of the others'. */
const infoOutcome: Parser<InfoOutcome> = (value) => {
  if (value === null) return null;
  const read: Parser<InfoOutcome> = (it) =>
    fields(it)['error'] === undefined ? anyInfo(it) : record({ error: errorOf })(it);
  const parsed = parse(read, value, 'it');
  if (parsed.ok) return parsed.value;
  return { error: { code: 'UNAVAILABLE', message: `an origin answered no metainfo: ${parsed.problem}` } };
};

const refusal = record({ backend: text(backendNameMax, 1), damaged: optional(flag) });
/** Undefined: it was refused for another reason, or by an origin that asks no backend. */
export function backendRefusal(detail: unknown): BackendRefusal | undefined {
  const read = parse(refusal, detail, 'detail');
  return read.ok ? { backend: read.value.backend, damaged: read.value.damaged === true } : undefined;
}

/** In a query: the caller wants it. */
const asked: Parser<1 | undefined> = (value) => (value === '1' ? 1 : undefined);
const owedIn: Parser<string> = (value) => (value === '' ? value : repository(value));

const blobPath = '/v1/blobs/:digest';
const uploadPath = '/v1/uploads/:id';
const ofBlob = { params: { digest: inDigest } };
const ofUpload = { params: { id: inUpload } };

export const ORIGIN = {
  /**
   * The bytes; Range is honoured. A blob that only the repository's backend has is fetched for whoever reads. `redirect`: the
   * caller knows that it has so many bytes, and takes a 307 to where the backend gives them. An older origin takes no notice.
   */
  read: route('GET', blobPath, {
    ...ofBlob,
    query: { repo: askedIn, redirect: optional(digits(Number.MAX_SAFE_INTEGER)) },
  }),
  /** What is here, or in the repository's backend. */
  head: route('HEAD', blobPath, { ...ofBlob, query: { repo: askedIn } }),
  remove: route('DELETE', blobPath, ofBlob),
  /**
   * 200 where the blob is here whole, and is kept now whatever the index condemned before; else 404 BLOB_UNKNOWN. Where
   * `repo` has a backend, that it is to be written there is on this origin's disk before the answer.
   */
  prove: route('POST', `${blobPath}/proof`, {
    ...ofBlob,
    query: { repo: askedIn },
    reply: record({ state: oneOf('held') }),
  }),
  /**
   * Write the blob to the backend of that repository: asked of who is to do it by who has promised it. 404 BLOB_UNKNOWN
   * where it is not here whole; 405 UNSUPPORTED where that repository has no backend here.
   */
  writeBack: route('POST', `${blobPath}/write-back`, {
    ...ofBlob,
    query: { repo: askedIn },
    reply: record({
      state: oneOf('written', 'queued'),
      progress: optional(byteCount),
      failing: optional(text(messageMax)),
    }) satisfies Parser<WriteBackReply>,
  }),
  /**
   * 404 where the origin cannot serve the blob whole. `proof=sample`: a sample of its pieces was read and verified, not
   * long ago. Who will not push because of the answer asks so; an older origin takes no notice.
   * `growing=1`: of a blob that it still receives it says what it knows; without, 503 UNAVAILABLE. With a proof, it tells
   * only what it holds itself; without, it has a blob fetched that the repository's backend has (see `cold`).
   */
  info: route('GET', `${blobPath}/info`, {
    ...ofBlob,
    query: { proof, repo: askedIn, growing: askedGrowing, cold, hops },
    reply: anyInfo,
  }),
  /** The same of several, of one repository. */
  infos: route('POST', '/v1/infos', {
    query: { proof, repo: askedIn, growing: askedGrowing, cold },
    body: closed({ digests: listOf(digest, infosMax) }) satisfies Parser<InfosRequest>,
    reply: record({ infos: listOf(infoOutcome, infosMax) }),
  }),
  /** Pull it from a peer that holds it (hand-over to the digest's owners): 202, or 200 if held. */
  fetch: route('POST', `${blobPath}/fetch`, {
    ...ofBlob,
    body: record({
      from: peer,
      meta: metainfo,
      owed: optional(listOf(owedIn, owedMax)),
    }) satisfies Parser<FetchRequest>,
    reply: record({ state: oneOf('held', 'fetching'), pieces: optional(byteCount) }) satisfies Parser<FetchState>,
  }),
  /** Who this origin is. `told=1`: and what it knows of the others. An origin of a release before answers 404 NOT_FOUND. */
  identity: route('GET', '/v1/identity', { query: { told: asked }, reply: originIdentity }),
  /** Begins the upload of that id (201; again: 200, where it stands). */
  begin: route('POST', uploadPath, { ...ofUpload, body: beginUpload, reply: uploadStatus }),
  upload: route('GET', uploadPath, { ...ofUpload, reply: uploadStatus }),
  cancel: route('DELETE', uploadPath, ofUpload),
  /** Appends the body at exactly that offset (409 with UploadStatus otherwise). */
  append: route('PATCH', uploadPath, { ...ofUpload, query: { offset: inOffset }, reply: uploadStatus }),
  /**
   * Verifies and commits; answered once it is synced. 400 DIGEST_INVALID keeps nothing. May be asked again. A digest of
   * another algorithm than the upload was begun for may cost a second read, or be refused so. `repo`: as for `prove`.
   */
  commit: route('PUT', uploadPath, { ...ofUpload, query: { digest: inDigest, repo: askedIn }, reply: blobInfo }),
} as const;
