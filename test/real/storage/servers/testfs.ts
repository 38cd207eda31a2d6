/** Kraken's example file server, as far as its protocol goes: in this process, on a directory. */
import { TestfsServer } from '../../../../platform/backends/testfs/server.fixtures.ts';
import type { StorageServer } from './server.ts';

export async function startTestfs(dir: string): Promise<StorageServer> {
  const server = await TestfsServer.start(dir);
  return {
    rule: { name: 'main', testfs: { address: server.address } },
    env: {},
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}
