/** A page of a list, with a Link to the next one (RFC 8288): no list ends silently at a limit. */

import type { ReferrerList } from '../../core/contracts/index-api.ts';
import { referrersPageMax } from '../../core/oci/limits.ts';
import { MEDIA } from '../../core/oci/media.ts';
import { OCI_PATHS } from '../../core/oci/paths.ts';
import type { OciRequest, PageRequest } from '../../core/oci/request.ts';
import type { Headers } from '../http/content.ts';
import type { ReferrersOf } from '../tags/store.ts';
import type { OciReply } from './reply.ts';

export type Listed = {
  /** Of the list, without a query. */
  readonly path: string;
  readonly page: PageRequest;
  /** Whether there is something after `last`, the last entry of this page. */
  readonly more: boolean;
  readonly last: string | undefined;
  /** Goes with every page. */
  readonly filter?: Readonly<Record<string, string | undefined>> | undefined;
  readonly headers?: Headers | undefined;
};

/** Each page is an index of its own, and has the filter that was asked for applied. */
export async function referrersReply(
  request: Extract<OciRequest, { kind: 'referrers' }>,
  ask: (of: ReferrersOf) => Promise<ReferrerList>,
): Promise<OciReply> {
  const { repo, digest, artifactType } = request;
  const page = { ...request.page, limit: Math.min(request.page.limit, referrersPageMax) };
  const { manifests, more = false } = await ask({ n: page.limit, last: page.last, artifactType });
  const filtered = artifactType === undefined ? {} : { 'oci-filters-applied': 'artifactType' };
  return pageReply(
    { schemaVersion: 2, mediaType: MEDIA.ociIndex, manifests },
    {
      path: OCI_PATHS.referrers(repo, digest),
      page,
      more,
      last: manifests.at(-1)?.digest,
      filter: { artifactType },
      headers: { 'content-type': MEDIA.ociIndex, ...filtered },
    },
  );
}

/** A page that was asked to be empty (`n=0`) has no Link: the specification says so of tags. */
export function pageReply(value: unknown, { path, page, more, last, filter = {}, headers = {} }: Listed): OciReply {
  if (!more || last === undefined) return { kind: 'json', value, headers };
  const query = Object.entries({ ...filter, n: String(page.limit), last }).flatMap(([name, text]) =>
    text === undefined ? [] : [`${name}=${encodeURIComponent(text)}`],
  );
  return { kind: 'json', value, headers: { ...headers, link: `<${path}?${query.join('&')}>; rel="next"` } };
}
