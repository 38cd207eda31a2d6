/** `npm run loadgen -- tags`: index processes, one an engine, measured in turns; what each did, and the JSON of it. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { undoneAtExit } from '../../harness/at-exit.ts';
import { loadAverage } from '../../harness/proc.ts';
import { enginesHere } from './engines.ts';
import { type EngineFigures, Measured } from './measured.ts';
import type { TagsOptions } from './options.ts';

export async function runTagsCommand(options: TagsOptions): Promise<void> {
  const loadBefore = loadAverage();
  const engines = await measureTags(options);
  for (const one of engines) process.stdout.write(`${told(one)}\n`);
  const { store: _, json, ...asked } = options;
  const readsPerSPerCore = Math.min(...engines.map(({ reads }) => reads.perSPerCore));
  if (json) process.stdout.write(`${JSON.stringify({ readsPerSPerCore, ...asked, loadBefore, engines })}\n`);
}

/** Exported for tests, which look at what was counted. */
export async function measureTags(options: TagsOptions): Promise<EngineFigures[]> {
  await using stack = new AsyncDisposableStack();
  const dir = mkdtempSync(join(tmpdir(), 'shoal-tags-'));
  undoneAtExit(stack, () => rmSync(dir, { recursive: true, force: true, maxRetries: 3 }));
  const engines = options.store.length > 0 ? options.store : await enginesHere(stack, dir);
  const measured: Measured[] = [];
  for (const engine of engines) measured.push(await Measured.begin(stack, engine, { dir, options }));
  for (let round = 0; round < options.rounds; round++) for (const one of measured) await one.round();
  return measured.map((one) => one.figures());
}

function told({ engine, reads, writes, both, herd, rssMiB }: EngineFigures): string {
  return [
    `${engine}: ${reads.perSPerCore} reads/s a core (${reads.perS}/s in all, p50 ${reads.p50Ms} ms, p99 ${reads.p99Ms} ms; ${reads.ofEngine} of them reached the engine)`,
    `  ${writes.perS} writes/s (${writes.perSPerCore} a core, p50 ${writes.p50Ms} ms, p99 ${writes.p99Ms} ms)`,
    `  both at once: ${both.reads.perS} reads/s, p99 ${both.reads.p99Ms} ms; ${both.writes.perS} writes/s, p99 ${both.writes.p99Ms} ms`,
    `  ${herd.asked} readers of one tag within a second: ${herd.ofEngine} reads of the engine, p99 ${herd.p99Ms} ms; ${rssMiB} MiB`,
  ].join('\n');
}
