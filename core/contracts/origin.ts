/** The origin's HTTP interface, called by proxies (uploads, reads), trackers (metainfo) and origins. */

import type { Digest, DigestAlgorithm } from '../digest.ts';
import type { Metainfo } from '../piece.ts';
import type { PeerAddress } from '../wire/messages.ts';

/** 'size': its file is there, as long as it should be. */
export type InfoProof = 'size' | 'sample';

const queryOf = (proof: InfoProof): string => (proof === 'sample' ? '?proof=sample' : '');

export const ORIGIN_PATHS = {
  /** GET, HEAD (Range honoured): the bytes. DELETE removes it. */
  blob: (digest: Digest): string => `/v1/blobs/${digest}`,
  /** POST: 200 where the blob is here whole, and is kept now whatever the index condemned before; else 404 BLOB_UNKNOWN. */
  proof: (digest: Digest): string => `/v1/blobs/${digest}/proof`,
  /**
   * GET: BlobInfo, or 404 where the origin cannot serve the blob whole. `?proof=sample`: a sample of its pieces was read
   * and verified, not long ago. Who will not push because of the answer asks so; an older origin takes no notice.
   */
  info: (digest: Digest, proof: InfoProof = 'size'): string => `/v1/blobs/${digest}/info${queryOf(proof)}`,
  /** POST InfosRequest: the same of several, InfosReply. */
  infos: (proof: InfoProof = 'size'): string => `/v1/infos${queryOf(proof)}`,
  /** POST FetchRequest: pull it from a peer that holds it (hand-over to the digest's owners). 202, or 200 if held. */
  fetch: (digest: Digest): string => `/v1/blobs/${digest}/fetch`,
  /** POST begins the upload of that id (201; again: 200, where it stands). GET tells UploadStatus. DELETE cancels it. */
  upload: (id: string): string => `/v1/uploads/${id}`,
  /** PATCH ?offset=N: appends the body at exactly that offset (409 with UploadStatus otherwise); answers UploadStatus. */
  append: (id: string, offset: number): string => `/v1/uploads/${id}?offset=${offset}`,
  /**
   * PUT: verifies and commits; answers BlobInfo once it is durable. 400 DIGEST_INVALID keeps nothing. May be asked
   * again. A digest of another algorithm than the upload was begun for may cost a second read, or be refused so.
   */
  commit: (id: string, digest: Digest): string => `/v1/uploads/${id}?digest=${digest}`,
} as const;

/** Lower-case letters, digits and dashes; the proxy draws it. */
export const uploadIdPattern = /^[a-z0-9-]{16,64}$/;

/**
 * Who uploads: `client` as the proxy tells it apart from others, and what. Sent when an upload begins, as headers,
 * which an origin of before does not mind; a proxy of before sends none, and is itself the client.
 */
export type Uploader = { readonly client: string; readonly kind: 'blob' | 'manifest' };
export const uploaderHeaders = { client: 'x-shoal-client', kind: 'x-shoal-upload' } as const;
/** An address, or the name of a user. Anything else is not believed. */
export const clientPattern = /^[\x21-\x7e]{1,128}$/;

/** `algorithm` of the running digest; sha256 unless the client said otherwise when it began. */
export type BeginUpload = { readonly algorithm: DigestAlgorithm };
export type UploadStatus = { readonly id: string; readonly offset: number };
export type BlobInfo = {
  readonly digest: Digest;
  readonly meta: Metainfo;
  /** Base64 of the blob, where at most inlineBytesMax. */
  readonly inline?: string | undefined;
  readonly peer: PeerAddress;
};
/** Blobs that are asked of at once, at most. */
export const infosMax = 64;
export type InfosRequest = { readonly digests: readonly Digest[] };
/** In the order of the digests. null: the origin does not hold it. `error`: what a question for it alone would get. */
export type InfosReply = {
  readonly infos: readonly (BlobInfo | { readonly error: { code: string; message: string } } | null)[];
};
export type FetchRequest = { readonly from: PeerAddress; readonly meta: Metainfo };
