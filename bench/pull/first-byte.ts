/** How long the first byte of a cold blob takes through the agent's registry: nothing of it is in the agent's cache. */

import { uploadRandom } from '../../harness/blob.ts';
import { blobUrl, forget } from '../../harness/cluster.ts';
import { onWarmMemory } from '../../harness/memory.ts';
import { percentile, rounded } from '../../harness/numbers.ts';
import { readBody } from '../../harness/read.ts';
import type { Figures } from '../../harness/report.ts';
import type { PullSetup } from './setup.ts';

/** What arrives until the client has left and the cache is emptied. */
const touchedBytes = 64 * 2 ** 20;

export async function firstByteMeasures(setup: PullSetup): Promise<Figures> {
  await using stack = new AsyncDisposableStack();
  const { sizes } = setup;
  const dir = setup.directory(stack, sizes.read * 2.1);
  const cluster = stack.use(await setup.cluster(dir, 'info'));
  const agent = await cluster.agent();
  const blob = await uploadRandom(cluster.originUrl, sizes.read);
  const ms: number[] = [];
  for (let i = 0; i < sizes.firstBytes; i++) {
    const reads = async (): Promise<number> => {
      const startedMs = performance.now();
      await readBody(blobUrl(agent, blob.digest), 'first');
      return performance.now() - startedMs;
    };
    ms.push(await onWarmMemory(dir, touchedBytes, reads));
    await forget(agent, blob.digest);
  }
  return {
    firstByteP50Ms: rounded(percentile(ms, 0.5)),
    firstByteP99Ms: rounded(percentile(ms, 0.99)),
    firstByteSamples: ms.length,
  };
}
