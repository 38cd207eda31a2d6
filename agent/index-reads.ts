/** What the agent asks of the index; the tests answer it from memory. */

import type { IndexClient } from '../platform/clients/index-client.ts';

export type IndexReads = Pick<IndexClient, 'tag' | 'tags' | 'manifest' | 'referrers' | 'blob' | 'catalog'>;
