/**
 * Memory for a benchmark: files live in a tmpfs, and as much memory as a run will need is touched before it and
 * freed as the run takes it.
 *
 * Why: on a virtual machine pages that a process frees go back to the host within about 2 s, and the first touch of
 * a new one costs up to 2.5 s per GiB: a run would measure the host. A ballast of touched memory shrinks, a few
 * milliseconds ahead, by what the files of the run grow, so that every page that it takes was freed just before.
 * Rule: every system that is compared gets the same treatment.
 */

import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { undoneAtExit } from './at-exit.ts';
import { BenchError } from './error.ts';

export const tmpfs = '/dev/shm';
const zeros = new Uint8Array(4 * 1024 * 1024);
/** Left for processes and their sockets. */
const spareBytes = 512 * 1024 * 1024;
/** Freed ahead of what the run takes: what 2 GB/s take in 30 ms. */
const aheadBytes = 64 * 1024 * 1024;
const shrinkEveryMs = 3;

/** A directory in memory that goes with the stack. Throws BenchError where `bytes` do not fit. */
export function memoryDirectory(stack: AsyncDisposableStack, bytes: number): string {
  return roomyDirectory(stack, tmpfs, bytes);
}

/** The same in a directory that is there, of any file system. */
export function roomyDirectory(stack: AsyncDisposableStack, parent: string, bytes: number): string {
  requireRoom(parent, bytes);
  const dir = mkdtempSync(join(parent, 'shoal-bench-'));
  undoneAtExit(stack, () => rmSync(dir, { recursive: true, force: true, maxRetries: 3 }));
  return dir;
}

function requireRoom(parent: string, bytes: number): void {
  const room = freeBytes(parent) - spareBytes;
  if (bytes <= room) return;
  const gib = (n: number): string => (n / 2 ** 30).toFixed(1);
  throw new BenchError(
    `needs ${gib(bytes)} GiB in ${parent}, which has room for ${gib(room)}: lower --size, or free ${parent === tmpfs ? 'memory' : 'space'}`,
  );
}

function freeBytes(parent: string): number {
  try {
    const { bavail, bsize } = statfsSync(parent);
    return bavail * bsize;
  } catch (error) {
    throw new BenchError(`${parent}: ${(error as Error).message}`);
  }
}

/**
 * Runs `work`, which makes up to `bytes` of memory resident, on memory that was touched before. Where files do not lie in
 * memory there is no ballast: it would take the room of the kernel's own cache.
 */
export async function onWarmMemory<T>(dir: string, bytes: number, work: () => Promise<T>): Promise<T> {
  if (!dir.startsWith(`${tmpfs}/`)) return await work();
  const file = join(dir, 'ballast');
  const fd = openSync(file, 'w');
  let timer: NodeJS.Timeout | undefined;
  try {
    let held = 0;
    for (; held < bytes; held += zeros.length) writeSync(fd, zeros);
    const freeAtStart = freeBytes(tmpfs);
    const shrink = (): void => {
      const taken = freeAtStart + (Math.ceil(bytes / zeros.length) * zeros.length - held) - freeBytes(tmpfs);
      const left = Math.max(0, Math.floor((bytes - Math.max(0, taken) - aheadBytes) / zeros.length) * zeros.length);
      if (left >= held) return;
      ftruncateSync(fd, left);
      held = left;
    };
    shrink();
    timer = setInterval(shrink, shrinkEveryMs);
    return await work();
  } finally {
    clearInterval(timer);
    closeSync(fd);
    rmSync(file);
  }
}
