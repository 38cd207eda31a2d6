/** Databases refuse to run as root: there they are nobody. */
import { execFileSync } from 'node:child_process';
import { chownSync } from 'node:fs';
import { need } from '../../programs.ts';

const nobody = Number(execFileSync('id', ['-u', 'nobody'], { encoding: 'utf8' }));
const nogroup = Number(execFileSync('id', ['-g', 'nobody'], { encoding: 'utf8' }));
const root = process.getuid?.() === 0;

/** `command`, run by whoever may run it. */
export function asNobody(...command: readonly string[]): string[] {
  return root
    ? [need('setpriv'), `--reuid=${nobody}`, `--regid=${nogroup}`, '--clear-groups', ...command]
    : [...command];
}

export function givenToNobody(directory: string): void {
  if (root) chownSync(directory, nobody, nogroup);
}
