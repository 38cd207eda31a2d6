/**
 * The demo's temporary directory. Its name says whose it is, so that one whose process was killed is found and
 * removed by the next demo.
 */

import { lstatSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { alive } from '../cluster/alive.ts';

/** The six characters are mkdtemp's. */
const namePattern = /^shoal-demo-(\d+)-[A-Za-z0-9]{6}$/;

/** A new directory of this process. */
export function demoDirectory(): string {
  sweep();
  return mkdtempSync(join(tmpdir(), `shoal-demo-${process.pid}-`));
}

export function removeDirectory(dir: string): void {
  rmSync(dir, { recursive: true, force: true, maxRetries: 5 });
}

/** What cannot be removed stays for the next time. */
function sweep(): void {
  for (const name of readdirSync(tmpdir())) {
    const pid = Number(namePattern.exec(name)?.[1] ?? 0);
    if (pid === 0 || alive(pid)) continue;
    const dir = join(tmpdir(), name);
    try {
      if (lstatSync(dir).uid === process.getuid?.()) removeDirectory(dir);
    } catch (error) {
      if (!(error instanceof Error && 'syscall' in error)) throw error;
    }
  }
}
