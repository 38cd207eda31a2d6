/** Cold small blobs through one agent: how many a second sixteen readers get. */

import { Pool } from 'undici';
import type { Digest } from '../../core/digest.ts';
import { OCI_PATHS } from '../../core/oci/paths.ts';
import { uploadRandom } from '../../harness/blob.ts';
import { together } from '../../harness/lanes.ts';
import { rounded } from '../../harness/numbers.ts';
import { cpuSeconds } from '../../harness/proc.ts';
import type { Figures } from '../../harness/report.ts';
import type { PullSetup } from './setup.ts';

const blobBytes = 4096;
const readers = 16;
const uploaders = 16;

export async function smallMeasures(setup: PullSetup): Promise<Figures> {
  await using stack = new AsyncDisposableStack();
  const count = setup.sizes.smallBlobs;
  const dir = setup.directory(stack, count * 64 * 1024);
  const cluster = stack.use(await setup.cluster(dir, 'warn'));
  const agent = await cluster.agent(setup.agentFlags);
  const digests: Digest[] = [];
  await together(uploaders, count, async () => {
    digests.push((await uploadRandom(cluster.originUrl, blobBytes)).digest);
  });
  const pool = new Pool(agent.registry, { connections: readers, pipelining: 1 });
  stack.defer(() => pool.close());
  const cpuBefore = cpuSeconds(agent.process.pid);
  const startedMs = performance.now();
  await together(readers, count, async (i) => {
    const reply = await pool.request({ method: 'GET', path: OCI_PATHS.blob('bench', digests[i] as Digest) });
    const body = await reply.body.arrayBuffer();
    if (reply.statusCode !== 200 || body.byteLength !== blobBytes)
      throw new Error(`blob ${digests[i]}: status ${reply.statusCode}, ${body.byteLength} bytes`);
  });
  const seconds = (performance.now() - startedMs) / 1000;
  return {
    smallBlobsPerS: rounded(count / seconds),
    smallBlobAgentCpuMs: rounded(((cpuSeconds(agent.process.pid) - cpuBefore) * 1000) / count),
  };
}
