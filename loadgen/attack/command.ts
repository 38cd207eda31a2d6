/** `npm run loadgen -- attack`: each attack on each port of a cluster that others use, and what is true of it afterwards. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { undoneAtExit } from '../../harness/at-exit.ts';
import { rounded } from '../../harness/numbers.ts';
import { loadAverage } from '../../harness/proc.ts';
import { Attackers } from './attackers.ts';
import { Honest } from './honest.ts';
import { type AttackFigures, judged, problemsOf } from './judge.ts';
import { hits } from './kinds/all.ts';
import { ATTACKS, type AttackName, type AttackOptions } from './options.ts';
import { startSite } from './site.ts';
import type { Target } from './target.ts';

export async function runAttackCommand(options: AttackOptions): Promise<void> {
  const figures = await attackSite(options, (one) => process.stdout.write(`${told(one)}\n`));
  const problems = figures.flatMap(problemsOf);
  for (const problem of problems) process.stdout.write(`wrong: ${problem}\n`);
  const ratio = rounded(Math.min(...figures.map(({ ratio: of }) => of)));
  process.stdout.write(
    `${figures.length} attacks, ${problems.length} problems; others' rate at least ${ratio} of that without (goal 0.8)\n`,
  );
  if (options.json)
    process.stdout.write(
      `${JSON.stringify({ attackRatioMin: ratio, problems: problems.length, loadAfter: loadAverage(), attacks: figures })}\n`,
    );
  if (problems.length > 0) process.exitCode = 1;
}

/** Exported for tests, which look at each. */
export async function attackSite(
  { only, durationMs, connections, short }: AttackOptions,
  tell: (figures: AttackFigures) => void,
): Promise<AttackFigures[]> {
  await using stack = new AsyncDisposableStack();
  const dir = mkdtempSync(join(tmpdir(), 'shoal-attack-'));
  undoneAtExit(stack, () => rmSync(dir, { recursive: true, force: true, maxRetries: 3 }));
  const site = await startSite(stack, dir);
  const honest = new Honest(site);
  stack.defer(() => honest.close());
  const attackers = stack.use(new Attackers(connections));
  // The first round makes what every later one finds: connections, code that is compiled.
  await honest.during(sleep(durationMs));
  const found: AttackFigures[] = [];
  const names = ATTACKS.filter((name) => only.length === 0 || only.includes(name));
  for (const [turn, on] of site.targets.entries()) {
    const mine = names.filter((name, i) => hits(name, on) && (!short || inTurn(site.targets, name, i) === turn));
    const alone = await honest.during(sleep(mine.length === 0 ? 0 : durationMs));
    for (const name of mine) {
      const one = await judged({ site, on, name, alone }, async () => {
        const attack = attackers.attack({ name, on, durationMs });
        const others = await honest.during(attack);
        return { heard: await attack, others };
      });
      tell(one);
      found.push(one);
    }
  }
  return found;
}

/** Which of the targets the `i`th attack has where each has one. */
function inTurn(targets: readonly Target[], name: AttackName, i: number): number {
  const fit = targets.flatMap((on, at) => (hits(name, on) ? [at] : []));
  return fit[i % fit.length] ?? -1;
}

function told({ name, port, heard, others, ratio, rss }: AttackFigures): string {
  const answers = Object.entries(heard.answers).map(([status, times]) => `${times} x ${status}`);
  const sizes = `${rss.beforeMiB} MiB, at most ${rss.peakMiB}, then ${rss.afterMiB}`;
  return [
    `${name} on ${port}: ${heard.opened} connections, ${heard.ended} ended there, ${heard.refused} not made; ${answers.join(', ') || 'no answer'}`,
    `  others: ${others.asked} requests, ${others.failed} failed, ${others.perS}/s (${ratio} of without), the slowest ${others.worstMs} ms; ${sizes}`,
  ].join('\n');
}
