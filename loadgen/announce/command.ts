/**
 * `npm run loadgen -- announce`: real trackers, one a step with so many leases as it says, batched announces of simulated
 * hosts on each. A third of the batches begins a pull (`want`, with neighbours asked for), a third ends one (`have`), a
 * third gives one up (`gone`). With `--rounds` all steps are measured in turns.
 *
 * Announces a second and core are swarm announces over the CPU seconds of the tracker's process: what one core
 * does, however busy the machine is with making the load.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { undoneAtExit } from '../../harness/at-exit.ts';
import { rounded } from '../../harness/numbers.ts';
import { attacked } from './bogus.ts';
import { Measured, type Step } from './measured.ts';
import type { AnnounceOptions } from './options.ts';
import { knowingOrigin } from './origin.ts';

export async function runAnnounceCommand(options: AnnounceOptions): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const dir = mkdtempSync(join(tmpdir(), 'shoal-announce-'));
  undoneAtExit(stack, () => rmSync(dir, { recursive: true, force: true }));
  const origin = await knowingOrigin(stack);
  const measured: Measured[] = [];
  for (const leases of options.leases) measured.push(await Measured.begin(stack, { dir, origin, leases, options }));
  for (let round = 0; round < options.rounds; round++) for (const one of measured) await one.round(options.durationMs);
  const steps = measured.map((one) => one.step());
  const { pool, tracker, pulls } = measured.at(-1) as Measured;
  const attack = options.bogus === 0 ? undefined : await attacked({ pool, tracker, pulls, options });
  if (options.json) process.stdout.write(`${JSON.stringify({ ...summary(options, steps), attack })}\n`);
}

function summary(options: AnnounceOptions, steps: readonly Step[]): Record<string, unknown> {
  const costs = steps.map((step) => step.cpuUsPerAnnounce);
  return {
    announcesPerSPerCore: Math.min(...steps.map((step) => step.announcesPerSPerCore)),
    p99Ms: Math.max(...steps.map((step) => step.p99Ms)),
    /** The dearest step over the cheapest: 1 is flat. */
    costRatio: rounded(Math.max(...costs) / Math.min(...costs)),
    layers: options.layers,
    seek: options.seek,
    connections: options.connections,
    steps,
  };
}
