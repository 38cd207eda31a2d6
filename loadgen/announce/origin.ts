/** An origin that knows every blob, for trackers that ask: metainfo at once, no bytes. */

import { createServer } from 'node:http';
import type { BlobInfo } from '../../core/contracts/origin.ts';
import type { Digest } from '../../core/digest.ts';
import { blobMeta } from './hosts.ts';

/** Listens until the stack ends; its base URL. */
export async function knowingOrigin(stack: AsyncDisposableStack): Promise<string> {
  const server = createServer((request, response) => {
    const digest = decodeURIComponent(request.url?.split('/')[3] ?? '') as Digest;
    const peer = { node: 'f'.repeat(32), host: '127.0.0.1', port: 15_001, role: 'origin', zone: '' } as const;
    const info: BlobInfo = { digest, meta: blobMeta, peer };
    response.setHeader('content-type', 'application/json').end(JSON.stringify(info));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  stack.defer(() => {
    server.closeAllConnections();
    return new Promise<void>((resolve) => server.close(() => resolve()));
  });
  return `http://127.0.0.1:${(server.address() as { port: number }).port}`;
}
