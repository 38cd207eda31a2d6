/**
 * Takes away all that a run made on this machine, found by its label and its directory: processes by their pids,
 * namespaces, mounts, what libfaketime leaves. It may be called at any moment, by anybody, again.
 */
import { appendFileSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { run } from '../../processes.ts';

/** Where iproute2 keeps them. */
const namespacesAt = '/run/netns';
const goneMsMax = 5_000;
const lookEveryMs = 50;

export async function sweep(label: string, dir: string): Promise<void> {
  const namespaces = existsSync(namespacesAt)
    ? readdirSync(namespacesAt).filter((name) => name.startsWith(`${label}-`))
    : [];
  for (const name of namespaces) await endAllIn(name);
  for (const name of namespaces) await run('ip', ['netns', 'del', name]).catch(() => undefined);
  for (const at of mountsUnder(dir)) await unmount(at);
  const clocked = await readFile(clockedIn(dir), 'utf8').catch(() => '');
  for (const pid of clocked.split('\n')) if (pid !== '') await dropClock(pid);
  await rm(dir, { recursive: true, force: true, maxRetries: 3 });
}

/** A loop device lets go of its image a moment after it was unmounted. */
async function unmount(at: string): Promise<void> {
  for (const untilMs = performance.now() + goneMsMax; performance.now() < untilMs; await sleep(lookEveryMs)) {
    const gone = await run('umount', [at]).then(
      () => true,
      () => false,
    );
    if (gone) return;
  }
  await run('umount', ['--lazy', at]);
}

/** Every process of the namespace but this one. */
async function endAllIn(name: string): Promise<void> {
  for (const untilMs = performance.now() + goneMsMax; performance.now() < untilMs; await sleep(lookEveryMs)) {
    const pids = (await run('ip', ['netns', 'pids', name])).split('\n').filter((pid) => /^\d+$/.test(pid));
    const others = pids.map(Number).filter((pid) => pid !== process.pid);
    if (others.length === 0) return;
    for (const pid of others) end(pid);
  }
}

function end(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}

const clockedIn = (dir: string): string => join(dir, 'clocked');

/** The process has libfaketime, which keeps something of it in shared memory, and leaves it there after kill -9. */
export function noteClocked(dir: string, pid: number): void {
  appendFileSync(clockedIn(dir), `${pid}\n`);
}

async function dropClock(pid: string): Promise<void> {
  for (const name of [`faketime_shm_${pid}`, `sem.faketime_sem_${pid}`]) await rm(`/dev/shm/${name}`, { force: true });
}

/** The deepest first. */
function mountsUnder(dir: string): string[] {
  const all = readFileSync('/proc/self/mounts', 'utf8').split('\n');
  const at = all.map((line) => line.split(' ')[1] ?? '').filter((path) => path.startsWith(`${dir}/`));
  return at.toReversed();
}
