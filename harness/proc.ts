/**
 * What the kernel says of processes and of the machine: CPU seconds and resident memory, from /proc.
 *
 * Rule: a process that is gone is an error, never a zero, since a zero would pass for a good figure.
 */

import { readFileSync } from 'node:fs';
import { loadavg } from 'node:os';

/** USER_HZ: 100 on every Linux that Node runs on. */
const ticksPerS = 100;
const mebibyte = 1024 * 1024;

/** CPU seconds, user and system, of all threads of the process since its start. Children are not counted. */
export function cpuSeconds(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The name, in parentheses, may hold anything; fields are counted from after it.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / ticksPerS;
}

/** CPU seconds that the whole machine was busy since it booted. */
export function machineBusySeconds(): number {
  const line = readFileSync('/proc/stat', 'utf8').split('\n')[0] ?? '';
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = line.split(/\s+/).slice(1).map(Number);
  return (user + nice + system + irq + softirq) / ticksPerS;
}

/** Resident memory, MiB. */
export function residentMiB(pid: number): number {
  const match = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  if (match === null) throw new Error(`/proc/${pid}/status says nothing of VmRSS`);
  return (Number(match[1]) * 1024) / mebibyte;
}

export function loadAverage(): number {
  return Math.round((loadavg()[0] ?? 0) * 100) / 100;
}

/** Looks at a process's memory until stopped; what it says is the most that it saw. */
export class ResidentPeak {
  readonly #timer: NodeJS.Timeout;
  #peak = 0;

  constructor(pid: number, everyMs = 50) {
    const look = (): void => {
      this.#peak = Math.max(this.#peak, residentMiB(pid));
    };
    look();
    this.#timer = setInterval(look, everyMs);
  }

  /** The most so far, MiB. */
  stop(): number {
    clearInterval(this.#timer);
    return this.#peak;
  }
}
