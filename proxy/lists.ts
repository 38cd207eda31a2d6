/** Pages of tags and of repositories, with a Link to the next page (RFC 8288). */

import type { OciRequest, PageRequest } from '../core/oci/request.ts';
import type { Headers, OciContext, OciReply } from '../platform/registry/reply.ts';
import { callOf } from './call.ts';
import type { IndexApi } from './index-api.ts';

type Request<K extends OciRequest['kind']> = Extract<OciRequest, { kind: K }>;

export class Lists {
  readonly #index: IndexApi;

  constructor(parts: { readonly index: IndexApi }) {
    this.#index = parts.index;
  }

  async tags({ repo, page }: Request<'tags'>, context: OciContext): Promise<OciReply> {
    const { tags, more } = await this.#index.tags(repo, pageOf(page), callOf(context));
    return {
      kind: 'json',
      value: { name: repo, tags },
      headers: next(`/v2/${repo}/tags/list`, page, { names: tags, more }),
    };
  }

  async catalog({ page }: Request<'catalog'>, context: OciContext): Promise<OciReply> {
    const { repositories, more } = await this.#index.catalog(pageOf(page), callOf(context));
    return {
      kind: 'json',
      value: { repositories },
      headers: next('/v2/_catalog', page, { names: repositories, more }),
    };
  }
}

function pageOf({ limit, last }: PageRequest): { n: number; last: string | undefined } {
  return { n: limit, last };
}

function next(path: string, { limit }: PageRequest, page: { names: readonly string[]; more: boolean }): Headers {
  const last = page.names.at(-1);
  if (!page.more || last === undefined) return {};
  return { link: `<${path}?n=${limit}&last=${encodeURIComponent(last)}>; rel="next"` };
}
