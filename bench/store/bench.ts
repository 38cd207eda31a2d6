/**
 * The disk store by itself: put, read and evict small blobs, and start on many, with the memory that each takes.
 *
 * Rule: a start is that of a process of its own, on files that were looked at a moment ago (warm): once where the process
 *   before ended by itself, once where it did not, so that every file is looked at.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { undoneAtExit } from '../../harness/at-exit.ts';
import { rounded } from '../../harness/numbers.ts';
import { run } from '../../harness/programs.ts';
import type { Figures } from '../../harness/report.ts';
import { makeDirectory } from './directory.ts';
import type { StoreSizes } from './sizes.ts';
import { smallMeasures } from './small.ts';

type Started = {
  readonly openS: number;
  readonly bytes: number;
  readonly walkS: number;
  readonly closeS: number;
  readonly blobs: number;
};

export async function benchStore(sizes: StoreSizes): Promise<Figures> {
  await using stack = new AsyncDisposableStack();
  const dir = mkdtempSync(join(tmpdir(), 'shoal-bench-'));
  undoneAtExit(stack, () => rmSync(dir, { recursive: true, force: true, maxRetries: 3 }));
  const small = await smallMeasures(join(dir, 'small'), sizes);
  const many = join(dir, 'many');
  makeDirectory(many, sizes.blobs);
  const scanned = await started(many, sizes);
  const warm = await started(many, sizes);
  return {
    ...small,
    storeBlobs: warm.blobs,
    storeStartS: rounded(warm.openS),
    storeStartScanS: rounded(scanned.openS),
    storeBytesPerBlob: rounded(warm.bytes / sizes.blobs),
    storeWalkS: rounded(warm.walkS),
    storeCloseS: rounded(warm.closeS),
  };
}

async function started(dir: string, { blobs }: StoreSizes): Promise<Started> {
  const said = await run(process.execPath, [fileURLToPath(new URL('started.ts', import.meta.url)), dir]);
  const told = JSON.parse(said.trim().split('\n').at(-1) ?? '') as Started;
  if (told.blobs !== blobs) throw new Error(`the store has ${told.blobs} of ${blobs} blobs`);
  return told;
}
