/**
 * The cluster's read-write registry: one request, one branch. What is no push and no manifest is answered here: blobs,
 * which are visible only where the index has linked them, and lists, page by page.
 */

import { ApiError } from '../core/contracts/errors.ts';
import type { CatalogPage, TagVersion } from '../core/contracts/index-api.ts';
import { askedForReplication, REPLICATION_HEADERS } from '../core/contracts/replicate/headers.ts';
import type { Digest } from '../core/digest.ts';
import { MEDIA } from '../core/oci/media.ts';
import { OCI_PATHS } from '../core/oci/paths.ts';
import type { OciRequest } from '../core/oci/request.ts';
import type { QuotaRule } from '../core/quota.ts';
import { type ReplicaRules, replicasIn } from '../core/rendezvous/replicas.ts';
import type { Blocked } from '../platform/blocks/blocks.ts';
import { untilBlocked } from '../platform/blocks/giving.ts';
import type { IndexClient } from '../platform/clients/index-client.ts';
import { pageReply, referrersReply } from '../platform/registry/pages.ts';
import type { OciContext, OciReply, RegistryHandler } from '../platform/registry/reply.ts';
import type { PageOf } from '../platform/tags/store.ts';
import type { IndexRules } from './index-rules.ts';
import { type ManifestParts, Manifests } from './manifests.ts';
import { Push, type PushParts } from './push.ts';
import type { ReceiveSettings } from './receiving.ts';
import type { PushedBody } from './room.ts';

/** What the proxy asks of the index; tests answer it from memory. */
export type ProxyIndex = PushParts['index'] &
  ManifestParts['index'] &
  Pick<IndexClient, 'tags' | 'referrers' | 'blob' | 'unlinkBlob' | 'catalog' | 'identity' | 'room'>;

export type ProxyParts = PushParts & {
  readonly index: ProxyIndex;
  readonly signed?: ManifestParts['signed'];
  /** What the index says of how many origins are to hold what; absent: nothing. */
  readonly replicas?: Pick<IndexRules<ReplicaRules>, 'rules'> | undefined;
  /** What the index says of what repositories may hold; absent: nothing. */
  readonly quotas?: Pick<IndexRules<readonly QuotaRule[]>, 'rules'> | undefined;
  /** What is neither given nor taken; absent: nothing. */
  readonly blocked?: Blocked | undefined;
  /** Whose versions of writes are believed; absent: nobody's. */
  readonly receive?: ReceiveSettings | undefined;
};

type Request<K extends OciRequest['kind']> = Extract<OciRequest, { kind: K }>;

export class ProxyRegistry implements RegistryHandler {
  readonly #parts: ProxyParts;

  constructor(parts: ProxyParts) {
    this.#parts = parts;
  }

  async handle(request: OciRequest, context: OciContext): Promise<OciReply> {
    const { blocked } = this.#parts;
    if (blocked !== undefined && blocked.list.size > 0) (await import('./blocked.ts')).heedRequest(blocked, request);
    switch (request.kind) {
      case 'ping':
        return this.#ping(context);
      case 'blobRead':
        return this.#readBlob(request, context);
      case 'blobDelete':
        return this.#removeBlob(request, context);
      case 'manifestRead':
        return new Manifests(this.#parts).read(request, context);
      case 'manifestPut':
        return new Manifests(this.#pushing(request.repo)).put(request, context, await this.#received(context));
      case 'manifestDelete':
        return new Manifests(this.#parts).remove(request, context, await this.#received(context));
      case 'referrers':
        return this.#referrers(request, context);
      case 'tags':
        return this.#tags(request, context);
      case 'catalog':
        return this.#catalog(request, context);
      case 'uploadBegin':
      case 'uploadAppend':
      case 'uploadCommit':
        await this.#heedQuotas(request, context);
        return new Push(this.#pushing(request.repo)).handle(request, context);
      case 'uploadStatus':
      case 'uploadCancel':
        return new Push(this.#pushing(request.repo)).handle(request, context);
    }
  }

  async #ping(context: OciContext): Promise<OciReply> {
    if (context.header(REPLICATION_HEADERS.taken) !== askedForReplication) return { kind: 'json', value: {} };
    const { introduced } = await import('./receiving.ts');
    return introduced(this.#parts.index, context, this.#parts.receive);
  }

  /** The version of a write that another cluster made. */
  async #received(context: OciContext): Promise<TagVersion | undefined> {
    if (context.header(REPLICATION_HEADERS.version) === undefined) return undefined;
    const { receivedVersion } = await import('./receiving.ts');
    return receivedVersion(context, this.#parts.receive);
  }

  /** Before its bytes are taken. Throws DENIED. */
  async #heedQuotas(request: PushedBody, context: OciContext): Promise<void> {
    const { index, quotas } = this.#parts;
    const rules = quotas?.rules ?? [];
    if (rules.length === 0) return;
    const { heedRoom } = await import('./room.ts');
    await heedRoom(index, rules, request, context);
  }

  /** The parts of a push into that repository: it lies on no more origins than the repository is to. */
  #pushing(repo: string): ProxyParts {
    const rules = this.#parts.replicas?.rules;
    if (rules === undefined) return this.#parts;
    return { ...this.#parts, origins: this.#parts.origins.atMost(replicasIn(rules, repo)) };
  }

  async #readBlob(request: Request<'blobRead'>, context: OciContext): Promise<OciReply> {
    const { index, origins, blocked } = this.#parts;
    const { repo, digest, head } = request;
    const ctx = context.call;
    const link = await index.blob(repo, digest, ctx);
    if (link === undefined) throw unknown(repo, digest);
    // A push skips what HEAD finds: a blob that the origins have lost must be pushed again.
    if (head && !(await origins.there({ digest, repo }, ctx))) throw unknown(repo, digest);
    // Once it has had bytes of ours, a reader has a head that promises the rest.
    let redirect: number | undefined = link.size;
    const open = (start: number, end: number) => {
      const part = { start, end, redirect };
      redirect = undefined;
      const bytes = origins.read({ digest, repo }, part, ctx);
      return blocked === undefined ? bytes : untilBlocked(blocked, digest, bytes);
    };
    return { kind: 'content', content: { digest, mediaType: MEDIA.octets, size: link.size, ranges: true, open } };
  }

  /** The bytes stay: another repository may have linked them. */
  async #removeBlob({ repo, digest }: Request<'blobDelete'>, context: OciContext): Promise<OciReply> {
    if (!(await this.#parts.index.unlinkBlob(repo, digest, context.call))) throw unknown(repo, digest);
    return { kind: 'empty', status: 202 };
  }

  async #tags({ repo, page }: Request<'tags'>, context: OciContext): Promise<OciReply> {
    const { tags, more } = await this.#parts.index.tags(repo, { n: page.limit, last: page.last }, context.call);
    return pageReply({ name: repo, tags }, { path: OCI_PATHS.tags(repo), page, more, last: tags.at(-1) });
  }

  async #catalog({ page }: Request<'catalog'>, { call, sees }: OciContext): Promise<OciReply> {
    const ask = (of: PageOf): Promise<CatalogPage> => this.#parts.index.catalog(of, call);
    const { repositories, more } = await (sees === undefined
      ? ask({ n: page.limit, last: page.last })
      : (await import('../platform/registry/visible.ts')).visiblePage(ask, page, sees));
    return pageReply({ repositories }, { path: OCI_PATHS.catalog, page, more, last: repositories.at(-1) });
  }

  async #referrers(request: Request<'referrers'>, context: OciContext): Promise<OciReply> {
    const { repo, digest } = request;
    return referrersReply(request, (of) => this.#parts.index.referrers(repo, digest, of, context.call));
  }
}

function unknown(repo: string, digest: Digest): ApiError {
  return new ApiError('BLOB_UNKNOWN', `repository ${repo} has no blob ${digest}`, { digest });
}
