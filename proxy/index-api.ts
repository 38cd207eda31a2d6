/** What the proxy asks of the index; the tests answer it from memory. */

import type { IndexClient } from '../platform/clients/index-client.ts';

export type IndexApi = Pick<
  IndexClient,
  | 'tag'
  | 'tags'
  | 'deleteTag'
  | 'manifest'
  | 'putManifest'
  | 'deleteManifest'
  | 'referrers'
  | 'blob'
  | 'linkBlob'
  | 'unlinkBlob'
  | 'mount'
  | 'catalog'
>;
