/**
 * What the kernel takes to copy pieces between a file in a tmpfs and memory that begins at a page boundary, as
 * the arena's does, or 16 bytes after one, as V8's plain buffers do.
 */

import { closeSync, mkdtempSync, openSync, readvSync, rmSync, writevSync } from 'node:fs';
import { join } from 'node:path';
import { unitBytes } from '../../core/piece.ts';
import { pagedMemory, type SharedBytes } from '../../platform/workers/shared.ts';
import type { MicroCase } from './runner.ts';

/** More than the caches of most processors have, as an arena and a blob are. */
const units = 256;
/** Of a call: a piece of 1 MiB. */
const unitsPerCall = 4;
const malloced = 16;

export type CopyCases = { readonly read: readonly MicroCase[]; readonly write: readonly MicroCase[] };

/** The two that are compared stand side by side: first aligned, then not. `dir` is in a tmpfs. */
export function copyCases(dir: string, stack: AsyncDisposableStack): CopyCases {
  const folder = mkdtempSync(join(dir, 'shoal-copy-'));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  const fd = openSync(join(folder, 'blob'), 'w+');
  stack.defer(() => closeSync(fd));
  const memory = pagedMemory(units * unitBytes + malloced);
  const aligned = calls(memory, 0);
  const offset = calls(memory, malloced);
  // Every page of file and memory is there before anything is measured.
  aligned.forEach((parts, i) => {
    for (const part of parts) part.fill(i);
    writevSync(fd, parts, i * unitsPerCall * unitBytes);
  });
  const pair = (name: string, copy: typeof readvSync | typeof writevSync): MicroCase[] => [
    turns(`${name}Aligned`, aligned, (parts, at) => copy(fd, parts, at)),
    turns(`${name}Offset16`, offset, (parts, at) => copy(fd, parts, at)),
  ];
  return { read: pair('copyRead', readvSync), write: pair('copyWrite', writevSync) };
}

function calls(memory: SharedArrayBuffer, offset: number): SharedBytes[][] {
  return Array.from({ length: units / unitsPerCall }, (_, call) =>
    Array.from(
      { length: unitsPerCall },
      (__, i) => new Uint8Array(memory, offset + (call * unitsPerCall + i) * unitBytes, unitBytes),
    ),
  );
}

function turns(name: string, all: SharedBytes[][], copy: (parts: SharedBytes[], at: number) => number): MicroCase {
  let call = 0;
  return {
    name,
    units: unitsPerCall * unitBytes,
    run: () => {
      call = (call + 1) % all.length;
      return copy(all[call] as SharedBytes[], call * unitsPerCall * unitBytes);
    },
  };
}
