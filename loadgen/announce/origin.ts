/** An origin that knows every blob that is none of the bogus ones, for trackers that ask: metainfo at once, no bytes. */

import { createServer } from 'node:http';
import { json } from 'node:stream/consumers';
import { type BlobInfo, ORIGIN } from '../../core/contracts/origin.ts';
import type { Digest } from '../../core/digest.ts';
import { blobMeta, bogusPrefix } from './hosts.ts';

/** Listens until the stack ends; its base URL. */
export async function knowingOrigin(stack: AsyncDisposableStack): Promise<string> {
  const peer = { node: 'f'.repeat(32), host: '127.0.0.1', port: 15_001, role: 'origin', zone: '' } as const;
  const infoOf = (digest: Digest): BlobInfo | null =>
    digest.startsWith(bogusPrefix) ? null : { digest, meta: blobMeta, peer };
  const server = createServer(async (request, response) => {
    const path = new URL(request.url ?? '', 'http://origin').pathname;
    const told = ORIGIN.infos.matches(request.method ?? '', path)
      ? { infos: ORIGIN.infos.body(await json(request)).digests.map(infoOf) }
      : infoOf(decodeURIComponent(path.split('/')[3] ?? '') as Digest);
    response.setHeader('content-type', 'application/json');
    if (told === null) response.writeHead(404).end('{"errors":[{"code":"BLOB_UNKNOWN","message":"not here"}]}');
    else response.end(JSON.stringify(told));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  stack.defer(() => {
    server.closeAllConnections();
    return new Promise<void>((resolve) => server.close(() => resolve()));
  });
  return `http://127.0.0.1:${(server.address() as { port: number }).port}`;
}
