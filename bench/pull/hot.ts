/** Small blobs that an agent's cache has, read again and again: with `storage.memory` and without it, in turns. */

import { Pool } from 'undici';
import type { Digest } from '../../core/digest.ts';
import { OCI_PATHS } from '../../core/oci/paths.ts';
import { uploadRandom } from '../../harness/blob.ts';
import type { AgentProcess } from '../../harness/cluster.ts';
import { together } from '../../harness/lanes.ts';
import { rounded } from '../../harness/numbers.ts';
import { cpuSeconds } from '../../harness/proc.ts';
import type { Figures } from '../../harness/report.ts';
import { contest } from './contest.ts';
import type { PullSetup } from './setup.ts';

const blobs = 32;
const readers = 16;
const sizes = { '4K': { bytes: 4 * 1024, reads: 4_000 }, '256K': { bytes: 256 * 1024, reads: 1_000 } } as const;

export async function hotMeasures(setup: PullSetup): Promise<Figures> {
  await using stack = new AsyncDisposableStack();
  const dir = setup.directory(stack, 256 * 1024 * 1024);
  const cluster = stack.use(await setup.cluster(dir, 'warn'));
  const agents = { disk: await cluster.agent(), memory: await cluster.agent([], { storage: { memory: '64MiB' } }) };
  const pools = { disk: poolOf(agents.disk, stack), memory: poolOf(agents.memory, stack) };
  let figures: Figures = {};
  for (const [name, { bytes, reads }] of Object.entries(sizes)) {
    const digests: Digest[] = [];
    await together(readers, blobs, async () => {
      digests.push((await uploadRandom(cluster.originUrl, bytes)).digest);
    });
    const read = async (who: keyof typeof agents) => {
      const cpuBefore = cpuSeconds(agents[who].process.pid);
      const startedMs = performance.now();
      await together(readers, reads, (i) => readOne(pools[who], digests[i % blobs] as Digest, bytes));
      const seconds = (performance.now() - startedMs) / 1000;
      return { seconds, cpuS: { agent: cpuSeconds(agents[who].process.pid) - cpuBefore } };
    };
    const contestants = (['disk', 'memory'] as const).map((who) => ({ name: who, touches: 0, run: () => read(who) }));
    await contest(dir, contestants, 1);
    const results = await contest(dir, contestants, setup.sizes.rounds);
    figures = {
      ...figures,
      [`hot${name}Ratio`]: rounded(results.speedRatio('memory', 'disk')),
      [`hot${name}PerS`]: rounded(reads / results.seconds('memory')),
      [`hot${name}CpuUs`]: rounded((results.cpuS('memory', 'agent') * 1e6) / reads),
      [`hot${name}DiskCpuUs`]: rounded((results.cpuS('disk', 'agent') * 1e6) / reads),
    };
  }
  return figures;
}

function poolOf({ registry }: AgentProcess, stack: AsyncDisposableStack): Pool {
  const pool = new Pool(registry, { connections: readers, pipelining: 1 });
  stack.defer(() => pool.close());
  return pool;
}

async function readOne(pool: Pool, digest: Digest, bytes: number): Promise<void> {
  const reply = await pool.request({ method: 'GET', path: OCI_PATHS.blob('bench', digest) });
  const body = await reply.body.arrayBuffer();
  if (reply.statusCode !== 200 || body.byteLength !== bytes)
    throw new Error(`blob ${digest}: status ${reply.statusCode}, ${body.byteLength} bytes`);
}
