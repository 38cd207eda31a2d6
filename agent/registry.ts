/**
 * The registry that the container runtime pulls from.
 *
 * Rule 1: a tag is always asked of the index, never remembered: truth over availability. Without an
 *         index a tag answers 503; digests keep working.
 * Rule 2: HEAD downloads nothing.
 * Rule 3: read only. Whoever pushes is told where the proxy is, before anything claims that it is there already.
 * Rule 4: where somebody is asked who he is, a digest is given, or told of, only in a repository that has it.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { ApiError } from '../core/contracts/errors.ts';
import type { CatalogPage, ManifestRecord } from '../core/contracts/index-api.ts';
import type { BlobIn, Digest } from '../core/digest.ts';
import { parseManifest } from '../core/oci/manifest.ts';
import { MEDIA } from '../core/oci/media.ts';
import { type Reference, referenceText } from '../core/oci/name.ts';
import { OCI_PATHS } from '../core/oci/paths.ts';
import type { OciRequest, PageRequest } from '../core/oci/request.ts';
import type { CallContext } from '../platform/clients/context.ts';
import type { IndexClient } from '../platform/clients/index-client.ts';
import { bytesOf, type Content, contentOf } from '../platform/http/content.ts';
import { pageReply, referrersReply } from '../platform/registry/pages.ts';
import type { OciContext, OciReply, RegistryHandler } from '../platform/registry/reply.ts';
import type { PageOf } from '../platform/tags/store.ts';
import type { RepositoryLinks } from './access/links.ts';
import type { Pulls } from './pull.ts';
import { pushes } from './pushers.ts';

/** How long the index may hold up a manifest that is asked for by digest: it only says whether the repository has it. */
export const indexPatienceMs = 1_000;
/** Longer than a tracker remembers that no origin had a blob: one that was asked for before it was pushed. */
export const unknownAgainMs = 400;

/** What an agent asks of the index; tests answer it from memory. */
export type IndexReads = Pick<IndexClient, 'tag' | 'tags' | 'manifest' | 'referrers' | 'blob' | 'catalog'>;

export type RegistryOptions = {
  readonly pulls: Pulls;
  readonly index: IndexReads;
  /** Named in refusals of writes. */
  readonly proxy: string;
  /** Where `access` is set. */
  readonly links?: RepositoryLinks | undefined;
};

type ManifestRead = Extract<OciRequest, { kind: 'manifestRead' }>;
type BlobRead = Extract<OciRequest, { kind: 'blobRead' }>;

export class AgentRegistry implements RegistryHandler {
  readonly #pulls: Pulls;
  readonly #index: IndexReads;
  readonly #proxy: string;
  readonly #links: RepositoryLinks | undefined;

  constructor(options: RegistryOptions) {
    this.#pulls = options.pulls;
    this.#index = options.index;
    this.#proxy = options.proxy;
    this.#links = options.links;
  }

  handle(request: OciRequest, context: OciContext): Promise<OciReply> {
    const { call } = context;
    switch (request.kind) {
      case 'ping':
        return Promise.resolve({ kind: 'json', value: {} });
      case 'manifestRead':
        return this.#manifest(request, call);
      case 'blobRead':
        return this.#blob(request, context);
      case 'tags':
        return this.#tags(request.repo, request.page, call);
      case 'catalog':
        return this.#catalog(request.page, context);
      case 'referrers':
        return this.#referrers(request, call);
      default:
        throw new ApiError('UNSUPPORTED', this.#readOnly(), { allow: ['GET', 'HEAD'] });
    }
  }

  #readOnly(): string {
    return `an agent's registry is read only: push to and delete at the proxy, ${this.#proxy}`;
  }

  async #manifest(request: ManifestRead, call: CallContext): Promise<OciReply> {
    const { repo, reference, head } = request;
    if (reference.kind === 'digest' && !head) return this.#manifestByDigest(repo, reference.digest, call);
    const record = await this.#record(repo, reference, call);
    if (record === undefined) throw manifestUnknown(repo, reference);
    const content = await this.#recorded(repo, record, call, head);
    return { kind: 'content', content: head ? content : await this.#learned(repo, content) };
  }

  #record(repo: string, reference: Reference, call: CallContext): Promise<ManifestRecord | undefined> {
    return reference.kind === 'tag'
      ? this.#index.tag(repo, reference.tag, call)
      : this.#index.manifest(repo, reference.digest, call);
  }

  async #recorded(repo: string, record: ManifestRecord, call: CallContext, head: boolean): Promise<Content> {
    const { digest, mediaType, size } = record;
    this.#pulls.heed(digest);
    if (head) return { digest, mediaType, size, ranges: false, open: () => noBytes() };
    return { ...(await this.#open({ digest, repo }, call, mediaType)), ranges: false };
  }

  /** A manifest that the repository has: what it refers to need not be asked for. */
  async #learned(repo: string, content: Content): Promise<Content> {
    if (this.#links === undefined) return content;
    const { digest, mediaType } = content;
    const bytes = await bytesOf(content);
    this.#links.learn(repo, digest, bytes, mediaType);
    return contentOf(bytes, { digest, mediaType, ranges: false });
  }

  /** The manifest's bytes, which the index knows of. */
  async #open(blob: BlobIn, call: CallContext, mediaType?: string): Promise<Content> {
    try {
      return await this.#pulls.open(blob, call, mediaType);
    } catch (error) {
      if (!blobUnknown(error)) throw error;
      return await this.#openAgain(blob, call, mediaType);
    }
  }

  /** It was pushed, and nobody knows it: a tracker may have said so before it heard. After that the manifest is unknown. */
  async #openAgain(blob: BlobIn, call: CallContext, mediaType?: string): Promise<Content> {
    await aMoment(call);
    try {
      return await this.#pulls.open(blob, call, mediaType);
    } catch (error) {
      if (!blobUnknown(error)) throw error;
      throw new ApiError('MANIFEST_UNKNOWN', `no origin holds manifest ${blob.digest}`);
    }
  }

  /** The index says whether the repository has it; where there is no index in time, the digest is enough. */
  async #manifestByDigest(repo: string, digest: Digest, call: CallContext): Promise<OciReply> {
    const blob = { digest, repo };
    const asked = this.#recordSoon(repo, digest, call);
    if (this.#links !== undefined) heed(await asked, this.#links.remembers(repo, digest), { repo, digest });
    // Both are asked at once; the index's no counts more than a failure of the pull.
    const opened = this.#pulls.open(blob, call).catch((error: unknown) => ({ error }));
    const record = await asked;
    if (record === undefined) throw manifestUnknown(repo, { kind: 'digest', digest });
    const content = await opened;
    if ('error' in content && !blobUnknown(content.error)) throw content.error;
    const bytes = await bytesOf('error' in content ? await this.#openAgain(blob, call) : content);
    const mediaType = record === 'unavailable' ? parseManifest(bytes, undefined).mediaType : record.mediaType;
    if (record !== 'unavailable') this.#links?.learn(repo, digest, bytes, mediaType);
    return { kind: 'content', content: contentOf(bytes, { digest, mediaType, ranges: false }) };
  }

  async #recordSoon(
    repo: string,
    digest: Digest,
    call: CallContext,
  ): Promise<ManifestRecord | undefined | 'unavailable'> {
    using soon = call.within(indexPatienceMs);
    try {
      return await this.#index.manifest(repo, digest, soon);
    } catch (error) {
      const unavailable = error instanceof ApiError && error.code === 'UNAVAILABLE';
      if (unavailable && !call.signal.aborted) return 'unavailable';
      throw error;
    }
  }

  async #blob({ repo, digest, head }: BlobRead, { call, header }: OciContext): Promise<OciReply> {
    await this.#links?.check(repo, digest, call);
    if (!head) return { kind: 'content', content: await this.#blobContent(repo, digest, call) };
    if (pushes(header('user-agent'))) throw new ApiError('BLOB_UNKNOWN', this.#readOnly());
    const size = await this.#sizeOf(repo, digest, call);
    if (size === undefined) throw new ApiError('BLOB_UNKNOWN', `no origin knows blob ${digest}`);
    return { kind: 'content', content: { digest, mediaType: MEDIA.octets, size, ranges: true, open: () => noBytes() } };
  }

  async #blobContent(repo: string, digest: Digest, call: CallContext): Promise<Content> {
    try {
      return await this.#pulls.open({ digest, repo }, call);
    } catch (error) {
      if (!blobUnknown(error) || !(await this.#linked(repo, digest, call))) throw error;
      await aMoment(call);
      return await this.#pulls.open({ digest, repo }, call);
    }
  }

  /** Whether the index knows, in time, that the repository has the blob. */
  async #linked(repo: string, digest: Digest, call: CallContext): Promise<boolean> {
    using soon = call.within(indexPatienceMs);
    const link = await this.#index.blob(repo, digest, soon).catch(() => undefined);
    return link !== undefined;
  }

  /** What any of cache, trackers and index knows; the first that knows is enough. */
  async #sizeOf(repo: string, digest: Digest, call: CallContext): Promise<number | undefined> {
    try {
      return await this.#pulls.sizeOf({ digest, repo }, call);
    } catch (error) {
      if (!(error instanceof ApiError) || error.code !== 'UNAVAILABLE') throw error;
      const link = await this.#index.blob(repo, digest, call);
      // A repository may hold a blob through another: only an origin's no is a no.
      if (link === undefined) throw error;
      return link.size;
    }
  }

  async #tags(repo: string, page: PageRequest, call: CallContext): Promise<OciReply> {
    const { tags, more } = await this.#index.tags(repo, { n: page.limit, last: page.last }, call);
    return pageReply({ name: repo, tags }, { path: OCI_PATHS.tags(repo), page, more, last: tags.at(-1) });
  }

  async #catalog(page: PageRequest, { call, sees }: OciContext): Promise<OciReply> {
    const ask = (of: PageOf): Promise<CatalogPage> => this.#index.catalog(of, call);
    const { repositories, more } = await (sees === undefined
      ? ask({ n: page.limit, last: page.last })
      : (await import('../platform/registry/visible.ts')).visiblePage(ask, page, sees));
    return pageReply({ repositories }, { path: OCI_PATHS.catalog, page, more, last: repositories.at(-1) });
  }

  async #referrers(request: Extract<OciRequest, { kind: 'referrers' }>, call: CallContext): Promise<OciReply> {
    const { repo, digest } = request;
    return referrersReply(request, (of) => this.#index.referrers(repo, digest, of, call));
  }
}

/** Nothing is fetched for who may not have it. `before`: the repository had it a while ago. */
function heed(
  record: ManifestRecord | undefined | 'unavailable',
  before: boolean,
  { repo, digest }: { repo: string; digest: Digest },
): void {
  if (record === undefined) throw manifestUnknown(repo, { kind: 'digest', digest });
  if (record === 'unavailable' && !before)
    throw new ApiError('UNAVAILABLE', `no index answers whether repository ${repo} has manifest ${digest}: try again`);
}

async function aMoment({ signal }: CallContext): Promise<void> {
  await sleep(unknownAgainMs, undefined, { signal }).catch(() => signal.throwIfAborted());
}

function blobUnknown(error: unknown): boolean {
  return error instanceof ApiError && error.code === 'BLOB_UNKNOWN';
}

function manifestUnknown(repo: string, reference: Reference): ApiError {
  return new ApiError('MANIFEST_UNKNOWN', `repository ${repo} has no manifest ${referenceText(reference)}`);
}

function noBytes(): never {
  throw new ApiError('UNSUPPORTED', 'a HEAD has no body');
}
