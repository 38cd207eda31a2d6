/** How many files this process may have open, connections among them. */

import { readFileSync } from 'node:fs';

/** What a login shell gives, where the system does not say. */
const usual = 1_024;

export function openFilesMax(): number {
  try {
    const match = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'));
    return Number(match?.[1] ?? usual);
  } catch {
    return usual;
  }
}
