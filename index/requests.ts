/** The index's requests, checked: names, digests, pages, bodies. Each failure is an ApiError that names the field. */

import * as z from 'zod';
import { ApiError, type ErrorCode } from '../core/contracts/errors.ts';
import {
  type BlobLinkPut,
  type CondemnRequest,
  condemnMax,
  type ManifestPut,
  type MountRequest,
  type TagPut,
} from '../core/contracts/index-api.ts';
import { type Digest, parseDigest } from '../core/digest.ts';
import {
  manifestBytesMax,
  mediaTypeLengthMax,
  pageEntriesMax,
  pushTagsMax,
  referrersPageMax,
} from '../core/oci/limits.ts';
import { repositoryValid, tagValid } from '../core/oci/name.ts';
import type { PageOf, ReferrersOf } from '../platform/tags/store.ts';

/** The smallest descriptor in a manifest of 4 MiB is about 100 bytes. */
const referencesMax = 50_000;
const pageEntriesDefault = 1000;

const digest = z.string().transform((text, ctx): Digest => {
  const parsed = parseDigest(text);
  if (parsed !== undefined) return parsed;
  ctx.addIssue({ code: 'custom', message: `'${text.slice(0, 100)}' is no digest` });
  return z.NEVER;
});
const tag = z.string().refine(tagValid, 'is no valid tag');
const repository = z.string().refine(repositoryValid, 'is no valid repository name');
const mediaType = z.string().min(1).max(mediaTypeLengthMax);
const size = z.int().min(0);
const proof = z.int().min(0);

const manifestPut = z.strictObject({
  mediaType,
  size: size.max(manifestBytesMax),
  tags: z.array(tag).max(pushTagsMax),
  blobs: z.array(digest).max(referencesMax),
  manifests: z.array(digest).max(referencesMax),
  subject: digest.optional(),
  artifactType: mediaType.optional(),
  annotations: z.record(z.string(), z.string()).optional(),
  proof: proof.optional(),
});
const tagPut = z.strictObject({ digest });
const blobLinkPut = z.strictObject({ size, proof: proof.optional() });
const condemnRequest = z.strictObject({ digests: z.array(digest).max(condemnMax) });
const mountRequest = z.strictObject({ from: repository });

export const readManifestPut = (body: unknown): ManifestPut => read(manifestPut, body, 'MANIFEST_INVALID');
export const readTagPut = (body: unknown): TagPut => read(tagPut, body, 'REQUEST_INVALID');
export const readBlobLinkPut = (body: unknown): BlobLinkPut => read(blobLinkPut, body, 'REQUEST_INVALID');
export const readCondemn = (body: unknown): CondemnRequest => read(condemnRequest, body, 'REQUEST_INVALID');
export const readMount = (body: unknown): MountRequest => read(mountRequest, body, 'REQUEST_INVALID');

function read<T>(schema: z.ZodType<T>, body: unknown, code: ErrorCode): T {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  const issues = result.error.issues
    .slice(0, 5)
    .map((issue) => `${issue.path.join('.') || 'the body'}: ${issue.message}`);
  throw new ApiError(code, issues.join('; '));
}

export function repositoryOf(text: string): string {
  if (repositoryValid(text)) return text;
  throw new ApiError('NAME_INVALID', `'${text.slice(0, 300)}' is no valid repository name`);
}

export function tagOf(text: string): string {
  if (tagValid(text)) return text;
  throw new ApiError('TAG_INVALID', `'${text.slice(0, 200)}' is no valid tag`);
}

export function digestOf(text: string): Digest {
  const parsed = parseDigest(text);
  if (parsed !== undefined) return parsed;
  throw new ApiError('DIGEST_INVALID', `'${text.slice(0, 200)}' is no digest: expected sha256: and 64 hex digits`);
}

/** `?n=&last=&artifactType=`; a page of referrers is never larger than referrersPageMax. */
export function referrersOf(query: PageQuery & { readonly artifactType?: unknown }): ReferrersOf {
  const { n, last } = pageOf(query);
  const artifactType = typeof query.artifactType === 'string' ? query.artifactType : undefined;
  return { n: Math.min(n, referrersPageMax), last, artifactType };
}

type PageQuery = { readonly n?: unknown; readonly last?: unknown };

/** `?n=&last=`; a page is never larger than pageEntriesMax. */
export function pageOf(query: PageQuery): PageOf {
  const { n, last } = query;
  if (last !== undefined && typeof last !== 'string') throw new ApiError('REQUEST_INVALID', 'last= was given twice');
  if (n !== undefined && (typeof n !== 'string' || !/^\d{1,9}$/.test(n)))
    throw new ApiError('REQUEST_INVALID', 'n= is no whole number');
  return { n: n === undefined ? pageEntriesDefault : Math.min(Number(n), pageEntriesMax), last };
}
