/** Tags, repositories and referrers, page by page. */

import { OCI_PATHS } from '../core/oci/paths.ts';
import type { OciRequest } from '../core/oci/request.ts';
import { pageReply, referrersReply } from '../platform/registry/pages.ts';
import type { OciContext, OciReply } from '../platform/registry/reply.ts';
import type { IndexApi } from './index-api.ts';

type Request<K extends OciRequest['kind']> = Extract<OciRequest, { kind: K }>;

export class Lists {
  readonly #index: IndexApi;

  constructor(parts: { readonly index: IndexApi }) {
    this.#index = parts.index;
  }

  async tags({ repo, page }: Request<'tags'>, context: OciContext): Promise<OciReply> {
    const { tags, more } = await this.#index.tags(repo, { n: page.limit, last: page.last }, context.call);
    return pageReply({ name: repo, tags }, { path: OCI_PATHS.tags(repo), page, more, last: tags.at(-1) });
  }

  async catalog({ page }: Request<'catalog'>, context: OciContext): Promise<OciReply> {
    const { repositories, more } = await this.#index.catalog({ n: page.limit, last: page.last }, context.call);
    return pageReply({ repositories }, { path: OCI_PATHS.catalog, page, more, last: repositories.at(-1) });
  }

  async referrers(request: Request<'referrers'>, context: OciContext): Promise<OciReply> {
    const { repo, digest } = request;
    return referrersReply(request, (of) => this.#index.referrers(repo, digest, of, context.call));
  }
}
