/** The registry interface's paths, as a client asks for them and as answers name them. request.ts reads them. */

import type { Digest } from '../digest.ts';
import type { PageRequest } from './request.ts';

const repository = (repo: string): string => `/v2/${repo}`;

export const OCI_PATHS = {
  /** Answers whether this is a registry. */
  base: '/v2/',
  catalog: '/v2/_catalog',
  tags: (repo: string): string => `${repository(repo)}/tags/list`,
  /** `reference`: a tag or a digest. */
  manifest: (repo: string, reference: string): string => `${repository(repo)}/manifests/${reference}`,
  blob: (repo: string, digest: Digest): string => `${repository(repo)}/blobs/${digest}`,
  referrers: (repo: string, digest: Digest): string => `${repository(repo)}/referrers/${digest}`,
  /** POST begins one. */
  uploads: (repo: string): string => `${repository(repo)}/blobs/uploads/`,
  upload: (repo: string, session: string): string => `${repository(repo)}/blobs/uploads/${session}`,
  /** POST has the repository hold a blob that repository `from` holds; where that cannot be, an upload is begun. */
  mount: (repo: string, digest: Digest, from: string): string =>
    `${repository(repo)}/blobs/uploads/?mount=${digest}&from=${encodeURIComponent(from)}`,
  /** PUT ends the upload at `location`, as the registry named it; POST to `uploads` is one whole. */
  commit: (location: string, digest: Digest): string =>
    `${location}${location.includes('?') ? '&' : '?'}digest=${digest}`,
  /** A page of `catalog` or `tags`. */
  page: (list: string, { limit, last }: PageRequest): string =>
    `${list}?n=${limit}${last === undefined ? '' : `&last=${encodeURIComponent(last)}`}`,
  /** Where a proxy gives tokens: below the registry's own path, so that whatever passes that on passes this on. No repository is called so. */
  token: '/v2/token',
  /** Of Azure's registries alone: POST gives a refresh token for one of the directory. */
  azureExchange: '/oauth2/exchange',
} as const;

const uploadPattern = /^\/v2\/.+\/blobs\/uploads\/?([^/]*)$/;
const blobPattern = /^\/v2\/.+\/blobs\/[^/]+$/;

/** The session of an upload that `path` goes on with; '': it begins one. Undefined: it is of no upload. */
export function sessionOf(path: string): string | undefined {
  return uploadPattern.exec(path)?.[1];
}

export function isBlobPath(path: string): boolean {
  return blobPattern.test(path);
}
