/**
 * What is true of a process that was attacked: it lives and answers, its memory is bounded, nothing came of the attack that may
 * not, and everybody else was answered.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { request } from 'undici';
import { PROBES } from '../../core/contracts/probes.ts';
import { rounded } from '../../harness/numbers.ts';
import { residentMiB } from '../../harness/proc.ts';
import { addUp, type HeardCounts } from './heard.ts';
import type { HonestCounts } from './honest.ts';
import type { AttackName } from './options.ts';
import type { Site } from './site.ts';
import type { Target } from './target.ts';

/** Beyond what it had before: 16,384 connections and their requests, 256 bodies of 8 MiB would be 2 GiB more. */
const moreMiBMax = 512;
/** From when it is over to an answer. */
const answersWithinMs = 30_000;
const tryEveryMs = 250;
const lookEveryMs = 50;

export type AttackFigures = {
  readonly name: AttackName;
  readonly port: string;
  readonly lives: boolean;
  readonly heard: HeardCounts;
  readonly others: HonestCounts;
  /** Of the others' requests a second, during the attack to without it. */
  readonly ratio: number;
  readonly rss: { readonly beforeMiB: number; readonly peakMiB: number; readonly afterMiB: number };
};

type Judging = { readonly site: Site; readonly on: Target; readonly name: AttackName; readonly alone: HonestCounts };
type Done = { readonly heard: HeardCounts; readonly others: HonestCounts };

export async function judged({ site, on, name, alone }: Judging, attack: () => Promise<Done>): Promise<AttackFigures> {
  const { pid } = site.processes[on.role];
  const beforeMiB = memoryOf(pid);
  let peakMiB = beforeMiB;
  const looking = setInterval(() => {
    peakMiB = Math.max(peakMiB, memoryOf(pid));
  }, lookEveryMs);
  const { heard, others } = await attack().finally(() => clearInterval(looking));
  const lives = await answersAgain(site, on);
  const rss = { beforeMiB, peakMiB, afterMiB: memoryOf(pid) };
  return { name, port: on.name, lives, heard: addUp([heard]), others, ratio: rounded(others.perS / alone.perS), rss };
}

/** MiB; of one that is gone 0: that it does not answer is told. */
function memoryOf(pid: number): number {
  try {
    return Math.round(residentMiB(pid));
  } catch {
    return 0;
  }
}

/** Where it tells that of itself: not at the port for peers. */
async function answersAgain({ targets }: Site, on: Target): Promise<boolean> {
  const asked = on.kind === 'http' ? on : targets.find(({ role, kind }) => role === on.role && kind === 'http');
  const untilMs = performance.now() + answersWithinMs;
  while (performance.now() < untilMs) {
    try {
      const { statusCode, body } = await request(`http://127.0.0.1:${asked?.port}${PROBES.health.pattern}`, {
        signal: AbortSignal.timeout(answersWithinMs),
      });
      await body.dump();
      if (statusCode === 200) return true;
    } catch {
      // It is busy, or gone: the next try tells.
    }
    await sleep(tryEveryMs);
  }
  return false;
}

/** In words, each. Rates are told and not judged. */
export function problemsOf({ name, port, lives, heard, others, rss }: AttackFigures): string[] {
  const on = `${name} on ${port}`;
  return [
    ...(lives ? [] : [`${on}: the process does not answer any more`]),
    ...heard.wrong.map((wrong) => `${on}: ${wrong}`),
    ...(others.failed === 0
      ? []
      : [`${on}: ${others.failed} of ${others.asked} requests of others failed: ${others.failures.join('; ')}`]),
    ...(rss.peakMiB - rss.beforeMiB <= moreMiBMax
      ? []
      : [`${on}: ${rss.peakMiB - rss.beforeMiB} MiB more than before (at most ${moreMiBMax})`]),
  ];
}
