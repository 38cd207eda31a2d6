/** `npm run loadgen -- lin`: what callers of real index processes were told under faults, judged by the checker. */

import type { LinOptions } from './options.ts';
import { runLin } from './run.ts';

export async function runLinCommand(options: LinOptions): Promise<void> {
  const { violations, ...result } = await runLin(options);
  for (const { tag, near } of violations)
    process.stdout.write(`${tag} is not linearizable:\n${near.map((line) => `  ${line}\n`).join('')}`);
  const faults = Object.entries(result.faults).map(([kind, count]) => `${count} ${kind}`);
  process.stdout.write(
    `${options.store.name}, ${options.indexes} index processes: ${result.operations} operations (${result.unknown} writes of unknown outcome), faults: ${faults.join(', ') || 'none'}: ${violations.length} violations, ${result.undecided} undecided\n`,
  );
  const { store, ...asked } = options;
  const told = {
    store: store.name,
    indexes: asked.indexes,
    seed: asked.seed,
    ...result,
    violations: violations.length,
  };
  if (options.json) process.stdout.write(`${JSON.stringify(told)}\n`);
  if (violations.length > 0 || result.undecided > 0) process.exitCode = 1;
}
