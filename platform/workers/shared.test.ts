/** Where the arena lies in this process's address space. */

import { randomFillSync } from 'node:crypto';
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { expect, test } from 'vitest';
import { unitBytes } from '../../core/piece.ts';
import { ArenaMemory, pagedMemory, type SharedBytes } from './shared.ts';

const pageBytes = 4096;
const markBytes = 32;
const lookBytes = 1 << 20;

/** The address of `bytes`, found by writing a mark there and looking for it in the process's own memory. */
function addressOf(bytes: SharedBytes): number {
  const mark = randomFillSync(Buffer.alloc(markBytes));
  bytes.set(mark);
  const memory = openSync('/proc/self/mem', 'r');
  const seen = Buffer.alloc(lookBytes);
  const read = (at: number, length: number): Buffer => seen.subarray(0, readSync(memory, seen, 0, length, at));
  try {
    const found = writable(bytes.buffer.byteLength).flatMap(([from, to]) => {
      const hits: number[] = [];
      for (let at = from; at < to; at += lookBytes) {
        const hit = read(at, Math.min(lookBytes, to - at)).indexOf(mark);
        if (hit >= 0) hits.push(at + hit);
      }
      return hits;
    });
    // Copies of the mark may lie about; the bytes themselves are where a change shows.
    bytes[0] = (mark[0] as number) ^ 0xff;
    const [address] = found.filter((at) => read(at, 1)[0] === bytes[0]);
    if (address === undefined) throw new Error('the mark is nowhere in /proc/self/mem');
    return address;
  } finally {
    closeSync(memory);
  }
}

/** Mappings of at least so many bytes. */
function writable(bytes: number): (readonly [from: number, to: number])[] {
  const lines = readFileSync('/proc/self/maps', 'utf8').matchAll(/^([0-9a-f]+)-([0-9a-f]+) rw/gm);
  return [...lines]
    .map(([, from = '', to = '']) => [Number.parseInt(from, 16), Number.parseInt(to, 16)] as const)
    .filter(([from, to]) => to - from >= bytes);
}

test.each([3, 64, 256])('every unit of an arena of %i units begins at a page boundary', (units) => {
  const { memory } = ArenaMemory.create(units);
  expect(addressOf(new Uint8Array(memory, 0, unitBytes)) % pageBytes).toBe(0);
  expect(addressOf(new Uint8Array(memory, (units - 1) * unitBytes, unitBytes)) % pageBytes).toBe(0);
});

test('views of the arena are of fixed lengths, though its memory could grow', () => {
  const memory = pagedMemory(4 * unitBytes);
  expect(memory.growable).toBe(true);
  expect(memory.maxByteLength).toBe(memory.byteLength);
  const arena = ArenaMemory.create(4);
  expect(ArenaMemory.attach(arena.memory).units).toBe(4);
  for (const view of [...arena.parts(0, 1000), arena.view(1), arena.unitHash(2)]) {
    expect(view.byteLength).toBeLessThanOrEqual(unitBytes);
  }
  expect(arena.next).toHaveLength(4);
});
