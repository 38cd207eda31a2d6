/** The registry interface's paths, as a client asks for them and as answers name them. request.ts reads them. */

import type { Digest } from '../digest.ts';

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
