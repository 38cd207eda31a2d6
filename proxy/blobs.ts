/** Blobs of a repository: read and unlink. A blob is visible only where the index has linked it. */

import { ApiError } from '../core/contracts/errors.ts';
import type { Digest } from '../core/digest.ts';
import { MEDIA } from '../core/oci/media.ts';
import type { OciRequest } from '../core/oci/request.ts';
import type { Origins } from '../platform/clients/origins.ts';
import type { OciContext, OciReply } from '../platform/registry/reply.ts';
import type { IndexApi } from './index-api.ts';

type Request<K extends OciRequest['kind']> = Extract<OciRequest, { kind: K }>;

export class Blobs {
  readonly #index: IndexApi;
  readonly #origins: Origins;

  constructor(parts: { readonly index: IndexApi; readonly origins: Origins }) {
    this.#index = parts.index;
    this.#origins = parts.origins;
  }

  async read(request: Request<'blobRead'>, context: OciContext): Promise<OciReply> {
    const { repo, digest, head } = request;
    const ctx = context.call;
    const link = await this.#index.blob(repo, digest, ctx);
    if (link === undefined) throw unknown(repo, digest);
    // A push skips what HEAD finds: a blob that the origins have lost must be pushed again.
    if (head && (await this.#origins.proved(digest, ctx)) === undefined) throw unknown(repo, digest);
    const open = (start: number, end: number) => this.#origins.read(digest, { start, end }, ctx);
    return { kind: 'content', content: { digest, mediaType: MEDIA.octets, size: link.size, ranges: true, open } };
  }

  /** The bytes stay: another repository may have linked them. */
  async remove(request: Request<'blobDelete'>, context: OciContext): Promise<OciReply> {
    const { repo, digest } = request;
    const ctx = context.call;
    if (!(await this.#index.unlinkBlob(repo, digest, ctx))) throw unknown(repo, digest);
    return { kind: 'empty', status: 202 };
  }
}

function unknown(repo: string, digest: Digest): ApiError {
  return new ApiError('BLOB_UNKNOWN', `repository ${repo} has no blob ${digest}`, { digest });
}
