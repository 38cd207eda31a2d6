/**
 * The registry that the container runtime pulls from.
 *
 * Rule 1: a tag is always asked of the index, never remembered: truth over availability. Without an
 *         index a tag answers 503; digests keep working.
 * Rule 2: HEAD downloads nothing.
 * Rule 3: read only. Whoever pushes is told where the proxy is, before anything claims that it is there already.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { ApiError } from '../core/contracts/errors.ts';
import type { ManifestRecord } from '../core/contracts/index-api.ts';
import type { Digest } from '../core/digest.ts';
import { manifestBytesMax } from '../core/oci/limits.ts';
import { parseManifest, tooLarge } from '../core/oci/manifest.ts';
import { MEDIA } from '../core/oci/media.ts';
import { type Reference, referenceText } from '../core/oci/name.ts';
import type { OciRequest, PageRequest } from '../core/oci/request.ts';
import { type Content, contentOf } from '../platform/http/content.ts';
import { pageReply, referrersReply } from '../platform/registry/pages.ts';
import type { OciContext, OciReply, RegistryHandler } from '../platform/registry/reply.ts';
import type { IndexReads } from './index-reads.ts';
import type { Asking, Pulls } from './pull.ts';
import { pushes } from './pushers.ts';

/** How long the index may hold up a manifest that is asked for by digest: it only says whether the repository has it. */
export const indexPatienceMs = 1_000;
/** Longer than a tracker remembers that no origin had a blob: one that was asked for before it was pushed. */
export const unknownAgainMs = 400;

export type RegistryOptions = {
  readonly pulls: Pulls;
  readonly index: IndexReads;
  /** Named in refusals of writes. */
  readonly proxy: string;
};

type ManifestRead = Extract<OciRequest, { kind: 'manifestRead' }>;
type BlobRead = Extract<OciRequest, { kind: 'blobRead' }>;

export class Registry implements RegistryHandler {
  readonly #pulls: Pulls;
  readonly #index: IndexReads;
  readonly #proxy: string;

  constructor(options: RegistryOptions) {
    this.#pulls = options.pulls;
    this.#index = options.index;
    this.#proxy = options.proxy;
  }

  handle(request: OciRequest, context: OciContext): Promise<OciReply> {
    switch (request.kind) {
      case 'ping':
        return Promise.resolve({ kind: 'json', value: {} });
      case 'manifestRead':
        return this.#manifest(request, context);
      case 'blobRead':
        return this.#blob(request, context);
      case 'tags':
        return this.#tags(request.repo, request.page, context);
      case 'catalog':
        return this.#catalog(request.page, context);
      case 'referrers':
        return this.#referrers(request, context);
      default:
        throw new ApiError('UNSUPPORTED', this.#readOnly(), { allow: ['GET', 'HEAD'] });
    }
  }

  #readOnly(): string {
    return `an agent's registry is read only: push to and delete at the proxy, ${this.#proxy}`;
  }

  async #manifest(request: ManifestRead, context: OciContext): Promise<OciReply> {
    const { repo, reference, head } = request;
    if (reference.kind === 'digest' && !head) return this.#manifestByDigest(repo, reference.digest, context);
    const record = await this.#record(repo, reference, context);
    if (record !== undefined) return { kind: 'content', content: await this.#recorded(record, context, head) };
    throw manifestUnknown(repo, reference);
  }

  #record(repo: string, reference: Reference, context: OciContext): Promise<ManifestRecord | undefined> {
    return reference.kind === 'tag'
      ? this.#index.tag(repo, reference.tag, context)
      : this.#index.manifest(repo, reference.digest, context);
  }

  async #recorded(record: ManifestRecord, asking: Asking, head: boolean): Promise<Content> {
    const { digest, mediaType, size } = record;
    if (head) return { digest, mediaType, size, ranges: false, open: () => noBytes() };
    return { ...(await this.#open(digest, asking, mediaType)), ranges: false };
  }

  /** The manifest's bytes, which the index knows of. */
  async #open(digest: Digest, asking: Asking, mediaType?: string): Promise<Content> {
    try {
      return await this.#pulls.open(digest, asking, mediaType);
    } catch (error) {
      if (!blobUnknown(error)) throw error;
      return await this.#openAgain(digest, asking, mediaType);
    }
  }

  /** It was pushed, and nobody knows it: a tracker may have said so before it heard. After that the manifest is unknown. */
  async #openAgain(digest: Digest, asking: Asking, mediaType?: string): Promise<Content> {
    await sleep(unknownAgainMs, undefined, { signal: asking.signal });
    try {
      return await this.#pulls.open(digest, asking, mediaType);
    } catch (error) {
      if (!blobUnknown(error)) throw error;
      throw new ApiError('MANIFEST_UNKNOWN', `no origin holds manifest ${digest}`);
    }
  }

  /** The index says whether the repository has it; where there is no index in time, the digest is enough. */
  async #manifestByDigest(repo: string, digest: Digest, context: OciContext): Promise<OciReply> {
    const asked = this.#recordSoon(repo, digest, context);
    // Both are asked at once; the index's no counts more than a failure of the pull.
    const opened = this.#pulls.open(digest, context).catch((error: unknown) => ({ error }));
    const record = await asked;
    if (record === undefined) throw manifestUnknown(repo, { kind: 'digest', digest });
    const content = await opened;
    if ('error' in content && !blobUnknown(content.error)) throw content.error;
    const bytes = await bytesOf('error' in content ? await this.#openAgain(digest, context) : content);
    const mediaType = record === 'unavailable' ? parseManifest(bytes, undefined).mediaType : record.mediaType;
    return { kind: 'content', content: contentOf(bytes, { digest, mediaType, ranges: false }) };
  }

  async #recordSoon(
    repo: string,
    digest: Digest,
    context: OciContext,
  ): Promise<ManifestRecord | undefined | 'unavailable'> {
    const late = AbortSignal.timeout(indexPatienceMs);
    const signal = AbortSignal.any([context.signal, late]);
    try {
      return await this.#index.manifest(repo, digest, { requestId: context.requestId, signal });
    } catch (error) {
      const unavailable = late.aborted || (error instanceof ApiError && error.code === 'UNAVAILABLE');
      if (unavailable && !context.signal.aborted) return 'unavailable';
      throw error;
    }
  }

  async #blob({ repo, digest, head }: BlobRead, context: OciContext): Promise<OciReply> {
    if (!head) return { kind: 'content', content: await this.#blobContent(repo, digest, context) };
    if (pushes(context.header('user-agent'))) throw new ApiError('BLOB_UNKNOWN', this.#readOnly());
    const size = await this.#sizeOf(repo, digest, context);
    if (size === undefined) throw new ApiError('BLOB_UNKNOWN', `no origin knows blob ${digest}`);
    return { kind: 'content', content: { digest, mediaType: MEDIA.octets, size, ranges: true, open: () => noBytes() } };
  }

  async #blobContent(repo: string, digest: Digest, context: OciContext): Promise<Content> {
    try {
      return await this.#pulls.open(digest, context);
    } catch (error) {
      if (!blobUnknown(error) || !(await this.#linked(repo, digest, context))) throw error;
      await sleep(unknownAgainMs, undefined, { signal: context.signal });
      return await this.#pulls.open(digest, context);
    }
  }

  /** Whether the index knows, in time, that the repository has the blob. */
  async #linked(repo: string, digest: Digest, context: OciContext): Promise<boolean> {
    const signal = AbortSignal.any([context.signal, AbortSignal.timeout(indexPatienceMs)]);
    const link = await this.#index.blob(repo, digest, { requestId: context.requestId, signal }).catch(() => undefined);
    return link !== undefined;
  }

  /** What any of cache, trackers and index knows; the first that knows is enough. */
  async #sizeOf(repo: string, digest: Digest, context: OciContext): Promise<number | undefined> {
    try {
      return await this.#pulls.sizeOf(digest, context);
    } catch (error) {
      if (!(error instanceof ApiError) || error.code !== 'UNAVAILABLE') throw error;
      const link = await this.#index.blob(repo, digest, context);
      // A repository may hold a blob through another: only an origin's no is a no.
      if (link === undefined) throw error;
      return link.size;
    }
  }

  async #tags(repo: string, page: PageRequest, context: OciContext): Promise<OciReply> {
    const { tags, more } = await this.#index.tags(repo, { n: page.limit, last: page.last }, context);
    return pageReply({ name: repo, tags }, { path: `/v2/${repo}/tags/list`, page, more, last: tags.at(-1) });
  }

  async #catalog(page: PageRequest, context: OciContext): Promise<OciReply> {
    const { repositories, more } = await this.#index.catalog({ n: page.limit, last: page.last }, context);
    return pageReply({ repositories }, { path: '/v2/_catalog', page, more, last: repositories.at(-1) });
  }

  async #referrers(request: Extract<OciRequest, { kind: 'referrers' }>, context: OciContext): Promise<OciReply> {
    const { repo, digest } = request;
    return referrersReply(request, (of) => this.#index.referrers(repo, digest, of, context));
  }
}

function blobUnknown(error: unknown): boolean {
  return error instanceof ApiError && error.code === 'BLOB_UNKNOWN';
}

async function bytesOf(content: Content): Promise<Uint8Array> {
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

function manifestUnknown(repo: string, reference: Reference): ApiError {
  return new ApiError('MANIFEST_UNKNOWN', `repository ${repo} has no manifest ${referenceText(reference)}`);
}

function noBytes(): never {
  throw new ApiError('UNSUPPORTED', 'a HEAD has no body');
}
