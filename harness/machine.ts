/** What the machine is, so that figures of two of them are not compared unawares. */

import { cpus } from 'node:os';
import { unitBytes } from '../core/piece.ts';
import { blake3 } from '../platform/workers/hash.ts';
import { rounded } from './numbers.ts';

export type Machine = { readonly cpu: string; readonly cores: number; readonly blake3GBps: number };

const hashesMs = 100;

/** Takes a tenth of a second: it hashes. */
export function machineOf(): Machine {
  const all = cpus();
  return { cpu: all[0]?.model.trim() ?? 'unknown', cores: all.length, blake3GBps: rounded(hashRate()) };
}

/** GB/s, the best of short runs: of a busy machine, too. */
function hashRate(): number {
  const unit = new Uint8Array(unitBytes).fill(1);
  let best = 0;
  for (const endMs = performance.now() + hashesMs; performance.now() < endMs; ) {
    const startedMs = performance.now();
    for (let i = 0; i < 8; i++) blake3(unit);
    best = Math.max(best, (8 * unitBytes) / (performance.now() - startedMs) / 1e6);
  }
  return best;
}
