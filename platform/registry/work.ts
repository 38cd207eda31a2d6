/** What a request to a registry is to a process that is being stopped. */

import type { Work } from '../http/drainable.ts';

/** `/v2/NAME/blobs/uploads/` begins an upload, with a session behind it goes on with one. */
const uploadPattern = /^\/v2\/.+\/blobs\/uploads\/?([^/]*)$/;
const blobPattern = /^\/v2\/.+\/blobs\/[^/]+$/;

export function registryWork(method: string, path: string): Work | undefined {
  const upload = uploadPattern.exec(path);
  if (upload !== null) return { kind: 'uploads', continues: upload[1] !== '' };
  return method === 'GET' && blobPattern.test(path) ? { kind: 'downloads', continues: false } : undefined;
}
