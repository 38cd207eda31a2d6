/**
 * `node janitor.ts PID LABEL DIR`: waits for the end of a run, however that comes, and sweeps up after it. It is in a
 * session of its own, so that what interrupts the run, or kills it, does not reach it. A run that sweeps itself is done
 * when its directory has gone.
 */
import { existsSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { sweep } from './sweep.ts';

const lookEveryMs = 500;
const [pid = '', label = '', dir = ''] = process.argv.slice(2);
if (!/^\d+$/.test(pid) || label === '' || dir === '') throw new Error('usage: janitor.ts PID LABEL DIR');

/** When that process began, in ticks: another one that gets its pid began later. */
function begunAt(): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}

const begun = begunAt();
while (existsSync(dir) && begun !== undefined && begunAt() === begun) await sleep(lookEveryMs);
await sweep(label, dir);
