/**
 * One process that opens a store, tells what that took, and closes it: `started.ts DIR`. The last line on standard error is JSON.
 *
 * Memory is what the process has more than before, once all that can be collected is: heap, and what is external to it,
 * arrays included.
 */

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { agentPromises } from '../../platform/store/options.ts';
import { BlobStore } from '../../platform/store/store.ts';
import { Workers } from '../../platform/workers/workers.ts';

const arenaBytes = 64 * 1024 * 1024;

async function usedBytes(): Promise<number> {
  setFlagsFromString('--expose_gc');
  const gc = runInNewContext('gc') as () => void;
  for (let i = 0; i < 4; i++) {
    gc();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

const [dir = ''] = process.argv.slice(2);
await using workers = await Workers.start({ count: 1, arenaBytes });
const before = await usedBytes();
const startedMs = performance.now();
const store = await BlobStore.open({ dir, ...agentPromises, workers, budgetBytes: Number.MAX_SAFE_INTEGER });
const openS = (performance.now() - startedMs) / 1000;
const bytes = (await usedBytes()) - before;
const walkedMs = performance.now();
let walked = 0;
for (const { complete } of store.blobs()) if (complete) walked++;
const walkS = (performance.now() - walkedMs) / 1000;
const closingMs = performance.now();
await store[Symbol.asyncDispose]();
const closeS = (performance.now() - closingMs) / 1000;
process.stderr.write(`${JSON.stringify({ openS, bytes, walkS, closeS, blobs: walked })}\n`);
